"""Drives the runs of one process: claims queued ones, streams them through the door, stores how they end.

Created by ``webui/processes.py``. ``wake`` and ``stop`` may be called from any thread; without a driver in
the process they do nothing, for another process will find the row.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID, uuid4

from chat import hub, live
from chat.models import Run
from chat.runs import state
from chat.runs.execution import Execution
from chat.runs.growing import GrowingAnswer
from chat.runs.record import Recorder
from webui.db import DatabaseAway, run_db
from webui.tasks import lasting_task, task

log = logging.getLogger(__name__)

LOOK_S = 1.0  # how often to look for rows that nobody announced
SWEEP_S = 5.0
CLAIM_AT_ONCE = 200

_driver: "Driver | None" = None


def wake() -> None:
    """A run was queued."""
    if _driver:
        _driver.loop.call_soon_threadsafe(_driver.look_now)


def stop(run: UUID) -> None:
    """Somebody pressed Stop."""
    if _driver:
        _driver.loop.call_soon_threadsafe(_driver.stop_run, run)


class Driver:
    """One per process. ``owner`` marks its runs in the database."""

    def __init__(self, *, sweep: Callable[[], None], go_on: Callable[[Run], None]) -> None:
        self._sweep_once = sweep
        self._go_on = go_on
        self.owner = uuid4()
        self.loop = asyncio.get_running_loop()
        self.recorder = Recorder(self.owner, alive=self._alive, on_renewed=self._renewed, on_delay=live.saving_changed)
        self._executions: dict[UUID, Execution] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()

    def open(self) -> None:
        """Start looking for runs."""
        global _driver  # noqa: PLW0603  one driver per process
        _driver = self
        hub.open_on(self.loop)
        self._claiming = lasting_task("claiming runs", self._claim)
        self._sweeping = lasting_task("sweeping", self._sweep)
        self._recording = lasting_task("recording", self.recorder.record)

    async def close(self, grace_s: float) -> None:
        """Take no more runs, let the running ones end within ``grace_s``, hand over the rest."""
        self._claiming.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for execution in list(self._executions.values()):
            execution.hand_over()
        if self._running:
            await asyncio.wait(self._running)
        global _driver  # noqa: PLW0603
        _driver = None
        self._sweeping.cancel()
        self.recorder.close()
        await asyncio.gather(self._claiming, self._sweeping, self._recording, return_exceptions=True)

    def look_now(self) -> None:
        self._look.set()

    def stop_run(self, run: UUID) -> None:
        if execution := self._executions.get(run):
            execution.stop()

    async def _claim(self) -> None:
        while True:
            try:
                for run in await run_db(state.claim, self.owner, CLAIM_AT_ONCE):
                    self._drive(run)
            except DatabaseAway:
                log.warning("cannot claim runs: the database does not answer")
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._look.wait()
            self._look.clear()

    async def _sweep(self) -> None:
        while True:
            try:
                if self.recorder.leases_are_true:
                    await run_db(self._sweep_once)
            except DatabaseAway:
                log.warning("cannot sweep: the database does not answer")
            await asyncio.sleep(SWEEP_S)

    def _drive(self, run: Run) -> None:
        answer = GrowingAnswer(
            run=run.pk,
            message=run.answer_id,
            conversation=run.conversation_id,
            text=run.answer.text,
            thinking=run.answer.thinking,
        )
        hub.begin(answer)
        execution = Execution(run, answer, self.owner, self.recorder, go_on=self._go_on)
        self._executions[run.pk] = execution
        execution.task = task(execution.run())
        self._running.add(execution.task)
        execution.task.add_done_callback(lambda done: self._ended(execution, done))

    def _ended(self, execution: Execution, done: asyncio.Task[None]) -> None:
        self._running.discard(done)
        if not done.cancelled() and (bug := done.exception()):
            self._report(execution, bug)
        else:
            self._forget(execution)

    def _report(self, execution: Execution, bug: BaseException) -> None:
        """An answer ends, whatever happens; people read a number by which the log can be searched."""
        number = secrets.token_hex(4)
        log.error("error %s in run %s", number, execution.run_id, exc_info=bug)
        ending = task(execution.end_by_bug(number))
        self._running.add(ending)
        ending.add_done_callback(lambda done: self._ended_by_bug(execution, done))

    def _ended_by_bug(self, execution: Execution, done: asyncio.Task[None]) -> None:
        self._running.discard(done)
        self._forget(execution)
        if not done.cancelled() and (bug := done.exception()):  # then its lease runs out, and a sweep ends it
            log.error("run %s could not be ended", execution.run_id, exc_info=bug)

    def _forget(self, execution: Execution) -> None:
        self._executions.pop(execution.run_id, None)
        hub.end(execution.answer)

    def _alive(self) -> list[UUID]:
        return list(self._executions)

    def _renewed(self, ours: dict[UUID, bool]) -> None:
        """Leases were renewed: stop what others asked to stop, drop what is no longer ours."""
        for run, execution in list(self._executions.items()):
            if ours.get(run):
                execution.stop()
            elif run not in ours and execution.since_claim_s > state.LEASE.total_seconds():
                execution.abandon()
