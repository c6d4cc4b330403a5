"""Waiting for one's turn in this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from webui.inference.line import Line

LineKey = tuple[int, str]  # host, model
Report = Callable[["Place"], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody stands: 1 is next. ``about_s`` is an estimate in seconds, where there is one."""

    number: int
    about_s: float | None


class Turns:
    """The lines of this process, and the tasks that stand in them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: dict[LineKey, Line[_Waiter]] = {}

    def waiting(self, key: LineKey) -> int:
        """How many hold or await a slot there."""
        return len(self._lines[key]) if key in self._lines else 0

    @asynccontextmanager
    async def take(self, key: LineKey, *, slots: int, person: int, report: Report) -> AsyncIterator[None]:
        """Wait for a slot and hold it inside the block; ``report`` hears of every change of place."""
        line = self._lines.setdefault(key, Line(slots))
        line.slots = slots
        waiter = _Waiter(report)
        line.join(waiter, person)
        try:
            self._move(line)
            await waiter.admitted.wait()
            yield
        finally:
            line.leave(waiter, self._clock())
            self._move(line)

    def _move(self, line: "Line[_Waiter]") -> None:
        for waiter in line.admit(self._clock()):
            waiter.admitted.set()
        for number, waiter in enumerate(line.in_order(), 1):
            waiter.tell(Place(number, line.about(number)))


class _Waiter:
    """One task in a line."""

    def __init__(self, report: Report) -> None:
        self.admitted = asyncio.Event()
        self._report = report
        self._told: int | None = None

    def tell(self, place: Place) -> None:
        if place.number != self._told:
            self._told = place.number
            self._report(place)
