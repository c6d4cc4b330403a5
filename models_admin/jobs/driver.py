"""Does the jobs of one process: claims those nobody does, follows them, stores how they end.

Created by ``webui/processes.py``. ``wake`` may be called from any thread; without a driver in the process it
does nothing, for another process will find the row.
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from typing import Any
from uuid import UUID, uuid4

from models_admin.jobs import state
from models_admin.jobs.progress import Figures, Tally
from models_admin.jobs.steps import steps
from models_admin.jobs.story import ending, story_of
from models_admin.jobs.troubles import trouble_of
from models_admin.models import Job, State
from webui.db import DatabaseAway, run_db
from webui.inference import hosts
from webui.inference.clients import client_of
from webui.ollama import OllamaError

log = logging.getLogger(__name__)

LOOK_S = 1.0  # how often to look for rows that nobody announced
RECORD_S = 0.25
RENEW_S = 3.0
STORE_AGAIN_S = 1.0
JOBS_AT_ONCE = 50

_driver: "JobDriver | None" = None


def wake() -> None:
    """There is a new job, or somebody wants one cancelled."""
    if _driver:
        _driver.loop.call_soon_threadsafe(_driver.look_now)


class JobDriver:
    """One per process. ``owner`` marks its jobs in the database."""

    def __init__(self) -> None:
        self.owner = uuid4()
        self.loop = asyncio.get_running_loop()
        self._doing: dict[int, Doing] = {}
        self._burying: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()
        self._renewed_at = 0.0

    def open(self) -> None:
        """Start looking for jobs."""
        global _driver  # noqa: PLW0603  one driver per process
        _driver = self
        self._claiming = _task(self._claim())
        self._recording = _task(self._record())

    async def close(self) -> None:
        """Take no more jobs and hand over those that run: the host keeps what it has, the next process goes on."""
        global _driver  # noqa: PLW0603
        _driver = None
        self._claiming.cancel()
        await asyncio.gather(self._claiming, return_exceptions=True)
        running = [doing.task for doing in self._doing.values()]
        for doing in list(self._doing.values()):
            doing.end(None)
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(*self._burying, return_exceptions=True)
        self._recording.cancel()
        await asyncio.gather(self._recording, return_exceptions=True)

    def look_now(self) -> None:
        self._renewed_at = 0.0
        self._look.set()

    async def _claim(self) -> None:
        while True:
            try:
                for job in await run_db(state.claim, self.owner, JOBS_AT_ONCE - len(self._doing)):
                    self._do(job)
            except DatabaseAway:
                log.warning("cannot claim jobs: the database does not answer")
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._look.wait()
            self._look.clear()

    def _do(self, job: Job) -> None:
        doing = Doing(job, self.owner)
        self._doing[job.pk] = doing
        doing.task = _task(doing.run())
        doing.task.add_done_callback(lambda done: self._ended(job, doing, done))

    def _ended(self, job: Job, doing: "Doing", task: asyncio.Task[None]) -> None:
        del self._doing[job.pk]
        if not task.cancelled() and task.exception():
            log.error("job %s died", job.pk, exc_info=task.exception())
            # An error of ours, that would come again and again with whoever claims the job.
            burying = _task(doing.give_up())
            self._burying.add(burying)
            burying.add_done_callback(self._burying.discard)

    async def _record(self) -> None:
        """Store figures that changed, a few times a second however fast the hosts report; and renew the leases."""
        while True:
            await asyncio.sleep(RECORD_S)
            now = time.monotonic()
            renew = now - self._renewed_at > RENEW_S
            moved = {pk: doing for pk, doing in self._doing.items() if renew or doing.has_moved(now)}
            if not moved:
                continue
            try:
                wanted = await run_db(state.record, self.owner, {pk: doing.show(now) for pk, doing in moved.items()})
            except DatabaseAway:
                log.warning("cannot record jobs: the database does not answer")
                continue
            self._renewed_at = now if renew else self._renewed_at
            for pk, doing in moved.items():
                doing.hear(wanted.get(pk))


class Doing:
    """One job, from its first line to the ending that is stored. Whatever ends it: the host, a person, a fault."""

    task: asyncio.Task[None]

    def __init__(self, job: Job, owner: UUID) -> None:
        self._job = job
        self._owner = owner
        self._tally = Tally()
        self._story = story_of(job.pk)
        self._shown = self._tally.figures(time.monotonic())
        self._over = False  # no line comes any more
        self._lost = False
        self._ends_as: State | None = None

    def has_moved(self, now: float) -> bool:
        return self._tally.figures(now) != self._shown

    def show(self, now: float) -> Figures:
        self._shown = self._tally.figures(now)
        return self._shown

    def hear(self, cancelled: bool | None) -> None:  # noqa: FBT001  an answer of the database
        """What the row says: somebody wants it cancelled, or (None) it is not ours any more."""
        if cancelled is None and not self._over:
            self._lost = True
        if cancelled is None or cancelled:
            self.end(State.CANCELLED)

    def end(self, ends_as: State | None) -> None:
        """Stop at the host; None: somebody else goes on with it."""
        if not self._over:
            self._over = True
            self._ends_as = ends_as
            self.task.cancel()

    async def run(self) -> None:
        """Do it, then store the ending."""
        job: Job = self._job
        failure: OllamaError | None = None
        client = client_of(job.place)
        try:
            async with aclosing(steps(job, client)) as lines:
                async for line in lines:
                    self._tally.take(line, time.monotonic())
                    self._story.say(line)
            ends_as: State | None = State.DONE
        except asyncio.CancelledError:
            if not self._over:
                raise
            self.task.uncancel()
            ends_as = self._ends_as
        except OllamaError as error:
            ends_as, failure = State.FAILED, error
            log.info("job %s failed: %s", job.pk, trouble_of(error))
        self._over = True
        if self._lost:
            return
        if ends_as == State.DONE:
            # So that the pages show what there is now, before they say that it is done.
            with suppress(*DatabaseAway):
                await hosts.refresh(job.place, client)
        await self._store(ends_as, trouble_of(failure) if failure else "", str(failure or ""))
        self._story.end(ending(ends_as, failure))

    async def give_up(self) -> None:
        """It failed in a way that nobody thought of."""
        await self._store(State.FAILED, "internal", "")
        self._story.end(ending(State.FAILED, None))

    async def _store(self, ends_as: State | None, error: str, detail: str) -> None:
        """However long the database is away; nobody else may claim the job meanwhile."""
        job, figures = self._job.pk, self._tally.figures(time.monotonic())
        while True:
            try:
                if ends_as is None:
                    await run_db(state.hand_over, job, self._owner, figures)
                else:
                    await run_db(state.finish, job, self._owner, ends_as, figures, error=error, detail=detail)
            except DatabaseAway:
                log.warning("job %s: cannot store its ending yet", job)
                await asyncio.sleep(STORE_AGAIN_S)
            else:
                return


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """With an empty context: what happened to create the task must not leak into it."""
    return asyncio.create_task(work, context=contextvars.Context())
