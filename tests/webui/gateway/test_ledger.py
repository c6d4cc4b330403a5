"""The ledger says what the host counted, whichever door was used and however it ended."""

import asyncio
import uuid
from contextlib import aclosing

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.db.models import Sum

from chat import services
from chat.models import RunPiece
from chat.runs.driver import Driver
from chat.runs.sweep import go_on, sweep
from tests.webui.gateway.test_native import MESSAGES
from tests.webui.practice.wire import connection, read_chunk, read_head, request_bytes
from webui.inference import ledger, usage
from webui.inference.door import Order, Vectors
from webui.inference.models import Usage
from webui.ollama import OllamaError
from webui.practice import PracticeHost
from webui.practice.scripts import script_for

BREAKS_AFTER = 5  # pieces, of the models that misbehave


@pytest.fixture
async def driver(portal):
    """This process does what pages ask for."""
    driver = Driver(sweep=sweep, go_on=go_on)
    driver.open()
    yield driver
    await driver.close(0)


async def rows_of(count: int) -> None:
    """Wait until there are so many."""
    async with asyncio.timeout(10):
        while await Usage.objects.acount() < count:
            await asyncio.sleep(0.01)


async def counted_in_the_ledger(**wanted: str) -> tuple[int, int]:
    sums = await Usage.objects.filter(**wanted).aaggregate(read=Sum("prompt_tokens"), written=Sum("output_tokens"))
    return sums["read"], sums["written"]


def counted_by(host: PracticeHost) -> tuple[int, int]:
    """What it told at the end; of an answer without an end, the pieces it sent."""
    return (
        sum(request.prompt_tokens for request in host.requests),
        sum(request.output_tokens or request.pieces_sent for request in host.requests),
    )


async def ask_on_a_page(alice, model: str):
    return await sync_to_async(services.start)(
        owner=alice, text="Why?", model=model, think=None, client_key=uuid.uuid4()
    )


async def ask_in_the_background(alice, model: str) -> None:
    order = Order(person=alice.pk, model=model, messages=MESSAGES, door=Usage.Door.BACKGROUND)
    async with aclosing(usage.metered(order)) as events:
        async for _ in events:
            pass


async def test_by_pages(portal, practice, driver, alice):
    for model in ("practice", "practice-thinker", "fault-trunc", "fault-miderr", "fault-st500", "fault-html"):
        await ask_on_a_page(alice, model)
    stopped = await ask_on_a_page(alice, "fault-gate")
    await practice.wait_for(
        lambda: [each.pieces_sent for each in practice.requests if each.model == "fault-gate"] == [5]
    )
    await stop_once_read(stopped)
    await rows_of(7)

    assert await counted_in_the_ledger(door="browser") == counted_by(practice)
    assert await Usage.objects.filter(outcome="stopped", output_tokens=BREAKS_AFTER).acount() == 1


async def stop_once_read(conversation) -> None:
    """Stop when the portal has recorded all that the host says before it waits."""
    asked = [{"role": "user", "content": "Why?"}]
    said = "".join(list(script_for("fault-gate:latest", asked, think=None, continues=False).text)[:BREAKS_AFTER])
    async with asyncio.timeout(10):
        while said != "".join([piece.text async for piece in RunPiece.objects.order_by("offset")]):
            await asyncio.sleep(0.01)
    await sync_to_async(services.stop)(conversation=conversation)


async def test_by_scripts(portal, practice, token):
    for model in ("practice", "practice-thinker", "fault-trunc", "fault-miderr", "fault-st500"):
        for path, asked in (("/api/chat", {"messages": MESSAGES}), ("/api/generate", {"prompt": "Why?"})):
            for stream in (True, False) if model.startswith("practice") else (True,):
                await portal.ask("POST", path, {"model": model, "stream": stream, **asked}, token=token)
    await portal.ask("POST", "/v1/chat/completions", {"model": "practice", "messages": MESSAGES}, token=token)
    await portal.ask("POST", "/api/embed", {"model": "practice-embed", "input": ["tea", "coffee"]}, token=token)
    await leave_in_the_middle(portal, practice, token)
    await rows_of(17)

    assert await counted_in_the_ledger(door="api") == counted_by(practice)
    assert await Usage.objects.filter(outcome="stopped", output_tokens=BREAKS_AFTER).acount() == 1


async def leave_in_the_middle(portal, practice, token) -> None:
    body = {"model": "fault-gate", "messages": MESSAGES}
    async with connection(portal.url) as (reader, writer):
        writer.write(request_bytes("POST", "/api/chat", body, Authorization=f"Bearer {token}"))
        await read_head(reader)
        lines = 0
        while lines < BREAKS_AFTER:
            lines += (await read_chunk(reader)).count(b"\n")
    await practice.wait_for(lambda: practice.requests[-1].outcome == "left")


async def test_in_the_background(portal, practice, alice):
    await ask_in_the_background(alice, "practice")
    for model in ("fault-trunc", "fault-st500"):
        with pytest.raises(OllamaError):
            await ask_in_the_background(alice, model)
    vectors = Vectors(person=alice.pk, model="practice-embed", texts=["tea", "coffee"], door=Usage.Door.BACKGROUND)
    async with aclosing(usage.metered(vectors)) as events:
        assert [event async for event in events]

    assert await counted_in_the_ledger(door="background") == counted_by(practice)


async def test_what_is_asked_to_learn_about_a_model_counts_too(portal, practice, driver, alice):
    conversation = await ask_on_a_page(alice, "fault-trunc")
    await rows_of(1)
    answer = await conversation.messages.aget(role="assistant")
    await sync_to_async(services.go_on)(answer=answer, asker=alice)
    await rows_of(3)

    assert await counted_in_the_ledger() == counted_by(practice)
    assert await Usage.objects.filter(door="background").acount() == 1


@pytest.mark.parametrize("is_kept", [False, True], ids=["is away", "keeps it unheard"])
async def test_a_row_is_written_once_when_the_database(portal, practice, alice, monkeypatch, is_kept):
    monkeypatch.setattr("webui.db.AGAIN_S", 0)
    write, times = ledger.write, iter([1, 2])

    def lose_the_connection_twice(row: Usage) -> None:
        is_lost = next(times, None)
        if is_kept or not is_lost:
            write(row)
        if is_lost:
            raise OperationalError("the connection is lost")

    monkeypatch.setattr(ledger, "write", lose_the_connection_twice)
    await ask_in_the_background(alice, "practice")

    assert await Usage.objects.acount() == 1
    assert await counted_in_the_ledger() == counted_by(practice)
