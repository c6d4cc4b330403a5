"""Which host a question goes to, and what happens when one turns it away."""

import asyncio
import math
from contextlib import aclosing

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from tests.conftest import install
from webui.accounts.models import User
from webui.inference import door, turns
from webui.inference.clients import close_clients
from webui.inference.door import Order, Started, Waiting
from webui.inference.models import Host, InstalledModel, Turn
from webui.inference.quotas import TooManyPerMinute
from webui.inference.turns import Removed
from webui.ollama import ChatChunk, HostBusy, HostUnreachable, ModelNotFound, OllamaClient, StreamBroken
from webui.practice import PracticeHost

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def ask(root, transactional_db):
    """``await ask(model)``: what happens to root's question."""

    async def ask(model: str = "practice:latest") -> list:
        return [event async for event in door.stream(Order(person=root.pk, model=model, messages=HELLO))]

    yield ask
    await door.turns.close()
    await close_clients()
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def away(db):
    """A host that was well a moment ago, and has every model in memory."""
    return await sync_to_async(install)("http://127.0.0.1:9", name="a-host-that-died")


def answer(events) -> str:
    return "".join(event.text for event in events if isinstance(event, ChatChunk))


async def test_a_question_that_moves_on_is_let_in_once(ask, root, away, practice_models):
    await User.objects.filter(pk=root.pk).aupdate(per_minute=1, at_once=1)

    assert answer(await ask())
    with pytest.raises(TooManyPerMinute):
        await ask()


async def test_a_question_moves_on_when_its_host_does_not_answer(ask, away, practice_models):
    events = await ask()

    assert [event.host for event in events if isinstance(event, Started)] == [away.name, practice_models.name]
    assert "practice model" in answer(events)


async def test_a_question_moves_on_when_its_host_has_too_many(ask, practice, practice_models):
    async with PracticeHost(faults=True) as full:
        full.busy_for = math.inf
        other = await sync_to_async(install)(full.url, name="full")
        await InstalledModel.objects.filter(host=practice_models).aupdate(loaded=False)
        events = await ask()

    assert [event.host for event in events if isinstance(event, Started)] == [other.name, practice_models.name]


async def test_the_failure_is_told_when_no_host_is_left(ask, away):
    with pytest.raises(HostUnreachable):
        await ask()


async def test_a_question_waits_for_the_only_host_that_has_too_many(ask, practice, practice_models):
    practice.busy_for = 1
    assert "practice model" in answer(await ask())


async def test_a_busy_host_is_not_asked_for_ever(ask, practice, practice_models, monkeypatch):
    monkeypatch.setattr(door, "BUSY_PATIENCE_S", 0)
    practice.busy_for = math.inf
    with pytest.raises(HostBusy):
        await ask()


async def test_a_host_that_wants_to_be_asked_much_later_is_not_waited_for(ask, practice_models, monkeypatch):
    monkeypatch.setattr(door, "BUSY_PATIENCE_S", 1.5)  # and the model says two seconds
    with pytest.raises(HostBusy):
        await ask("fault-limited:latest")


# A host changes while it is asked


@pytest.fixture
def asking(root, transactional_db):
    """``async with asking(model) as events``: root's question, event by event."""
    return lambda model="practice:latest": aclosing(door.stream(Order(person=root.pk, model=model, messages=HELLO)))


async def until(events, kind) -> object:
    return await anext(event async for event in events if isinstance(event, kind))


async def rest_of(events) -> list:
    return [event async for event in events]


async def test_when_a_host_dies_who_waits_for_it_moves_and_who_is_answered_is_told(ask, asking, practice_models, bob):
    """F38."""
    async with PracticeHost(speed=50) as dying:
        host = await sync_to_async(install)(dying.url, name="dying")
        await Host.objects.filter(pk=host.pk).aupdate(slots=1)
        await InstalledModel.objects.filter(host=practice_models).aupdate(loaded=False)
        async with asking() as running, asking() as waiting:
            await until(running, ChatChunk)
            assert (await until(waiting, Waiting)).place.number == 1

            await dying.stop()

            with pytest.raises(StreamBroken):
                async for _ in running:
                    pass
            await running.aclose()
            said = [event async for event in waiting]

    started = [event.host for event in said if isinstance(event, Started)]
    assert started[-1] == practice_models.name
    assert "practice model" in answer(said)


async def test_a_host_that_gets_another_address_finishes_what_it_began(ask, asking, practice, practice_models):
    """F39."""
    practice.speed = 100
    async with PracticeHost() as new:
        async with asking() as events:
            await until(events, ChatChunk)
            await Host.objects.filter(pk=practice_models.pk).aupdate(base_url=new.url)
            rest = [event async for event in events]
        await ask()

        assert rest[-1].done
        assert (len(practice.requests), len(new.requests)) == (1, 1)


async def test_a_model_that_is_deleted_finishes_what_it_began_and_is_missing_then(
    ask, asking, practice, practice_models
):
    """F40."""
    practice.speed = 100
    async with asking() as events:
        await until(events, ChatChunk)
        async with OllamaClient(practice.url) as client:
            await client.delete("practice:latest")
        rest = [event async for event in events]

    assert rest[-1].done
    with pytest.raises(ModelNotFound):
        await ask()


async def test_an_answer_that_says_nothing_can_be_ended(asking, practice, practice_models, monkeypatch):
    monkeypatch.setattr(turns, "LOOK_S", 0.05)
    async with asking("fault-hang") as events:
        await until(events, ChatChunk)
        await Turn.objects.aupdate(removed=True)

        with pytest.raises(Removed):
            await asyncio.wait_for(rest_of(events), 5)
    await practice.wait_for(lambda: practice.requests[-1].outcome == "left")
