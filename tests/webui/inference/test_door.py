"""Which host a question goes to, and what happens when one turns it away."""

import math

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from tests.conftest import install
from webui.inference import door
from webui.inference.clients import close_clients
from webui.inference.door import Order, Started
from webui.inference.models import InstalledModel
from webui.ollama import ChatChunk, HostBusy, HostUnreachable
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
