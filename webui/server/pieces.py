"""A body that the application is handed as it comes: a file may be larger than our memory.

It stands where Daphne has a queue with the whole body. While much of it waits for the application nothing is read
from the socket, so a client is as slow as whoever takes what it sends.
"""

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .requests import GuardedChannel

ROOM = 256 * 1024  # bytes that may wait

Message = dict[str, Any]


class Pieces:
    """``is_whole``: nothing more of it will come."""

    def __init__(self, channel: "GuardedChannel") -> None:
        self.is_whole = False
        self._channel = channel
        self._waiting = bytearray()
        self._is_held = False
        self._is_told = False  # that it is whole
        self._is_gone = False
        self._news = asyncio.Event()

    # From the socket

    def arrive(self, data: bytes) -> None:
        self._waiting += data
        self._news.set()
        if len(self._waiting) > ROOM and not self._is_held:
            self._is_held = True
            self._channel.hold()

    def end(self) -> None:
        self.is_whole = True
        self._news.set()

    def put_nowait(self, message: Message) -> None:
        """What Daphne says: that there is no body, which is not so, and later that the client has gone."""
        if message["type"] == "http.disconnect":
            self._is_gone = True
            self._news.set()

    # To the application

    async def get(self) -> Message:
        """What an application's ``receive`` does."""
        while not self._is_gone:
            if self._waiting or (self.is_whole and not self._is_told):
                return self._next()
            self._news.clear()
            await self._news.wait()
        return {"type": "http.disconnect"}

    def _next(self) -> Message:
        body, self._waiting = bytes(self._waiting), bytearray()
        self._is_told = self.is_whole
        if self._is_held:
            self._is_held = False
            self._channel.go_on()
        return {"type": "http.request", "body": body, "more_body": not self.is_whole}
