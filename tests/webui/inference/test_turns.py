"""Waiting for one's turn, in processes that share a database. A ``Turns`` of its own stands for each process."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, connections
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from webui.inference import lines
from webui.inference import turns as module
from webui.inference.models import Host, Turn, Usage
from webui.inference.quotas import Quota, TooManyAtOnce
from webui.inference.turns import HostGone, Place, Removed, Turns
from webui.ollama import OllamaError

BROWSER, API = Usage.Door.BROWSER, Usage.Door.API


@pytest.fixture
async def processes(monkeypatch, transactional_db):
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    both = Turns(), Turns()
    yield both
    for process in both:
        await process.close()
    await sync_to_async(connections.close_all)()


@pytest.fixture
def key(host) -> lines.Key:
    return host.pk, "practice:latest"


class Visit:
    """Somebody on their way through a line; ``places`` is where they stood."""

    def __init__(self, hold) -> None:
        self.hold = hold
        self.places: list[int] = []
        self.moved = asyncio.Condition()
        self.admitted = asyncio.create_task(self._walk())

    async def _walk(self) -> None:
        async for place in self.hold.places():
            self.places.append(place.number)
            async with self.moved:
                self.moved.notify_all()

    async def stands_at(self, number: int) -> None:
        async with asyncio.timeout(5), self.moved:
            await self.moved.wait_for(lambda: number in self.places)

    async def is_admitted(self) -> None:
        await asyncio.wait_for(self.admitted, 5)


@asynccontextmanager
async def visit(process: Turns, key: lines.Key, person, door=BROWSER):
    with process.take(key, person=person.pk, door=door) as hold:
        visit = Visit(hold)
        try:
            yield visit
        finally:
            visit.admitted.cancel()
            await asyncio.gather(visit.admitted, return_exceptions=True)


async def killed(process: Turns) -> None:
    """It renews no lease any more."""
    process._settling.cancel()
    await asyncio.gather(process._settling, return_exceptions=True)


async def test_whoever_waits_in_another_process_takes_the_slot_that_is_given_back(processes, key, alice, bob):
    async with AsyncExitStack() as stack:
        async with visit(processes[0], key, alice) as first:
            await first.is_admitted()
            second = await stack.enter_async_context(visit(processes[1], key, bob))
            await second.stands_at(1)
        await second.is_admitted()


async def test_one_request_starts_after_one_of_twenty(processes, key, alice, bob):
    async with AsyncExitStack() as stack:
        crowd = [AsyncExitStack() for _ in range(20)]
        visits = [await each.enter_async_context(visit(processes[0], key, alice)) for each in crowd]
        await visits[0].is_admitted()
        await visits[19].stands_at(19)
        bobs = await stack.enter_async_context(visit(processes[1], key, bob))
        await bobs.stands_at(1)

        await crowd[0].aclose()
        await bobs.is_admitted()
        for each in crowd:
            await each.aclose()


async def test_pages_go_before_scripts(processes, key, alice, bob, carol):
    async with AsyncExitStack() as stack:
        async with visit(processes[0], key, alice) as first:
            await first.is_admitted()
            script = await stack.enter_async_context(visit(processes[0], key, bob, API))
            await script.stands_at(1)
            page = await stack.enter_async_context(visit(processes[0], key, carol))
            await page.stands_at(1)
            await script.stands_at(2)
        await page.is_admitted()


async def test_a_killed_process_gives_its_slots_back(processes, key, alice, bob):
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(visit(processes[0], key, alice))
        await first.is_admitted()
        second = await stack.enter_async_context(visit(processes[1], key, bob))
        await second.stands_at(1)
        await killed(processes[0])

        await Turn.objects.filter(person=alice).aupdate(lease_expires=Now() - lines.LEASE)

        await second.is_admitted()


async def test_whoever_was_dropped_while_the_database_was_away_stands_in_line_again(processes, key, alice, bob):
    async with AsyncExitStack() as stack:
        async with visit(processes[0], key, alice) as first:
            await first.is_admitted()
            second = await stack.enter_async_context(visit(processes[0], key, bob))
            await second.stands_at(1)
            await Turn.objects.filter(person=bob).adelete()
        await second.is_admitted()


@pytest.fixture
async def unheard(monkeypatch):
    """The first time PostgreSQL does what it is told, and nobody hears of it."""
    heard, told = asyncio.Event(), []

    def settle(*arguments, **more):
        settled = lines_settle(*arguments, **more)
        told.append(settled)
        if len(told) == 1:
            loop.call_soon_threadsafe(heard.set)
            raise OperationalError("server closed the connection unexpectedly")
        return settled

    lines_settle, loop = lines.settle, asyncio.get_running_loop()
    monkeypatch.setattr(lines, "settle", settle)
    return heard


async def test_whoever_joined_unheard_is_admitted_all_the_same(processes, key, alice, unheard):
    async with visit(processes[0], key, alice) as first:
        await first.is_admitted()

        assert await Turn.objects.acount() == 1


async def test_whoever_joined_unheard_and_left_holds_no_slot(processes, key, alice, bob, unheard):
    async with visit(processes[0], key, alice):
        await unheard.wait()
        await asyncio.sleep(0)
    async with visit(processes[0], key, bob) as second:
        await second.is_admitted()


async def test_another_slot_admits_whoever_is_next(processes, key, host, alice, bob):
    async with visit(processes[0], key, alice) as first, visit(processes[0], key, bob) as second:
        await first.is_admitted()
        await second.stands_at(1)

        await Host.objects.filter(pk=host.pk).aupdate(slots=2)

        await second.is_admitted()


async def test_what_an_administrator_removes_waits_no_longer(processes, key, alice, bob):
    async with visit(processes[0], key, alice) as first, visit(processes[0], key, bob) as second:
        await first.is_admitted()
        await second.stands_at(1)

        await Turn.objects.filter(person=bob).aupdate(removed=True)

        with pytest.raises(Removed):
            await second.is_admitted()


async def test_what_an_administrator_removes_holds_its_slot_no_longer(processes, key, alice):
    async with visit(processes[0], key, alice) as first:
        await first.is_admitted()

        await Turn.objects.filter(person=alice).aupdate(removed=True)

        async with asyncio.timeout(5):
            while not first.hold.removed:
                await asyncio.sleep(module.LOOK_S)


async def test_nobody_waits_for_a_host_that_was_removed(processes, key, host, alice, bob):
    async with visit(processes[0], key, alice) as first, visit(processes[0], key, bob) as second:
        await first.is_admitted()
        await second.stands_at(1)

        await Host.objects.filter(pk=host.pk).adelete()

        with pytest.raises(HostGone):
            await second.is_admitted()


async def test_a_turn_that_cannot_be_stored_ends_and_others_go_on(processes, key, alice):
    with processes[0].take(key, person=999_999, door=BROWSER) as broken, pytest.raises(OllamaError):
        await anext(broken.places())
    async with visit(processes[0], key, alice) as first:
        await first.is_admitted()


async def test_whoever_leaves_leaves_nothing(processes, key, alice):
    async with visit(processes[0], key, alice) as first:
        await first.is_admitted()
    await processes[0].close()
    assert not await Turn.objects.aexists()


async def test_the_process_ends_and_nobody_of_it_stands_anywhere(processes, key, alice):
    async with visit(processes[0], key, alice) as first:
        await first.is_admitted()
        await processes[0].close()
        assert not await Turn.objects.aexists()


async def test_who_is_kept_out_does_not_join_when_the_line_moves(processes, key, alice, bob):
    nothing = Quota((alice.pk, None), at_once=0)
    with processes[0].take(key, person=alice.pk, door=API, quotas=(nothing,)) as hold:
        with pytest.raises(TooManyAtOnce):
            await anext(hold.places())
        for _ in range(3):
            async with visit(processes[0], key, bob) as other:
                await other.is_admitted()
        assert not await Turn.objects.filter(person=alice).aexists()


async def test_the_estimate_grows_with_the_place(processes, key, host, alice, bob, carol):
    line = await sync_to_async(host.lines.create)(model="practice:latest", usual_s=10)
    told: list[Place] = []
    async with visit(processes[0], key, alice) as first, visit(processes[0], key, bob) as second:
        await first.is_admitted()
        await second.stands_at(1)
        with processes[0].take(key, person=carol.pk, door=BROWSER) as third:
            told.append(await anext(third.places()))
    assert told == [Place(2, 2 * line.usual_s)]


def test_a_hundred_who_ask_at_once_cost_as_many_statements_as_one(transactional_db, host, alice):
    def cost(count: int) -> int:
        owner, key = module.uuid4(), (host.pk, f"model-{count}")
        joining = [lines.Standing(module.uuid7(), key, alice.pk, BROWSER) for _ in range(count)]
        with CaptureQueriesContext(connection) as queries:
            lines.settle(owner, joining=joining, leaving=set(), keys={key})
        return len(queries)

    assert cost(100) == cost(1)
