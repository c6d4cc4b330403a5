"""The models that are loaded, who waits for them, and how long they stay."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from .models import PracticeModel, full_name

KEEP_ALIVE_S = 300.0
QUEUE_LIMIT = 512


class Loaded:
    """A model that is loaded, or soon will be. Its slots are granted in the order of asking."""

    def __init__(self, model: PracticeModel, slots: int) -> None:
        self.model = model
        self.keep_alive_s = KEEP_ALIVE_S
        self.is_wedged = "wedge" in model.speaks
        self._slots = asyncio.Semaphore(slots)
        self._busy = 0
        self._idle_since: float | None = None

    @property
    def expires(self) -> float:
        """When it goes, by the monotonic clock; while it answers that is not yet known."""
        idle_since = time.monotonic() if self._busy or self._idle_since is None else self._idle_since
        return idle_since + self.keep_alive_s

    @property
    def is_in_memory(self) -> bool:
        if self._busy:
            return True
        return self._idle_since is not None and self.expires > time.monotonic()

    @asynccontextmanager
    async def granted(self, keep_alive_s: float | None) -> AsyncIterator[Self]:
        """Wait for a slot, and for the model to be in memory. Whoever goes while it loads aborts the loading."""
        async with self._slots:
            if not self.is_in_memory:
                await asyncio.sleep(self.model.load_s)
                self.keep_alive_s = KEEP_ALIVE_S
            if keep_alive_s is not None:
                self.keep_alive_s = keep_alive_s
            self._busy += 1
            try:
                yield self
            finally:
                self._busy -= 1
                self._idle_since = time.monotonic()

    def unload(self) -> None:
        """Go, after the answers that are being given."""
        self.keep_alive_s = 0.0
        self.is_wedged = False


class Memory:
    """``slots``: answers at once per model."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._entries: dict[str, Loaded] = {}
        self._waiting = 0

    @property
    def is_full(self) -> bool:
        return self._waiting >= QUEUE_LIMIT

    def entry(self, model: PracticeModel) -> Loaded:
        entry = self._entries.setdefault(full_name(model.name), Loaded(model, self._slots))
        entry.model = model
        return entry

    def running(self) -> list[Loaded]:
        """Those in memory, the one that stays longest first."""
        loaded = [entry for entry in self._entries.values() if entry.is_in_memory]
        return sorted(loaded, key=lambda entry: entry.expires, reverse=True)

    @asynccontextmanager
    async def granted(self, model: PracticeModel, keep_alive_s: float | None) -> AsyncIterator[Loaded]:
        self._waiting += 1
        try:
            async with self.entry(model).granted(keep_alive_s) as entry:
                yield entry
        finally:
            self._waiting -= 1
