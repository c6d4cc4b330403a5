"""The ledger: one row for whatever was asked of a model, through whichever door, and however it ended."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from webui.db import DatabaseAway, wait_db
from webui.ids import uuid7
from webui.inference import door, ledger
from webui.inference.door import AnyOrder, Event, Started
from webui.inference.models import Usage
from webui.inference.quotas import QuotaReached
from webui.ollama import ChatChunk, Counters, Embeddings, GenerateChunk, OllamaError

PATIENCE_S = 2.0

_writing: set[asyncio.Task[None]] = set()


async def metered(order: AnyOrder) -> AsyncGenerator[Event, None]:
    """What happens to an order, as the door says it; and in the end a row. Closing it early is stopping it.

    For what no run of a conversation keeps: runs write their row together with their answer.
    """
    meter = Meter(order)
    try:
        async with aclosing(door.stream(order)) as events:
            async for event in events:
                meter.take(event)
                yield event
        meter.outcome = Usage.Outcome.DONE
    except QuotaReached:
        meter.let_in = False
        raise
    except (OllamaError, *DatabaseAway):
        meter.outcome = Usage.Outcome.FAILED
        raise
    finally:
        if meter.let_in:
            await _keep(meter.row())


async def _keep(row: Usage) -> None:
    """Whoever asked does not wait long for a database that is away."""
    writing = asyncio.create_task(wait_db(ledger.write, row))
    _writing.add(writing)
    writing.add_done_callback(_writing.discard)
    await asyncio.wait({writing}, timeout=PATIENCE_S)


class Meter:
    """Adds up what one order costs."""

    def __init__(self, order: AnyOrder) -> None:
        self.outcome = Usage.Outcome.STOPPED
        self.let_in = True
        self._order = order
        self._began = time.monotonic()
        self._asked: float | None = None
        self._figures: dict[str, float] = {"output_tokens": 0, "prompt_tokens": 0}
        self._host = ""

    def take(self, event: Event) -> None:
        match event:
            case Started(host=host, queue_ms=queue_ms):
                self._host, self._asked = host, time.monotonic()
                self._figures["queue_ms"] = queue_ms
            case Embeddings():
                self._figures["prompt_tokens"] = event.prompt_tokens
            case ChatChunk() | GenerateChunk():
                self._take_chunk(event)
            case bytes():
                self._note_first_piece()
                self._figures["output_tokens"] += event.count(b"\n")  # each line is a piece
            case Counters():
                self._take_counters(event)

    def row(self) -> Usage:
        total_ms = (time.monotonic() - self._began) * 1000
        return Usage(
            run=uuid7(),
            door=self._order.door,
            user_id=self._order.person,
            token=self._order.token,
            host=self._host,
            model=self._order.model,
            outcome=self.outcome,
            total_ms=total_ms,
            **self._figures,
        )

    def _take_chunk(self, chunk: ChatChunk | GenerateChunk) -> None:
        self._note_first_piece()
        if chunk.counters:
            self._take_counters(chunk.counters)
        elif chunk.text or chunk.thinking:
            self._figures["output_tokens"] += 1  # until the host says how many, each piece is one

    def _take_counters(self, counters: Counters) -> None:
        self._figures["output_tokens"] = counters.output_tokens
        self._figures["prompt_tokens"] = counters.prompt_tokens
        self._figures["load_ms"] = counters.load_ms

    def _note_first_piece(self) -> None:
        if self._asked is not None:
            self._figures.setdefault("first_piece_ms", (time.monotonic() - self._asked) * 1000)
