"""Just enough HTTP/1.1, byte by byte, so that answers can go wrong in every way they go wrong in life."""

import asyncio
import hashlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

CALLER_LEFT = 499  # nginx's number, which Ollama uses, too
MAX_BODY, PIECE = 64 * 1024 * 1024, 64 * 1024
BLOBS = "/api/blobs/"
JSON = "application/json; charset=utf-8"
ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came. Of a file only its ``digest`` and its ``size`` are kept."""

    verb: str
    path: str
    raw: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    size: int = 0

    def body(self) -> dict[str, Any]:
        """The JSON object by Ollama's rules: its keys in any case, the last one wins, and nothing after it counts.

        Raises ValueError, with the host's words.
        """
        if not self.raw:
            raise ValueError("missing request body")
        try:
            found, _ = json.JSONDecoder().raw_decode(self.raw.decode(errors="replace").lstrip(" \t\r\n"))
        except json.JSONDecodeError as error:
            raise ValueError(_in_the_words_of_go(error)) from error
        if not isinstance(found, dict):
            raise ValueError("json: cannot unmarshal a value that is no object")
        return {key.lower(): value for key, value in found.items()}


def _in_the_words_of_go(error: json.JSONDecodeError) -> str:
    if error.pos >= len(error.doc) or "Unterminated" in error.msg:
        return "unexpected EOF"
    return f"invalid character '{error.doc[error.pos]}' looking for beginning of value"


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._ahead = b""
        self._headers_only = False

    async def next_call(self) -> Call | None:
        """The next request, or None when the peer has closed."""
        try:
            ahead, self._ahead = self._ahead, b""
            head = (ahead + await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            return None
        first, *rest = head.split("\r\n")
        verb, path = (*first.split(" "), "", "")[:2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
        self._headers_only = verb == "HEAD"
        if "100-continue" in headers.get("expect", "").lower():
            await self.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
        path = path.partition("?")[0]
        if path.startswith(BLOBS):
            digest, size = await self._file(headers)
            return Call(verb, path, b"", headers, digest, size)
        return Call(verb, path, await self._body(headers), headers)

    async def _body(self, headers: dict[str, str]) -> bytes:
        body = bytearray()
        async for piece in self._pieces(headers):
            body += piece
            if len(body) > MAX_BODY:
                raise ConnectionResetError
        return bytes(body)

    async def _file(self, headers: dict[str, str]) -> tuple[str, int]:
        found, size = hashlib.sha256(), 0
        async for piece in self._pieces(headers):
            found.update(piece)
            size += len(piece)
        return f"sha256:{found.hexdigest()}", size

    async def _pieces(self, headers: dict[str, str]) -> AsyncIterator[bytes]:
        if "chunked" in headers.get("transfer-encoding", ""):
            while size := int((await self.reader.readline()).strip() or b"0", 16):
                yield (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
            return
        left = int(headers.get("content-length", 0))
        while left > 0:
            piece = await self.reader.readexactly(min(left, PIECE))
            left -= len(piece)
            yield piece

    async def answer(
        self, status: int, body: bytes = b"", content_type: str = "", *, allow: str = "", retry_after: str = ""
    ) -> None:
        """A whole answer, with a Content-Type only when one is given. HEAD is answered without its body."""
        sizes = {"Content-Length": str(len(body))}
        head = _head(status, {"Allow": allow, "Content-Type": content_type, "Retry-After": retry_after} | sizes)
        await self.raw(head if self._headers_only else head + body)

    async def json(self, value: object, status: int = 200, content_type: str = JSON) -> None:
        await self.answer(status, dumps(value), content_type)

    async def text(self, status: int, text: str, content_type: str = "text/plain", *, allow: str = "") -> None:
        await self.answer(status, text.encode(), content_type, allow=allow)

    async def begin_stream(self, content_type: str = "application/x-ndjson") -> None:
        await self.raw(_head(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked"}))

    async def chunk(self, data: bytes) -> None:
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def object(self, value: object) -> None:
        """One JSON object, a line and a chunk of its own."""
        await self.chunk(dumps(value) + b"\n")

    async def end_stream(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Break the connection as a crash does, by RST."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def while_present(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work to its end. When the peer closes before, cancel it and raise ConnectionResetError."""
        working, leaving = asyncio.create_task(work), asyncio.create_task(self._peer_leaves())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ConnectionResetError
            await working
        finally:
            working.cancel()
            leaving.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    async def _peer_leaves(self) -> None:
        """Wait until the peer closes; the first byte of its next request is kept for later."""
        self._ahead = await self.reader.read(1)
        if self._ahead:
            await asyncio.Event().wait()

    def close(self) -> None:
        self.writer.close()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    """The start of an answer; headers without a value are left out."""
    date = {"Date": format_datetime(datetime.now(UTC), usegmt=True)}
    phrase = HTTPStatus(status).phrase if status != CALLER_LEFT else "Client Closed Request"
    lines = [f"HTTP/1.1 {status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in ({**headers, **date}).items() if value]
    return "\r\n".join([*lines, "", ""]).encode()


def dumps(value: object) -> bytes:
    """JSON as Go writes it: other scripts as they are, ``<`` and ``>`` escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    escaped = text.translate(ESCAPED)
    return escaped.encode("utf-8", "surrogatepass")
