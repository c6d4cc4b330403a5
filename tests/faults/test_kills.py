"""kill -9 again and again, at a random moment of every answer. The same seed is the same story."""

import asyncio
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import httpx
import pytest

from tests.faults.portal import FINAL, until_state
from webui.practice.scripts import script_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

STREAMS = 10
PIECES_PER_S = 50
ALL_ASKED_S = 4.0
LOST_MS = 250
FINAL_AGAIN_S = 15
MODELS = ["practice", "practice-counting", "practice-no-prefill", "practice-thinker", "practice-slow-load"]

KEPT = """
    select m.state,
           m.thinking || coalesce(string_agg(p.text, '' order by p."offset") filter (where p.kind = 'thinking'), ''),
           m.text || coalesce(string_agg(p.text, '' order by p."offset") filter (where p.kind = 'text'), '')
    from chat_message m left join chat_run r on r.answer_id = m.id left join chat_runpiece p on p.run_id = r.id
    where m.role = 'assistant' and m.conversation_id = %s group by m.id
"""
RECORDED = """
    select m.conversation_id::text, length(m.text) + coalesce(sum(length(p.text)), 0)
    from chat_message m left join chat_run r on r.answer_id = m.id left join chat_runpiece p on p.run_id = r.id
    where m.role = 'assistant' and m.created_at > now() - interval '30 seconds' group by m.id
"""
WITH_A_HOST = "select id from chat_run where state in ('loading', 'running')"


@dataclass
class Stream:
    """A question, and when the host sent each piece of its answer."""

    model: str
    text: str
    after_s: float
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    sent_at: list[float] = field(default_factory=list)

    @property
    def pieces(self) -> list[str]:
        script = script_for(self.model, [{"role": "user", "content": self.text}], think=None, continues=False)
        return script.thinking + script.text

    def lost_s(self, kept: int, killed: float) -> float:
        """How long before the kill the first of the characters was sent that are not kept."""
        whole = sum(length <= kept for length in accumulate(map(len, self.pieces)))
        return killed - self.sent_at[whole] if whole < len(self.sent_at) else 0


def made_up(chance: random.Random) -> list[Stream]:
    return [
        Stream(
            chance.choice(MODELS),
            f"SECRET-WORD count to {chance.randint(10, 400)} in stream {number}",
            chance.uniform(0, ALL_ASKED_S),
        )
        for number in range(STREAMS)
    ]


@contextmanager
def noting(practice, streams: list[Stream]) -> Iterator[None]:
    """Note when pieces are sent."""
    by_text = {stream.text: stream for stream in streams}

    def note() -> None:
        for request in practice.requests:
            if stream := by_text.get(request.body["messages"][0]["content"]):
                stream.sent_at += [time.monotonic()] * (request.pieces_sent - len(stream.sent_at))

    watch = asyncio.create_task(practice.wait_for(note, within_s=60))
    yield
    watch.cancel()


async def ask(alice, stream: Stream, **options: int) -> bool:
    """Whether the portal lived long enough to say that it has the question."""
    await asyncio.sleep(stream.after_s)
    try:
        await alice.start(stream.text, stream.model, stream.key, **options)
    except httpx.TransportError:
        return False
    return True


class Kept(NamedTuple):
    """What the database has of an answer, be it live."""

    model: str
    state: str
    thinking: str
    text: str

    def __len__(self) -> int:
        return len(self.thinking + self.text)

    @property
    def final_state(self) -> str:
        """How it ends after a kill: a thought is not taken up again, and one model cannot go on in mid-text."""
        if self.state in FINAL:
            return self.state
        in_thought = self.thinking and not self.text
        return "interrupted" if in_thought or ("no-prefill" in self.model and self.text) else "done"


def kept_of(database, stream: Stream) -> Kept:
    return Kept(stream.model, *(database.execute(KEPT, [stream.key]).fetchone() or ("", "", "")))


async def until_ended(database, runs: list) -> float:
    """Wait until these are over; how long that took. Others go on in their place."""
    began = time.monotonic()
    async with asyncio.timeout(2 * FINAL_AGAIN_S):
        while set(runs) & set(database.execute(WITH_A_HOST).fetchall()):
            await asyncio.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.parametrize("seed", range(10))
async def test_a_kill_at_any_moment_loses_a_quarter_of_a_second_and_leaves_nothing_half_done(
    portal, practice, alice, database, slots, assert_consistent, figure, seed
):
    """F01."""
    chance = random.Random(seed)
    streams = made_up(chance)
    practice.speed = PIECES_PER_S
    slots(chance.choice([2, 8]))
    with noting(practice, streams):
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(ask(alice, stream)) for stream in streams]
            await asyncio.sleep(ALL_ASKED_S)
            killed = time.monotonic()
            portal.kill()
    kept = [kept_of(database, stream) for stream in streams]
    lost_ms = max(1000 * stream.lost_s(len(each), killed) for stream, each in zip(streams, kept, strict=True))
    runs = database.execute(WITH_A_HOST).fetchall()
    practice.speed = None
    await portal.start_again()
    again_s = await until_ended(database, runs)
    for stream, task in zip(streams, asking, strict=True):
        if not task.result():
            await alice.start(stream.text, stream.model, stream.key)

    figure("lost at most", f"{lost_ms:.0f} ms")
    figure(f"{len(runs)} final again after", f"{again_s:.1f} s")
    assert lost_ms <= LOST_MS
    assert again_s <= FINAL_AGAIN_S
    for stream, before in zip(streams, kept, strict=True):
        await until_state(database, stream.key, before.final_state)
        after = kept_of(database, stream)
        assert after.thinking + after.text
        assert (after.thinking + after.text).startswith(before.thinking + before.text)
    await assert_consistent(portal)


async def test_no_word_is_unrecorded_for_longer_than_a_quarter_of_a_second(
    portal, practice, alice, database, assert_consistent, figure
):
    """F01, whenever the kill comes: looked at all the time, instead of killing a hundred times."""
    streams = [
        Stream("practice-counting", f"SECRET-WORD count to {60 + 30 * number} in stream {number}", number / 10)
        for number in range(STREAMS)
    ]
    practice.speed = PIECES_PER_S
    oldest_ms = 0.0
    with noting(practice, streams):
        # More tabs would have this process read their pages, and not look at the clock meanwhile.
        asking = [asyncio.create_task(ask(alice, stream, tabs=1)) for stream in streams]
        ends = time.monotonic() + 8
        while (now := time.monotonic()) < ends:
            kept = dict(database.execute(RECORDED).fetchall())
            oldest_ms = max(oldest_ms, *(1000 * stream.lost_s(kept.get(stream.key, 0), now) for stream in streams))
            await asyncio.sleep(0.002)
    assert all(await asyncio.gather(*asking))
    for stream in streams:
        await until_state(database, stream.key, "done")

    figure("longest unrecorded", f"{oldest_ms:.0f} ms")
    assert oldest_ms <= LOST_MS
    await assert_consistent(portal)
