"""One connection to a host, straight on asyncio's protocols."""

import asyncio
import time

import httpx

from .framing import FIRST_FINAL_STATUS, Head, head_from, request_head

READ_AHEAD = 256 * 1024  # bytes that may wait for a reader
LONGEST_HEAD = 64 * 1024

Origin = tuple[str, str, int]  # scheme, host, port


class Connection(asyncio.Protocol):
    """Carries one request after the other. ``buffer`` holds what arrived and nobody took yet."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.buffer = bytearray()
        self.is_closed = False
        self.was_heard = False  # since the last request began
        self.idle_since = time.monotonic()
        self._error: Exception | None = None
        self._transport: asyncio.Transport | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._is_paused = False
        self._alarm: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._is_sending = False

    @property
    def is_reusable(self) -> bool:
        """Nothing of the last request or its answer is left on the way."""
        return not (self.is_closed or self.buffer or self._is_sending)

    def abort(self) -> None:
        """Close at once: that is how a host learns that nobody waits for its answer."""
        if self._transport:
            self._transport.abort()

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what create_connection makes
        self._transport = transport
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self.was_heard = True
        self.buffer += data
        if len(self.buffer) > READ_AHEAD and self._transport:
            self._transport.pause_reading()
            self._is_paused = True
        self._wake()

    def eof_received(self) -> None:
        self.is_closed = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._error = exc
        if self._alarm:
            self._alarm.cancel()
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _wake(self) -> None:
        if self._arrival and not self._arrival.done():
            self._arrival.set_result(None)

    # Called for a request; limits are seconds, None waits for ever

    async def send(self, request: httpx.Request, limit_s: float | None) -> None:
        """All of it, unless the host answers before it has read the whole body."""
        self.was_heard, self._is_sending = False, True
        chunked = "chunked" in request.headers.get("transfer-encoding", "")
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101  an async client makes no other
        await self._write(request_head(request), limit_s)
        async for part in request.stream:
            if self.buffer:
                return
            if part:
                await self._write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part, limit_s)
        if chunked:
            await self._write(b"0\r\n\r\n", limit_s)
        self._is_sending = False

    async def head(self, limit_s: float | None) -> Head:
        """The head of the answer; those that only announce it are passed over."""
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end >= 0:
                head = head_from(bytes(self.buffer[:end]))
                del self.buffer[: end + 4]
                if head.status >= FIRST_FINAL_STATUS:
                    return head
            elif len(self.buffer) > LONGEST_HEAD:
                raise httpx.RemoteProtocolError("the head of the answer is too long")
            else:
                await self.more(limit_s)

    async def more(self, limit_s: float | None) -> None:
        """Wait until more arrives. Raises where nothing can any more, or nothing did in time."""
        if self._is_paused and self._transport:
            self._is_paused = False
            self._transport.resume_reading()
        if self._error:
            raise httpx.ReadError(str(self._error))
        if self.is_closed:
            raise httpx.RemoteProtocolError("the host closed the connection")
        loop = asyncio.get_running_loop()
        self._arrival = loop.create_future()
        if limit_s is not None:
            self._due = loop.time() + limit_s
            self._set_alarm(loop)
        await self._arrival

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer serves many waits: a stream that is alive only moves the moment at which it is due."""
        if self._alarm and self._alarm.when() > self._due:
            self._alarm.cancel()
            self._alarm = None
        if self._alarm is None:
            self._alarm = loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._arrival is None or self._arrival.done():
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._due:
            self._set_alarm(loop)
        else:
            self._arrival.set_exception(httpx.ReadTimeout("nothing came in time"))

    async def _write(self, data: bytes, limit_s: float | None) -> None:
        if self.is_closed or self._transport is None:
            raise httpx.WriteError("the host closed the connection")
        self._transport.write(data)
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout(limit_s):
                await self._writable.wait()
        except TimeoutError as error:
            raise httpx.WriteTimeout("the host took nothing in time") from error
