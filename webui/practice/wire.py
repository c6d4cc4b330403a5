"""Just enough HTTP/1.1, byte by byte, so that answers can go wrong in every way they go wrong in life."""

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

MAX_BODY = 64 * 1024 * 1024
REASONS = {200: "OK", 201: "Created", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came."""

    verb: str
    path: str
    raw: bytes

    def body(self) -> dict[str, Any]:
        """The JSON object by Ollama's rules: keys in any case, the last one wins. Raises ValueError."""
        found = json.loads(self.raw.decode() or "{}", object_pairs_hook=lambda pairs: {k.lower(): v for k, v in pairs})
        if not isinstance(found, dict):
            raise ValueError("not an object")
        return found


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ahead = b""

    async def next_call(self) -> Call | None:
        """The next request, or None when the peer has closed."""
        try:
            ahead, self._ahead = self._ahead, b""
            head = (ahead + await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *rest = head.split("\r\n")
        verb, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
        return Call(verb, path.partition("?")[0], await self._body(headers))

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", ""):
            body = bytearray()
            while size := int((await self._reader.readline()).strip() or b"0", 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readline()
            return bytes(body)
        return await self._reader.readexactly(min(int(headers.get("content-length", 0)), MAX_BODY))

    async def answer(self, status: int, body: bytes = b"", content_type: str = "") -> None:
        """A whole answer."""
        typed = f"Content-Type: {content_type}\r\n" if content_type else ""
        head = f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\n{typed}Content-Length: {len(body)}\r\n\r\n"
        await self.raw(head.encode() + body)

    async def json(self, value: object, status: int = 200) -> None:
        await self.answer(status, dumps(value), "application/json; charset=utf-8")

    async def text(self, status: int, text: str) -> None:
        await self.answer(status, text.encode(), "text/plain")

    async def begin_stream(self, content_type: str = "application/x-ndjson") -> None:
        await self.raw(
            f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )

    async def chunk(self, data: bytes) -> None:
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def object(self, value: object) -> None:
        """One JSON object, a line and a chunk of its own."""
        await self.chunk(dumps(value) + b"\n")

    async def end_stream(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """Break the connection as a crash does, by RST."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def peer_leaves(self) -> None:
        """Wait until the peer closes; the first byte of its next request is kept for later."""
        self._ahead = await self._reader.read(1)
        if self._ahead:
            await asyncio.Event().wait()

    def close(self) -> None:
        self._writer.close()


def dumps(value: object) -> bytes:
    """JSON as Go writes it: other scripts as they are, ``<`` and ``>`` escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return escaped.encode("utf-8", "surrogatepass")
