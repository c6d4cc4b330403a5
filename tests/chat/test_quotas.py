"""A question that meets a limit: nothing is lost, and the page says when it may be asked again."""

import pytest
from asgiref.sync import sync_to_async

from chat.models import Message
from tests.chat.conftest import Watcher
from webui.accounts.models import User
from webui.inference.models import Usage

pytestmark = pytest.mark.usefixtures("driver")


async def ask(watcher: Watcher, conversation, key) -> Message:
    url = f"/c/{conversation.pk}/ask/"
    await watcher.client.post(url, {"text": "And now?", "model": "practice:latest", "client_key": key})
    return await conversation.messages.filter(role="assistant").order_by("-pk").afirst()


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"tokens_per_day": 0}, "Your tokens of today are used"),
        ({"per_minute": 0}, "That was too often within a minute"),
        ({"at_once": 0}, "Too many of your requests are under way"),
    ],
    ids=["day", "minute", "at once"],
)
async def test_the_question_stays_and_is_answered_once_there_is_room(
    watching, conversation, alice, key, limits, sentence
):
    """Q2."""
    mine = User.objects.filter(pk=alice.pk)
    await mine.aupdate(**limits)
    async with watching(conversation, alice) as watcher:
        answer = await ask(watcher, conversation, key)
        await watcher.until_state(answer.pk, "failed")
        told = watcher.page.text(f"m-{answer.pk}")
        await watcher.same_as_reload()
        await mine.aupdate(**dict.fromkeys(limits))
        await watcher.client.post(f"/c/{conversation.pk}/m/{answer.pk}/continue/")
        await watcher.until_state(answer.pk, "done")
        await watcher.same_as_reload()
    await answer.arefresh_from_db()

    assert await Usage.objects.acount() == 1
    assert sentence in told
    assert "Your message is kept." in told
    assert ("You can ask again from " in told) == ("at_once" not in limits)
    assert "Try again" in told
    assert "Your limits" in told
    assert (answer.error, answer.error_until) == ("", None)
    assert answer.text


async def test_what_was_read_and_written_in_conversations_counts(watching, conversation, alice, key, driver):
    await User.objects.filter(pk=alice.pk).aupdate(tokens_per_day=1)
    async with watching(conversation, alice) as watcher:
        first = await ask(watcher, conversation, key)
        await watcher.until_state(first.pk, "done")
        row = await sync_to_async(Usage.objects.get)()
        await watcher.client.post(f"/c/{conversation.pk}/m/{first.pk}/again/")
        second = await conversation.messages.filter(role="assistant").order_by("-pk").afirst()
        await watcher.until_state(second.pk, "failed")

    assert row.prompt_tokens + row.output_tokens >= 1
