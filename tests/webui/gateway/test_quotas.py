"""What a script is told whose limit is met."""

import asyncio
from contextlib import AsyncExitStack

import ollama
import openai
import pytest
from asgiref.sync import sync_to_async

from tests.webui.gateway.conftest import token_for
from tests.webui.gateway.test_native import MESSAGES
from tests.webui.practice.wire import connection, read_head, request_bytes
from webui.accounts.models import AccessToken, User
from webui.inference.models import Usage

BODY = {"model": "practice", "messages": MESSAGES, "stream": False}


async def limit(rows, **limits: int) -> None:
    await rows.aupdate(**limits)


async def test_the_refusal_says_when_to_ask_again(portal, practice, token, alice):
    """Q2, S46."""
    await limit(User.objects.filter(pk=alice.pk), per_minute=1)
    first = await portal.ask("POST", "/api/chat", BODY, token=token)
    second = await portal.ask("POST", "/api/chat", BODY, token=token)

    assert (first.status, second.status) == (200, 429)
    assert list(second.value) == ["error"]
    assert second.value["error"].startswith("your account may ask 1 times in a minute; ask again at 20")
    assert 50 <= int(second.headers["retry-after"]) <= 60
    assert len([asked for asked in practice.requests if asked.endpoint == "/api/chat"]) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_openai_clients_are_refused_in_their_form(portal, token, alice, stream):
    await limit(User.objects.filter(pk=alice.pk), at_once=0)
    answer = await portal.ask("POST", "/v1/chat/completions", {**BODY, "stream": stream}, token=token)

    assert (answer.status, answer.headers["retry-after"]) == (429, "2")
    assert answer.value["error"] == {
        "message": "your account has 0 requests under way; ask again when one has ended",
        "type": "rate_limit_error",
        "param": None,
        "code": None,
    }


async def test_real_clients_understand_the_refusal(portal, token, alice):
    await limit(User.objects.filter(pk=alice.pk), per_minute=0)
    native = ollama.AsyncClient(f"{portal.url}/ollama", headers={"Authorization": f"Bearer {token}"})
    other = openai.AsyncOpenAI(base_url=f"{portal.url}/v1", api_key=token, max_retries=0)
    async with native._client, other:
        with pytest.raises(ollama.ResponseError, match="ask again at") as of_ollama:
            await native.chat("practice", MESSAGES)
        with pytest.raises(openai.RateLimitError, match="ask again at") as of_openai:
            await other.chat.completions.create(model="practice", messages=MESSAGES)

    assert of_ollama.value.status_code == 429
    assert 55 <= int(of_openai.value.response.headers["retry-after"]) <= 60


async def test_the_tokens_of_what_was_answered_count(portal, token, alice):
    await limit(User.objects.filter(pk=alice.pk), tokens_per_day=1)
    first = await portal.ask("POST", "/api/generate", {"model": "practice", "prompt": "Tea?"}, token=token)
    second = await portal.ask("POST", "/api/embed", {"model": "practice-embed", "input": "Tea?"}, token=token)

    assert (first.status, second.status) == (200, 429)
    assert int(second.headers["retry-after"]) <= 25 * 3600
    assert "a new day begins at" in second.value["error"]


async def test_the_ledger_knows_the_token_and_nothing_of_refusals(portal, token, alice):
    await limit(AccessToken.objects.all(), per_minute=1)
    for _ in range(3):
        await portal.ask("POST", "/api/chat", BODY, token=token)

    assert [row.token async for row in Usage.objects.select_related("token")] == [await AccessToken.objects.aget()]


async def test_another_token_goes_on(portal, token, alice):
    await limit(AccessToken.objects.all(), per_minute=1)
    other = await sync_to_async(token_for)(alice)
    answers = [await portal.ask("POST", "/api/chat", BODY, token=each) for each in (token, token, other)]

    assert [answer.status for answer in answers] == [200, 429, 200]


async def test_of_twenty_requests_at_once_exactly_five_are_let_in(portal, practice, token, alice):
    """Q2."""
    await limit(User.objects.filter(pk=alice.pk), at_once=5)
    body = request_bytes(
        "POST", "/api/chat", {"model": "fault-gate", "messages": MESSAGES}, Authorization=f"Bearer {token}"
    )
    async with asyncio.timeout(10), AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(connection(portal.url)) for _ in range(20)]
        for _, writer in opened:
            writer.write(body)
        heads = [asyncio.create_task(read_head(reader)) for reader, _ in opened]
        # Of those that were let in the host answers one; the others wait.
        found = [(await head)[0] for _, head in zip(range(16), asyncio.as_completed(heads), strict=False)]
        waiting = [head.cancel() for head in heads if not head.done()]

    assert sorted(found) == [200] + [429] * 15
    assert len(waiting) == 4
