"""Downloads of layers: one per digest, whoever asks for it."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from .models import Layer

STEPS = 100  # of a large layer
SMALLEST_STEP = 64 * 1024  # bytes


class Transfer:
    """The download of one layer. It runs while anybody follows it, and goes on where it stopped.

    ``pause_s`` says how long a step takes; a transfer with a ``gate`` waits half-way until the gate opens.
    """

    def __init__(self, layer: Layer, pause_s: Callable[[], float], gate: asyncio.Event | None = None) -> None:
        self.layer = layer
        self.completed = 0
        self._pause_s = pause_s
        self._gate = gate
        self._followers = 0
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()

    @property
    def is_done(self) -> bool:
        return self.completed >= self.layer.size

    @property
    def is_past_half(self) -> bool:
        return self.completed * 2 >= self.layer.size

    async def follow(self) -> AsyncGenerator[int, None]:
        """Yield the bytes that are here: now, and whenever there are more."""
        self._followers += 1
        try:
            self._task = self._task or asyncio.create_task(self._run())
            seen = -1
            while seen < self.layer.size:
                seen = await self._more_than(seen)
                yield seen
        finally:
            self._followers -= 1
            if not self._followers:
                self._stop()

    async def _more_than(self, seen: int) -> int:
        async with self._moved:
            await self._moved.wait_for(lambda: self.completed > seen)
        return self.completed

    def _stop(self) -> None:
        if self._task:
            self._task.cancel()
        self._task = None

    async def _run(self) -> None:
        step = max(self.layer.size // STEPS, SMALLEST_STEP)
        while not self.is_done:
            await asyncio.sleep(self._pause_s())
            if self._gate and self.is_past_half:
                await self._gate.wait()
            self.completed = min(self.completed + step, self.layer.size)
            async with self._moved:
                self._moved.notify_all()
