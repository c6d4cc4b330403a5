"""HTTP/1.1 as bytes: the head of an answer, and where its body ends. Raises httpx's errors."""

from dataclasses import dataclass
from typing import Protocol

import httpx

LONGEST_LINE = 64 * 1024  # between chunks
LONGEST_NUMBER = 16  # digits: more than any length that fits into 64 bits
FIRST_FINAL_STATUS = 200  # those below only announce an answer
WITHOUT_BODY = {204, 304}


@dataclass(frozen=True, slots=True)
class Head:
    """The first lines of an answer. ``keeps``: its connection may serve again."""

    status: int
    headers: list[tuple[bytes, bytes]]
    keeps: bool


class Body(Protocol):
    """``take`` removes from the buffer what belongs to the body, and returns its content."""

    is_whole: bool

    def take(self, buffer: bytearray) -> bytes: ...


def request_head(request: httpx.Request) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise httpx.LocalProtocolError("a header holds a line break")
    return b"\r\n".join([*lines, b"", b""])


def head_from(raw: bytes) -> Head:
    """``raw``: everything before the empty line."""
    first, *rest = raw.split(b"\r\n")
    version, _, words = first.partition(b" ")
    status = words.partition(b" ")[0]
    if version not in {b"HTTP/1.1", b"HTTP/1.0"} or not status.isdigit() or len(status) != len("200"):
        raise httpx.RemoteProtocolError("that is not HTTP")
    headers = [_header(line) for line in rest]
    closes = b"close" in _value(headers, b"connection").lower()
    return Head(int(status), headers, keeps=version == b"HTTP/1.1" and not closes)


def body_of(head: Head, method: str) -> Body:
    """How the body of this answer is delimited (RFC 9112, section 6.3)."""
    if method == "HEAD" or head.status in WITHOUT_BODY:
        return OfLength(0)
    if encoding := _value(head.headers, b"transfer-encoding"):
        if encoding.lower() != b"chunked":
            raise httpx.RemoteProtocolError("an encoding nobody asked for")
        return InChunks()
    length = _value(head.headers, b"content-length")
    if not length:
        return ToTheEnd()
    if not length.isdigit() or len(length) > LONGEST_NUMBER:
        raise httpx.RemoteProtocolError("the length is no number")
    return OfLength(int(length))


class OfLength:
    def __init__(self, length: int) -> None:
        self._left = length
        self.is_whole = not length

    def take(self, buffer: bytearray) -> bytes:
        content = bytes(buffer[: self._left])
        del buffer[: len(content)]
        self._left -= len(content)
        self.is_whole = not self._left
        return content


class ToTheEnd:
    """Whole when the connection closes, and not before."""

    is_whole = False

    def take(self, buffer: bytearray) -> bytes:
        content = bytes(buffer)
        buffer.clear()
        return content


class InChunks:
    """Each chunk is its size, its bytes and a line break; one of size 0, trailers and an empty line end the body."""

    def __init__(self) -> None:
        self.is_whole = False
        self._left = 0  # bytes of the chunk that is being read
        self._next = self._begin  # what to do with the next line

    def take(self, buffer: bytearray) -> bytes:
        pieces = []
        while buffer and not self.is_whole:
            if self._left:
                pieces.append(bytes(buffer[: self._left]))
                del buffer[: self._left]
                self._left -= len(pieces[-1])
            elif (line := _line(buffer)) is not None:
                self._next(line)
            else:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _begin(self, line: bytes) -> None:
        size = line.partition(b";")[0].strip()
        if not size or len(size) > LONGEST_NUMBER or size.strip(b"0123456789abcdefABCDEF"):
            raise httpx.RemoteProtocolError("a chunk has no size")
        self._left = int(size, 16)
        self._next = self._end if self._left else self._pass_trailer

    def _end(self, line: bytes) -> None:
        if line:
            raise httpx.RemoteProtocolError("a chunk is longer than announced")
        self._next = self._begin

    def _pass_trailer(self, line: bytes) -> None:
        self.is_whole = not line


def _line(buffer: bytearray) -> bytes | None:
    """Take one line from the buffer; None when its end has not arrived."""
    end = buffer.find(b"\r\n")
    if end < 0:
        if len(buffer) > LONGEST_LINE:
            raise httpx.RemoteProtocolError("a line between chunks is too long")
        return None
    line = bytes(buffer[:end])
    del buffer[: end + 2]
    return line


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name.strip():
        raise httpx.RemoteProtocolError("a header has no name")
    return name.strip(), value.strip()


def _value(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    return b", ".join(value for key, value in headers if key.lower() == name)
