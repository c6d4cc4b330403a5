"""A wire between two parts that may be slow, freeze, break or fall silent: put it between any two of them."""

import asyncio
import contextlib
import socket
import struct
from pathlib import Path

AT_ONCE = 64 * 1024
NO_LINGER = struct.pack("ii", 1, 0)

Upstream = tuple[str, int] | Path  # a TCP address, or the path of a unix socket
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class FaultProxy:
    """``async with FaultProxy(upstream) as proxy``: whoever connects to ``proxy.port`` talks with the upstream.

    ``delay_s`` holds back every arrival, ``bytes_per_s`` lets it trickle; both may change at any time.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.port = 0
        self.delay_s = 0.0
        self.bytes_per_s: float | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._left: int | None = None  # bytes from upstream before the reset
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._towards_clients: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "FaultProxy":
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def freeze(self) -> None:
        """Nothing passes, in either direction, and nobody is told: as when a laptop sleeps."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def reset(self) -> None:
        """Break every connection by RST, as a crash does."""
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            writer.transport.abort()

    def reset_after(self, count: int) -> None:
        """Break every connection once so many more bytes have come from upstream."""
        self._left = count

    def half_close(self) -> None:
        """Tell clients that nothing more will come, and go on listening to them."""
        for writer in self._towards_clients:
            writer.write_eof()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._links.add(task)
        try:
            await self._carry((reader, writer), await self._connect())
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._links.discard(task)

    async def _connect(self) -> Streams:
        await self._flowing.wait()
        if isinstance(self.upstream, Path):
            return await asyncio.open_unix_connection(str(self.upstream))
        return await asyncio.open_connection(*self.upstream)

    async def _carry(self, client: Streams, upstream: Streams) -> None:
        self._writers |= {client[1], upstream[1]}
        self._towards_clients.add(client[1])
        directions = [
            asyncio.create_task(self._pump(client[0], upstream[1])),
            asyncio.create_task(self._pump(upstream[0], client[1], counted=True)),
        ]
        try:
            await asyncio.gather(*directions)
        finally:
            for direction in directions:
                direction.cancel()
            for writer in (client[1], upstream[1]):
                self._writers.discard(writer)
                self._towards_clients.discard(writer)
                writer.transport.abort() if writer.is_closing() else writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(self._bite()):
                await asyncio.sleep(self.delay_s + len(data) / self.bytes_per_s if self.bytes_per_s else self.delay_s)
                await self._flowing.wait()
                if counted and self._left is not None:
                    data, self._left = data[: self._left], self._left - len(data)
                writer.write(data)
                await writer.drain()
                if counted and self._left is not None and self._left <= 0:
                    self._left = None
                    self.reset()
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()

    def _bite(self) -> int:
        return max(1, int(self.bytes_per_s / 20)) if self.bytes_per_s else AT_ONCE


@contextlib.contextmanager
def black_hole():
    """An address that answers no SYN: its line of waiting connections is full."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
