"""One run from its place in line to its last word."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from chat import live
from chat.models import Message, Run, RunPiece, State
from chat.runs import state
from chat.runs.growing import GrowingAnswer, Phase
from chat.runs.record import CannotSave, Piece, Recorder
from chat.runs.state import Ending
from chat.tree import path_of
from webui import faults
from webui.db import DatabaseAway, wait_db
from webui.inference import door
from webui.inference.door import Busy, CannotContinue, Order, Reading, Started, Waiting
from webui.ollama import ChatChunk, OllamaError, UnexpectedAnswer

log = logging.getLogger(__name__)

SILENT_SHARE = 0.1  # of the time after which a silent model is given up: then pages say that nothing comes
FAULT_AT = 5  # pieces
SPOKEN_PHASES = {Phase.READING, Phase.THINKING, Phase.WRITING}


class Execution:
    """Feeds one live answer. Exactly one ending is stored, whatever ends it: the model, a person, a fault."""

    task: asyncio.Task[None]

    def __init__(
        self,
        run: Run,
        answer: GrowingAnswer,
        owner: UUID,
        recorder: Recorder,
        *,
        go_on: Callable[[Run], None],
    ) -> None:
        self._run = run
        self._go_on = go_on
        self.answer = answer
        self._owner = owner
        self._recorder = recorder
        self._clock = Clock()
        self._phases: asyncio.Queue[Callable[[], object] | None] = asyncio.Queue()
        self._interruption: State | None = None
        self._has_streamed = False
        self._abandoned = False
        self._last: ChatChunk | None = None

    @property
    def run_id(self) -> UUID:
        return self._run.pk

    @property
    def since_claim_s(self) -> float:
        return time.monotonic() - self._clock.claimed

    def stop(self) -> None:
        """A person wants it to end here."""
        self._interrupt(State.STOPPED)

    def hand_over(self) -> None:
        """The process ends; another one may go on."""
        self._interrupt(State.INTERRUPTED)

    def abandon(self) -> None:
        """Another process has ended the run: what it stored stands."""
        self._abandoned = True
        self._interrupt(State.INTERRUPTED)

    async def run(self) -> None:
        """Stream, then store the ending."""
        storing = asyncio.create_task(self._store_phases())
        listening = asyncio.create_task(self._notice_silence())
        try:
            ending = await self._stream()
            self._has_streamed = True
            self._phases.put_nowait(None)
            await storing
        finally:
            storing.cancel()
            listening.cancel()
        self.answer.close()
        await self._end(ending)

    async def end_by_bug(self, number: str) -> None:
        """What ``run`` could not end: by the number its record is found in the log."""
        self._has_streamed = True
        await self._end(self._ending(State.FAILED, "bug", number))

    async def _end(self, ending: Ending) -> None:
        if self._abandoned:
            return
        await self._recorder.forget(self._run.pk)
        faults.here("before_final_write")
        await self._store(ending)

    def _interrupt(self, ends_as: State) -> None:
        # Cancelled once only: a second cancel could leave the connection to the host open. And never while its
        # ending is stored: then the pages would not hear of it.
        if self._interruption is None and not self._has_streamed:
            self._interruption = ends_as
            self.task.cancel()

    async def _stream(self) -> Ending:
        try:
            await self._ask()
        except asyncio.CancelledError:
            if self._interruption is None:
                raise
            self.task.uncancel()
            return self._ending(self._interruption)
        except CannotContinue:
            return self._ending(State.INTERRUPTED)
        except CannotSave:
            log.warning("run %s failed: there is no room for more unsaved text", self._run.pk)
            return self._ending(State.FAILED, "unsaved")
        except UnexpectedAnswer as error:
            # Not in Ollama's words: they say nothing to people, and something to whoever looks after the host.
            log.warning("run %s failed: %s: %s", self._run.pk, error.kind, error)
            return self._ending(State.FAILED, error.kind)
        except OllamaError as error:
            log.info("run %s failed: %s", self._run.pk, error.kind)
            return self._ending(State.FAILED, error.kind, str(error), until=error.until)
        return self._ending(State.DONE)

    async def _ask(self) -> None:
        """Ask, and take what is answered. The door needs the database until the host answers: then it asks again."""
        while True:
            order = await wait_db(order_of, self._run)
            try:
                async with aclosing(door.stream(order)) as events:
                    async for event in events:
                        self._take(event)
            except DatabaseAway:
                log.warning("run %s: asks again, the database did not answer", self._run.pk)
            else:
                return

    def _take(self, event: door.Event) -> None:
        match event:
            case Waiting(place):
                self._enter(Phase.QUEUED, place=place.number, about_s=place.about_s, busy=False)
            case Busy():
                self._phases.put_nowait(partial(state.back_in_line, self._run, self._owner))
                self._enter(Phase.QUEUED, place=None, busy=True)
            case Started(host, practice, cold, queue_ms):
                self._clock.start(queue_ms)
                self._phases.put_nowait(
                    partial(state.start, self._run, self._owner, host=host, practice=practice, cold=cold)
                )
                self._enter(
                    Phase.LOADING if cold else Phase.READING, host=host, practice=practice, place=None, busy=False
                )
            case Reading():
                self._clock.hear()
                self._loaded()
                self._enter(Phase.READING)
            case ChatChunk():
                self._take_chunk(event)

    def _take_chunk(self, chunk: ChatChunk) -> None:
        self._last = chunk
        if not (chunk.text or chunk.thinking):
            return
        self._clock.piece(thinking=not chunk.text)
        if self._clock.pieces == FAULT_AT:
            faults.here("in_mid_answer")
        self._record(RunPiece.Kind.THINKING, self.answer.thought.length, chunk.thinking)
        self._record(RunPiece.Kind.TEXT, self.answer.answer.length, chunk.text)
        self.answer.append(text=chunk.text, thinking=chunk.thinking)
        phase = Phase.WRITING if chunk.text else Phase.THINKING
        progress = self.answer.progress
        if progress.phase != phase or progress.silent_since:
            self._loaded()
            self._enter(phase, thought_s=self._clock.thought_s if chunk.text else None, silent_since=None)

    def _record(self, kind: str, offset: int, text: str) -> None:
        if text:
            self._recorder.add(Piece(self._run.pk, kind, offset, text))

    def _loaded(self) -> None:
        if self.answer.progress.phase == Phase.LOADING:
            self._phases.put_nowait(partial(state.run_on, self._run, self._owner))

    def _enter(self, phase: Phase, **facts: object) -> None:
        """Another phase, or something else of it that the pages should hear of."""
        before = self.answer.progress
        self.answer.turn_to(phase, **facts)
        if self.answer.progress.differs_from(before):
            self._show()

    async def _notice_silence(self) -> None:
        """Say so when nothing comes for long: a person may stop then, or keep waiting."""
        patience_s = settings.OLLAMA_IDLE_SECONDS * SILENT_SHARE
        while True:
            silent_s, phase = self._clock.silent_s, self.answer.progress.phase
            if silent_s >= patience_s and phase in SPOKEN_PHASES:
                self._enter(phase, silent_since=timezone.now() - timedelta(seconds=silent_s))
            await asyncio.sleep(patience_s - silent_s if silent_s < patience_s else patience_s)

    async def _store_phases(self) -> None:
        """Beside the stream, so that no piece waits for the database."""
        while store := await self._phases.get():
            await wait_db(store)

    def _show(self) -> Future[None] | None:
        return live.answer_progressed(self._run.conversation_id, self._run.answer_id)

    async def _store(self, ending: Ending) -> None:
        """Store the ending, however long the database is away; nobody else may claim the run meanwhile."""
        if await wait_db(state.finish, self._run, self._owner, ending):
            await self._tell_of_end()

    async def _tell_of_end(self) -> None:
        told = self._show()
        live.list_changed(self._run.conversation.owner_id)
        if told:  # a page that opens now still finds the text in the hub, or else hears of the end
            await asyncio.wrap_future(told)
        if self._interruption == State.INTERRUPTED:
            await wait_db(self._go_on, self._run)

    def _ending(self, ends_as: State, error: str = "", detail: str = "", *, until: datetime | None = None) -> Ending:
        return Ending(
            ends_as,
            self.answer.text,
            self.answer.thinking,
            error=error,
            error_detail=detail[:500],
            error_until=until,
            stats=self._clock.stats(self._last, self._run.answer.stats),
            usage=self._clock.usage(self._last),
        )


class Clock:
    """When things happened in a run, and the figures that follow from it."""

    def __init__(self) -> None:
        self.claimed = self._heard = time.monotonic()
        self._asked: float | None = None
        self._first: float | None = None
        self._first_text: float | None = None
        self._thinks = False
        self.pieces = 0
        self._queue_ms = 0.0

    def start(self, queue_ms: float) -> None:
        self._asked = self._heard = time.monotonic()
        self._queue_ms = queue_ms

    def hear(self) -> None:
        """The host gave a sign of life."""
        self._heard = time.monotonic()

    def piece(self, *, thinking: bool) -> None:
        now = self._heard = time.monotonic()
        self.pieces += 1
        self._first = self._first or now
        self._thinks = self._thinks or thinking
        if not thinking:
            self._first_text = self._first_text or now

    @property
    def silent_s(self) -> float:
        return time.monotonic() - self._heard

    @property
    def thought_s(self) -> float | None:
        if not self._thinks or self._first is None:
            return None
        return round((self._first_text or time.monotonic()) - self._first, 1)

    def stats(self, last: ChatChunk | None, before: dict[str, object]) -> dict[str, object]:
        """What the line below an answer shows; Ollama's counters where it sent them. Adds to ``before``."""
        counters = last.counters if last else None
        tokens = counters.output_tokens if counters else self.pieces
        earlier = before.get("tokens")
        known = {
            "tokens": tokens + (earlier if before.get("continued") and isinstance(earlier, int) else 0),
            "tokens_per_s": round(tokens / counters.output_ms * 1000, 1) if counters and counters.output_ms else None,
            "prompt_tokens": counters.prompt_tokens if counters else None,
            "first_s": round(self._first - self._asked, 2) if self._first and self._asked else None,
            "queue_s": round(self._queue_ms / 1000, 2),
            "thought_s": self.thought_s or before.get("thought_s"),
            "done_reason": last.done_reason if last else None,
            "continued": before.get("continued"),
            "resumed": before.get("resumed"),
        }
        return {name: value for name, value in known.items() if value is not None}

    def usage(self, last: ChatChunk | None) -> dict[str, float | int]:
        """The figures of the ledger."""
        counters = last.counters if last else None
        figures: dict[str, float | int] = {
            "output_tokens": counters.output_tokens if counters else self.pieces,
            "prompt_tokens": counters.prompt_tokens if counters else 0,
            "load_ms": counters.load_ms if counters else 0,
            "queue_ms": self._queue_ms,
            "total_ms": (time.monotonic() - self.claimed) * 1000,
        }
        if self._first and self._asked:
            figures["first_piece_ms"] = (self._first - self._asked) * 1000
        return figures


def order_of(run: Run) -> Order:
    """What the model is asked: the branch up to the question, and the answer so far when it goes on."""
    messages = [_as_sent(message) for message in path_of(run.conversation, run.answer_id)[:-1]]
    if run.continues:
        messages.append({"role": Message.Role.ASSISTANT.value, "content": run.answer.text})
    return Order(
        person=run.asker_id,
        model=run.model,
        messages=messages,
        think=run.think,
        continues=run.continues,
        automatic=run.automatic,
    )


def _as_sent(message: Message) -> dict[str, object]:
    return {"role": message.role, "content": message.text}
