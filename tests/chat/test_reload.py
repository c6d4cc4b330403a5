"""A stale page plus what it was told equals a fresh page, for everything a person can do."""

import asyncio
import random
import uuid

import pytest
from django.db import OperationalError

from chat import hub, services
from chat.models import Conversation, Message, Run, State
from chat.runs import state

pytestmark = pytest.mark.django_db(transaction=True)

FINAL = ("done", "stopped", "failed", "interrupted")


async def newest_answer(conversation) -> Message:
    await conversation.arefresh_from_db()
    return await Message.objects.aget(pk=conversation.head_id)


async def test_a_question_and_its_answer(driver, watching, act, conversation, alice, question):
    async with watching(conversation, alice) as watcher:
        await act(services.ask, **question())
        await watcher.until_state((await newest_answer(conversation)).pk, "done")

        await watcher.same_as_reload()


async def test_stop_while_the_ending_is_stored(driver, watching, act, conversation, alice, question, held_ledger):
    """F49: it is too late to stop it, and not too late to hear of the end."""
    async with watching(conversation, alice) as watcher:
        async with held_ledger() as somebody_waits:
            await act(services.ask, **question())
            await somebody_waits()
            driver.stop_run((await Run.objects.aget()).pk)
            await asyncio.sleep(0)
        await watcher.until_state((await newest_answer(conversation)).pk, "done")

        await watcher.same_as_reload()


async def test_an_ending_that_is_stored_unheard(driver, watching, act, conversation, alice, question, monkeypatch):
    """F10: PostgreSQL stored it, and went away before it said so."""
    finish, told = state.finish, []

    def first_unheard(*facts):
        told.append(finish(*facts))
        if len(told) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return told[-1]

    monkeypatch.setattr(state, "finish", first_unheard)
    async with watching(conversation, alice) as watcher:
        await act(services.ask, **question())
        await watcher.until_state((await newest_answer(conversation)).pk, "done")

        await watcher.same_as_reload()


async def test_another_version_of_an_answer(driver, watching, act, conversation, answer, alice):
    async with watching(conversation, alice) as watcher:
        another = await act(services.answer_again, answer=answer, asker=alice)
        await watcher.until_state(another.pk, "done")

        await watcher.same_as_reload()


async def test_an_edited_question(driver, watching, act, conversation, answer, alice):
    async with watching(conversation, alice) as watcher:
        await act(
            services.edit,
            question=answer.parent,
            author=alice,
            text="And now?",
            model="practice:latest",
            client_key=uuid.uuid4(),
        )
        await watcher.until_state((await newest_answer(conversation)).pk, "done")

        await watcher.same_as_reload()


async def test_another_version_shown(watching, act, conversation, answer, alice, loop_of_the_test):
    other = await conversation.messages.acreate(role="assistant", parent=answer.parent, text="Or coffee.")
    async with watching(conversation, alice) as watcher:
        await act(services.show_version, message=other)
        await watcher.until(lambda page: page.find(f"m-{other.pk}") is not None)

        await watcher.same_as_reload()


async def test_a_new_name(watching, act, conversation, alice, loop_of_the_test):
    async with watching(conversation, alice) as watcher:
        await act(services.rename, conversation=conversation, title="Other <b>plans</b>")
        await watcher.until(lambda page: "Other" in page.shown("side-list"))

        await watcher.same_as_reload()


async def test_a_conversation_opened_elsewhere(driver, watching, act, conversation, alice, key):
    async with watching(conversation, alice) as watcher:
        opened = await act(
            services.start, owner=alice, text="Another one", model="practice:latest", think=None, client_key=key
        )
        await run_state(opened, State.DONE)
        await watcher.until(lambda page: "Another one" in page.shown("side-list") and not _is_answering(page))

        await watcher.same_as_reload()


