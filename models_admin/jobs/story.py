"""What a host says while it does a job, line by line, for whoever follows it.

A job is followed where it is done, as a run is, or else by its row. Lines about the same thing replace each other,
so a job of days is no longer than its layers, and who follows slowly skips what has become old.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from weakref import WeakValueDictionary

from models_admin.models import Job, State
from webui.db import DatabaseAway, read_db
from webui.ollama import HostFailed, OllamaError, Progress

LOOK_S = 0.5  # how often to look at the row of a job about which nothing is said here
LINES = 1000
SUCCESS = "success"

Phase = Job.Phase

# What a host would say of a job that another process does.
SAID = {
    Phase.MANIFEST: "pulling manifest",
    Phase.MOVING: "pulling",
    Phase.CHECKING: "verifying sha256 digest",
    Phase.MAKING: "creating new layer",
    Phase.WRITING: "writing manifest",
}


class NotDone(Exception):
    """A job that ended otherwise than by its host; the message says how."""


class Story:
    """The lines so far, and how it ended. ``news`` is set, and another one taken, whenever there is more."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.is_over = False
        self.failure: Exception | None = None
        self._lines: dict[tuple[str, str], tuple[int, Progress]] = {}
        self._said = 0

    @property
    def is_silent(self) -> bool:
        return self._said == 0

    def say(self, line: Progress) -> None:
        if line.status == SUCCESS:  # the portal says so itself, when it has stored it
            return
        about = line.status, line.digest
        self._lines.pop(about, None)
        self._said += 1
        self._lines[about] = self._said, line
        if len(self._lines) > LINES:
            del self._lines[next(iter(self._lines))]
        self._tell()

    def end(self, failure: Exception | None = None) -> None:
        """Done, or else why not."""
        self.is_over, self.failure = True, failure
        self._tell()

    def since(self, heard: int) -> tuple[list[Progress], int]:
        """What was said after so many lines, and how many there are now."""
        return [line for number, line in self._lines.values() if number > heard], self._said

    def _tell(self) -> None:
        self.news.set()
        self.news = asyncio.Event()


_stories: WeakValueDictionary[int, Story] = WeakValueDictionary()


def story_of(job: int) -> Story:
    """One for all who tell it or follow it, as long as any of them is there."""
    return _stories.setdefault(job, Story())


async def follow(job: int) -> AsyncGenerator[Progress, None]:
    """What the host says, up to its success; that line comes when the job is stored as done.

    Raises OllamaError as the host failed, and NotDone.
    """
    story, heard = story_of(job), 0
    told: Progress | None = None
    while True:
        news, is_over = story.news, story.is_over
        lines, heard = story.since(heard)
        for line in lines:
            yield line
        if is_over:
            break
        if await _comes(news):
            continue
        elsewhere = await _in_the_row(job, story)
        if elsewhere and elsewhere != told:
            yield elsewhere
        told = elsewhere
    if story.failure:
        raise story.failure
    yield Progress(SUCCESS)


async def _comes(news: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_S):
            return await news.wait()
    return False


async def _in_the_row(job: int, story: Story) -> Progress | None:
    """How far a job is that is done elsewhere. It may be over meanwhile."""
    try:
        row = await read_db(Job.objects.get, pk=job)
    except DatabaseAway:
        return None
    if not row.live:
        story.end(_failure_of(row))
    if story.is_silent and row.phase in SAID:
        return Progress(SAID[Phase(row.phase)], total=row.total, completed=row.completed)
    return None


def ending(state: State | None, failure: OllamaError | None) -> Exception | None:
    """Why a job is not done; nothing when it is."""
    if state == State.DONE:
        return None
    if state is None:
        return NotDone("the portal restarts; what was begun goes on by itself")
    return failure or NotDone("cancelled" if state == State.CANCELLED else "internal error")


def _failure_of(row: Job) -> Exception | None:
    failed = row.state == State.FAILED and row.error_detail
    return ending(State(row.state), HostFailed(row.error_detail, 500) if failed else None)
