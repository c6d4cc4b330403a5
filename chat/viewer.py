"""One open page, as the server sees it: what it still has to be told, and how fast it listens."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from chat.runs.growing import GrowingAnswer

if TYPE_CHECKING:
    from uuid import UUID

CREDIT = 256 * 1024  # characters a page may have in flight
STALL_S = 15.0
BACKLOG = 500


class TooSlow(Exception):
    """The page takes nothing any more; it should connect again and start from a snapshot."""


class Viewer:
    """Keeps the order of what happened: parts of the page, and the growth of live answers between them.

    Growth is kept as a mark, not as text, so a slow page costs an index, not a queue.
    """

    def __init__(self, *, language: str, send: Callable[[str], Awaitable[None]]) -> None:
        self.language = language
        self.tellings = 0  # how often it was told something, growth aside
        self._send = send
        self._outbox: deque[str | GrowingAnswer] = deque()
        self._positions: dict[UUID, list[int]] = {}
        self._wake = asyncio.Event()
        self._heard = asyncio.Event()
        self._in_flight = 0

    def tell(self, message: str) -> None:
        """Send this after everything before it."""
        self.tellings += 1
        self._outbox.append(message)
        self._wake.set()

    def notice(self, answer: GrowingAnswer) -> None:
        """The answer has grown; a first notice sends a snapshot of it."""
        if not self._outbox or self._outbox[-1] is not answer:
            self._outbox.append(answer)
            self._wake.set()

    def start_over(self, answer: GrowingAnswer) -> None:
        """The page asked for a snapshot."""
        self._positions.pop(answer.run, None)
        self.notice(answer)

    def forget(self) -> None:
        """The page shows something else now."""
        self._outbox.clear()
        self._positions.clear()

    def acknowledge(self, characters: int) -> None:
        self._in_flight = max(0, self._in_flight - max(0, characters))
        self._heard.set()

    async def pump(self) -> None:
        """Send until cancelled. Raises TooSlow."""
        while True:
            while self._outbox:
                if len(self._outbox) > BACKLOG:
                    raise TooSlow
                for message in self.due(self._outbox.popleft()):
                    await self._wait_for_credit()
                    self._in_flight += len(message)
                    await self._send(message)
            self._wake.clear()
            await self._wake.wait()

    def due(self, item: str | GrowingAnswer) -> list[str]:
        """The messages that bring the page up to date with one thing it was told or noticed."""
        if isinstance(item, str):
            return [item]
        views = item.views(self.language)
        known = self._positions.get(item.run)
        self._positions[item.run] = [view.end for view in views]
        if known is None:
            return [view.snapshot() for view in views]
        return [frame for view, position in zip(views, known, strict=True) for frame in view.since(position)]

    async def _wait_for_credit(self) -> None:
        while self._in_flight > CREDIT:
            self._heard.clear()
            try:
                async with asyncio.timeout(STALL_S):
                    await self._heard.wait()
            except TimeoutError as error:
                raise TooSlow from error