async def test_a_conversation_deleted_and_restored_elsewhere(watching, act, conversation, alice, key, loop_of_the_test):
    other = await Conversation.objects.acreate(pk=key, owner=alice, title="Old plans")
    async with watching(conversation, alice) as watcher:
        await act(services.delete, conversation=other)
        await watcher.until(lambda page: "Old plans" not in page.shown("side-list"))
        await watcher.same_as_reload()
        await act(services.restore, conversation=other)
        await watcher.until(lambda page: "Old plans" in page.shown("side-list"))

        await watcher.same_as_reload()


async def test_the_page_of_a_deleted_conversation_is_left(watching, act, conversation, alice, loop_of_the_test):
    async with watching(conversation, alice) as watcher:
        await act(services.delete, conversation=conversation)
        await watcher.until(lambda page: "Plans" not in page.shown("side-list"))

    assert any(f"?deleted={conversation.pk}" in message for message in watcher.messages)


async def test_a_draft_changes_no_other_page(watching, act, conversation, alice, loop_of_the_test):
    async with watching(conversation, alice) as watcher:
        told = list(watcher.messages)
        await act(services.save_draft, user=alice, conversation=None, text="Half a thought")

        await watcher.same_as_reload()
        assert watcher.messages == told


def _is_answering(page) -> bool:
    return "Answer in progress" in page.shown("side-list")


async def test_stopping(driver, watching, act, conversation, alice, question):
    async with watching(conversation, alice) as watcher:
        await act(services.ask, **question(model="fault-gate"))
        asked = await newest_answer(conversation)
        await watcher.until_state(asked.pk, "writing")
        await act(services.stop, conversation=conversation)
        await watcher.until_state(asked.pk, "stopped")

        await watcher.same_as_reload()


async def test_going_on_after_a_stop(driver, practice, watching, act, conversation, alice, question):
    async with watching(conversation, alice) as watcher:
        await act(services.ask, **question(model="fault-gate"))
        asked = await newest_answer(conversation)
        await watcher.until_state(asked.pk, "writing")
        await act(services.stop, conversation=conversation)
        await watcher.until_state(asked.pk, "stopped")
        practice.release()
        await act(services.go_on, answer=await newest_answer(conversation), asker=alice)
        await watcher.until_state(asked.pk, "done")

        await watcher.same_as_reload()


@pytest.mark.parametrize("fault", ["st500", "st404", "rst", "trunc", "miderr", "html"])
async def test_a_failure(driver, watching, act, conversation, alice, question, fault):
    async with watching(conversation, alice) as watcher:
        await act(services.ask, **question(model=f"fault-{fault}"))
        await watcher.until_state((await newest_answer(conversation)).pk, "failed")

        await watcher.same_as_reload()


async def test_a_page_opened_late_catches_up(driver, practice, watching, act, conversation, alice, question):
    await act(services.ask, **question(model="fault-gate"))
    asked = await newest_answer(conversation)
    await run_state(conversation, State.RUNNING)
    async with watching(conversation, alice) as watcher:
        practice.release()
        await watcher.until_state(asked.pk, "done")

        await watcher.same_as_reload()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("model", ["practice-markdown:latest", "practice-thinker:latest"])
async def test_pages_opened_at_any_moment_end_up_the_same(
    driver, watching, act, conversation, alice, question, model, seed
):
    chance = random.Random(seed)
    await act(services.ask, **question(model=model, think=True))
    asked = await newest_answer(conversation)
    for _ in range(chance.randrange(200)):
        await asyncio.sleep(0)
    async with watching(conversation, alice) as watcher:
        await watcher.until_state(asked.pk, *FINAL)

        await watcher.same_as_reload()


async def run_state(conversation, state) -> None:
    """Wait until the conversation's run is in ``state``."""
    async with asyncio.timeout(10):
        while not await Run.objects.filter(conversation=conversation, state=state).aexists():
            await asyncio.sleep(0.02)


@pytest.fixture
async def loop_of_the_test():
    hub.open_on(asyncio.get_running_loop())
