"""HTTP requests with a deadline and a limit on their body.

Daphne reads whole bodies into memory before the application can refuse them, and lets a client take for
ever over its headers. Here a body that is too large is refused as soon as that is known, with an answer
that the client can still read, and whoever is too slow is cut off.
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.web import http

from .flow import write_now
from .life import Headers
from .pieces import Pieces

if TYPE_CHECKING:
    from .guarded import GuardedServer

# A client reads our refusal only when it is done sending: we listen a little longer, and keep nothing.
LINGER_SECONDS = 3
LINGER_BYTES = 64 * 1024 * 1024

# The first would let a client choose the beginning of our own addresses; of the second we offer none.
NEVER_READ = (b"Daphne-Root-Path", b"Sec-WebSocket-Protocol")


class GuardedChannel(http.HTTPChannel):
    """One connection: absolute deadlines for headers and body, and no byte kept of what was refused."""

    server: "GuardedServer"

    def __init__(self) -> None:
        super().__init__()
        self._deadline: asyncio.TimerHandle | None = None
        self._refused_bytes: int | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self.server.channels.add(self)
        self._within(self.server.limits.header_seconds)

    def dataReceived(self, data: bytes) -> None:
        if self._refused_bytes is not None:
            self._discard(data)
            return
        if data and self._deadline is None and not self._handlingRequest:
            self._within(self.server.limits.header_seconds)  # the next request on a kept connection
        super().dataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        self.refuse(431, "A line of the request's head is too long.")

    def rawDataReceived(self, data: bytes) -> None:
        if self._refused_bytes is None:
            super().rawDataReceived(data)
        else:
            self._discard(data)

    def allHeadersReceived(self) -> None:
        if self._refused_bytes is not None:
            return
        self._within(self.server.limits.body_seconds)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if self._refused_bytes is None:
            self._any_time()
            super().allContentReceived()

    def requestDone(self, request: "GuardedRequest") -> None:
        """An answer may come before the end of a body; then nobody takes the rest."""
        if request.is_half_read:
            self.requests.remove(request)
            self._listen_on()
        else:
            super().requestDone(request)

    def write(self, data: bytes) -> None:
        write_now(self.transport, data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        write_now(self.transport, b"".join(iovec))

    def checkPersistence(self, request: http.Request, version: bytes) -> bool:
        if self.server.draining:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
            return False
        return bool(super().checkPersistence(request, version))

    def connectionLost(self, reason: Any) -> None:
        self._any_time()
        super().connectionLost(reason)

    def refuse(self, status: int, sentence: str) -> None:
        """Answer at once, then ignore what the client is still sending until it hangs up."""
        if self._refused_bytes is not None:
            return
        self.transport.write(plain_answer(status, sentence, self.server.headers))
        self._listen_on()

    def hold(self) -> None:
        """Read no more for now: it is not the client that is slow."""
        self._any_time()
        self._networkProducer.pauseProducing()

    def go_on(self) -> None:
        """What was held may have been the last of a body: then nobody waits for more of it."""
        if not self._handlingRequest:
            self.still_coming()
        self._networkProducer.resumeProducing()

    def still_coming(self) -> None:
        """For a body of any length: its next bytes must come soon."""
        self._within(self.server.limits.stalled_seconds)

    def _listen_on(self) -> None:
        self._refused_bytes = 0
        self.setTimeout(None)
        self.transport.loseWriteConnection()
        self._networkProducer.resumeProducing()
        self._within(LINGER_SECONDS)

    def hang_up(self) -> None:
        """Send what there is, within reason, and close."""
        self.transport.loseConnection()
        self._within(self.server.limits.stalled_seconds)

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(400, "This is not a request that the server understands.")

    def _send100Continue(self) -> None:
        if self._refused_bytes is None:
            super()._send100Continue()

    def _discard(self, data: bytes) -> None:
        self._refused_bytes = (self._refused_bytes or 0) + len(data)
        if self._refused_bytes > LINGER_BYTES:
            self.transport.abortConnection()

    def _within(self, seconds: float) -> None:
        self._any_time()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._too_slow)

    def _any_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        self.transport.abortConnection()


class GuardedRequest(WebRequest):
    """A request whose body is counted while it arrives."""

    channel: GuardedChannel

    def __init__(self, channel: GuardedChannel, *arguments: Any) -> None:
        super().__init__(channel, *arguments)
        # The application reads forms itself; parsing them here too would block the loop for nothing.
        self._parsePOSTFormSubmission = False
        self.pieces: Pieces | None = None

    @property
    def is_half_read(self) -> bool:
        return self.pieces is not None and not self.pieces.is_whole

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of it is here; the application may have begun with it before."""
        if self.pieces:
            self.pieces.end()
        else:
            super().requestReceived(command, path, version)

    def handle_reply(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and self.is_half_read:
            self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        super().handle_reply(message)

    def process(self) -> Any:
        for name in NEVER_READ:
            self.requestHeaders.removeHeader(name)
        return super().process()

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """What Daphne refuses by itself, and what it says when the application breaks."""
        if self.finished or self.channel is None:
            return
        if self._response_started:
            self.channel.transport.abortConnection()
        else:
            self.channel.refuse(status, body)

    def left(self) -> None:
        """The application is over. Whoever reads an answer that nobody goes on with would wait for ever."""
        if self._response_started and not self.finished and self.channel is not None:
            self.channel.hang_up()

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        if self._comes_in_pieces():
            self._begin_now()
        elif length is not None:
            self._refuse_over(length)

    def handleContentChunk(self, data: bytes) -> None:
        if self.pieces:
            self.channel.still_coming()
            self.pieces.arrive(data)
        elif not self._refuse_over(self.content.tell() + len(data)):
            super().handleContentChunk(data)

    def _comes_in_pieces(self) -> bool:
        verb, path = (word.decode("latin-1") for word in (self.channel._command, self.channel._path))
        wanted = self.server.limits.in_pieces(verb, path.partition("?")[0])
        return wanted and not self.requestHeaders.hasHeader(b"Upgrade")

    def _begin_now(self) -> None:
        """Have the application begin before the body is here."""
        channel = self.channel
        self.pieces = Pieces(channel)
        super().requestReceived(channel._command, channel._path, channel._version)

    def _refuse_over(self, size: int) -> bool:
        limit = self.server.limits.body_bytes
        if size <= limit:
            return False
        self.channel.refuse(413, f"This is more than the {limit // (1024 * 1024)} MB that one request may carry.")
        return True


class GuardedHTTPFactory(HTTPFactory):
    protocol = GuardedChannel

    def buildProtocol(self, addr: Any) -> GuardedChannel:
        channel: GuardedChannel = super().buildProtocol(addr)
        channel.requestFactory = GuardedRequest
        channel.server = self.server
        return channel


def plain_answer(status: int, sentence: str, headers: Headers) -> bytes:
    """A whole answer of our own: one sentence, after which the connection ends."""
    body = f"{sentence}\n".encode()
    ours = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    head = "".join(f"{name}: {value}\r\n" for name, value in [*headers, *ours])
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode() + body
