"""A live answer in the process that drives it: its text so far, and the frames that make pages follow it.

Text is append-only. Every language somebody watches in has a view of it, rendered once for all its watchers
(streaming frames are explained in chat/live.py). Lives on the event loop; ``text``, ``thinking`` and
``progress`` may be read from any thread.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from django.utils import timezone

from chat.markdown import Frame, GrowingMarkdown, Snapshot
from chat.words import labels_in, prefix_of
from webui.text import compact

FLUSH_S = 0.030
FLUSHES_PER_S = 1_000  # of all answers of a process together: beyond that each is flushed less often
LONGEST_FLUSH_S = 0.150
FLUSH_COSTS = 8  # never render more often than this many times the last rendering took
FRAMES_KEPT = 32


class Phase(StrEnum):
    """The five waits a person can tell apart."""

    QUEUED = "queued"
    LOADING = "loading"
    READING = "reading"
    THINKING = "thinking"
    WRITING = "writing"


@dataclass(frozen=True, slots=True)
class Progress:
    """What a live answer is doing, for the waiting words.

    ``place`` is 1 for next in line; ``busy``: in line again, because the host had too many requests;
    ``silent_since``: nothing has come for long.
    """

    phase: Phase = Phase.QUEUED
    since: datetime | None = None
    place: int | None = None
    about_s: float | None = None
    busy: bool = False
    silent_since: datetime | None = None
    host: str = ""
    practice: bool = False
    thought_s: float | None = None

    def differs_from(self, other: "Progress") -> bool:
        """Whether pages should hear of it; the clocks they show go on by themselves."""
        told = (self.phase, self.place, self.busy, self.silent_since is None)
        return told != (other.phase, other.place, other.busy, other.silent_since is None)


class Track:
    """One kind of text of a live answer: the answer itself or the thinking before it."""

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.parts = [text] if text else []
        self.length = len(text)
        self.views: dict[str, View] = {}

    @property
    def text(self) -> str:
        return "".join(tuple(self.parts))

    def append(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)
        for view in self.views.values():
            view.markdown.append(text)


class View:
    """A track in one language, as pages follow it: a state to start from and the last few frames."""

    def __init__(self, run: UUID, track: int, markdown: GrowingMarkdown) -> None:
        self.markdown = markdown
        self.end = 0  # how many frames there were
        self._address = {"r": str(run), "t": track}
        self._frames: deque[str] = deque(maxlen=FRAMES_KEPT)

    def flush(self) -> bool:
        """Render what is new; whether anything was."""
        return self._keep(self.markdown.flush())

    def finish(self) -> bool:
        """Render the whole text once more; whether that differs from what grew."""
        return self._keep(self.markdown.finish())

    def since(self, position: int) -> Iterator[str]:
        """The frames after ``position``, or one snapshot when they are no longer kept."""
        missing = self.end - position
        if missing > len(self._frames):
            yield self.snapshot()
        else:
            yield from list(self._frames)[len(self._frames) - missing :]

    def snapshot(self) -> str:
        state = {"f": self.markdown.frozen_html, "o": self.markdown.open_html}
        return compact({**self._address, "snap": state, "n": self.markdown.length})

    def _keep(self, change: Frame | Snapshot | None) -> bool:
        if change is None:
            return False
        if isinstance(change, Snapshot):
            self._frames.clear()
            self.end += FRAMES_KEPT + 1  # whoever follows is now too far behind for frames
        else:
            self._frames.append(compact({**self._address, **_fields(change)}))
            self.end += 1
        return True


class GrowingAnswer:
    """The live answer of one run."""

    _unflushed: ClassVar[int] = 0  # how many answers of this process have text that pages have not seen

    def __init__(self, *, run: UUID, message: UUID, conversation: UUID, text: str = "", thinking: str = "") -> None:
        self.run = run
        self.message = message
        self.conversation = conversation
        self.progress = Progress(since=timezone.now())
        self.answer = Track(0, text)
        self.thought = Track(1, thinking)
        self.grew: Callable[[], None] = lambda: None  # set by the hub: tells whoever follows
        self._closed = False
        self._flush_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def text(self) -> str:
        return self.answer.text

    @property
    def thinking(self) -> str:
        return self.thought.text

    def turn_to(self, phase: Phase, **facts: object) -> None:
        """Enter a phase; the clock shown beside it starts now."""
        since = self.progress.since if phase == self.progress.phase else timezone.now()
        self.progress = replace(self.progress, phase=phase, since=since, **facts)  # type: ignore[arg-type]

    def append(self, *, text: str, thinking: str) -> None:
        """Add what the model said; pages see it within ``FLUSH_S``, at once when nothing came lately."""
        if thinking:
            self.thought.append(thinking)
        if text:
            self.answer.append(text)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._flush_at), self._flush)
            GrowingAnswer._unflushed += 1

    def views(self, language: str) -> list[View]:
        """Both tracks in a language, made when the first page asks for it."""
        return [self._view(track, language) for track in (self.thought, self.answer)]

    def close(self) -> None:
        """No more text comes: bring every view to its final state."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
            self._end_wait()
        for track in (self.thought, self.answer):
            for view in track.views.values():
                view.flush()
                view.finish()
        self.grew()

    def _view(self, track: Track, language: str) -> View:
        if language not in track.views:
            prefix = prefix_of(self.message, thinking=track is self.thought)
            markdown = GrowingMarkdown(labels=labels_in(language), prefix=prefix, text=track.text)
            view = View(self.run, track.number, markdown)
            view.flush()
            if self._closed:
                view.finish()
            track.views[language] = view
        return track.views[language]

    def _end_wait(self) -> None:
        self._timer = None
        GrowingAnswer._unflushed -= 1

    def _flush(self) -> None:
        self._end_wait()
        began = time.perf_counter()
        views = [view for track in (self.thought, self.answer) for view in track.views.values()]
        # Not any(generator): every view must be flushed.
        grew = [view.flush() for view in views]
        took = time.perf_counter() - began
        together = min(LONGEST_FLUSH_S, GrowingAnswer._unflushed / FLUSHES_PER_S)
        self._flush_at = asyncio.get_running_loop().time() + max(FLUSH_S, together, FLUSH_COSTS * took)
        if True in grew:
            self.grew()


def _fields(frame: Frame) -> dict[str, object]:
    return {"n": [frame.start, frame.end], "k": frame.keep, "h": frame.html, "z": frame.frozen}
