"""How one open page is kept up to date without ever holding anything up."""

import asyncio
import json
import uuid

import pytest

from chat import viewer as viewers
from chat.runs.growing import FRAMES_KEPT, GrowingAnswer
from chat.viewer import CREDIT, TooSlow, Viewer


@pytest.fixture
def answer() -> GrowingAnswer:
    return GrowingAnswer(run=uuid.uuid4(), message=uuid.uuid4(), conversation=uuid.uuid4())


class Socket:
    """Takes what is sent; ``open`` lets it through."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, text: str) -> None:
        await self.open.wait()
        self.sent.append(text)

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(5):
            while len(self.sent) < count:
                await asyncio.sleep(0)
        return self.sent


@pytest.fixture
async def socket():
    return Socket()


@pytest.fixture
async def viewer(socket):
    viewer = Viewer(language="en", send=socket.send)
    pump = asyncio.create_task(viewer.pump())
    yield viewer
    pump.cancel()
    await asyncio.gather(pump, return_exceptions=True)


def grow(answer: GrowingAnswer, text: str) -> None:
    answer.answer.append(text)
    for view in answer.answer.views.values():
        view.flush()


async def test_a_first_notice_sends_both_tracks_whole(viewer, socket, answer):
    viewer.notice(answer)

    assert [("snap" in json.loads(text), json.loads(text)["t"]) for text in await socket.until(2)] == [
        (True, 1),
        (True, 0),
    ]


async def test_growth_is_sent_as_frames(viewer, socket, answer):
    viewer.notice(answer)
    await socket.until(2)
    grow(answer, "Tea ")
    viewer.notice(answer)

    frame = json.loads((await socket.until(3))[2])
    assert (frame["n"], frame["r"]) == ([0, 4], str(answer.run))


async def test_what_happened_in_between_keeps_its_place(viewer, socket, answer):
    socket.open.clear()
    viewer.tell("before")
    viewer.notice(answer)
    viewer.tell("after")
    socket.open.set()

    sent = await socket.until(4)
    assert (sent[0], sent[3]) == ("before", "after")


async def test_a_page_that_fell_behind_gets_one_snapshot(viewer, socket, answer):
    viewer.notice(answer)
    await socket.until(2)
    for _ in range(FRAMES_KEPT + 5):
        grow(answer, "word ")
    viewer.notice(answer)

    last = json.loads((await socket.until(3))[-1])
    assert "snap" in last
    assert last["n"] == 5 * (FRAMES_KEPT + 5)


async def test_no_more_is_in_flight_than_the_credit(viewer, socket):
    for _ in range(5):
        viewer.tell("x" * (CREDIT // 2))
    await socket.until(3)
    for _ in range(20):
        await asyncio.sleep(0)

    assert len(socket.sent) == 3


async def test_an_acknowledgement_lets_more_through(viewer, socket):
    for _ in range(5):
        viewer.tell("x" * (CREDIT // 2))
    await socket.until(3)
    viewer.acknowledge(CREDIT)

    assert len(await socket.until(5)) == 5


async def test_a_page_that_acknowledges_nothing_is_given_up(socket, monkeypatch):
    monkeypatch.setattr(viewers, "STALL_S", 0.05)
    viewer = Viewer(language="en", send=socket.send)
    for _ in range(5):
        viewer.tell("x" * CREDIT)

    with pytest.raises(TooSlow):
        await viewer.pump()


async def test_a_page_that_takes_nothing_costs_an_index_per_answer(viewer, socket, answer):
    socket.open.clear()
    for _ in range(1000):
        viewer.notice(answer)

    assert len(viewer._outbox) <= 1
