"""From bytes to JSON objects, one a line. Lines end at the byte ``\\n`` and nowhere else."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import Any

from webui.text import clean_text

from .errors import LineTooLong, ModelFailed, UnexpectedAnswer

LINE_LIMIT = 8 * 1024 * 1024  # as Ollama's own client
BAD_LINES = 3

Object = dict[str, Any]


class Lines:
    """Cuts bytes into lines, without their ends. Raises LineTooLong."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def take(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk."""
        *ended, rest = chunk.split(b"\n")
        if ended and self._rest:
            ended[0] = bytes(self._rest) + ended[0]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > LINE_LIMIT:
            raise LineTooLong("A line of the answer is too long.")
        return ended

    def last(self) -> list[bytes]:
        """What came after the last end of a line, if anything did."""
        return [bytes(self._rest)] if self._rest else []


class Objects:
    """Reads lines as JSON objects. A few that are none are passed over."""

    def __init__(self) -> None:
        self._bad = 0

    def take(self, lines: Iterable[bytes]) -> Iterator[Object]:
        """Raises UnexpectedAnswer for many that are none, and ModelFailed for an error line."""
        for line in lines:
            if (found := self._read(line)) is not None:
                yield found

    def _read(self, line: bytes) -> Object | None:
        found = parse(line)
        if found is None and line.strip():
            self._bad += 1
            if self._bad > BAD_LINES:
                raise UnexpectedAnswer("The answer is not in Ollama's form.")
        if found and "error" in found:
            raise ModelFailed(error_text(found["error"]))
        return found


async def objects(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Object, None]:
    """The JSON objects of a stream. Raises UnexpectedAnswer or ModelFailed."""
    lines, found = Lines(), Objects()
    async for chunk in chunks:
        for each in found.take(lines.take(chunk)):
            yield each
    for each in found.take(lines.last()):
        yield each


def parse(raw: bytes) -> Object | None:
    """A JSON object, or None. Bytes that are not UTF-8 become U+FFFD."""
    try:
        found = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def error_text(error: object) -> str:
    """The sentence in an error, which may be JSON inside a string, or an object."""
    if isinstance(error, str):
        inner = parse(error.encode("utf-8", "replace")) if error.startswith("{") else None
        return error_text(inner.get("error", inner)) if inner else error
    if isinstance(error, dict):
        return error_text(error["message"]) if "message" in error else json.dumps(error)
    return str(error)


class Cleaner:
    """Makes the pieces of one text storable; a surrogate pair cut in two is joined across pieces."""

    def __init__(self) -> None:
        self._half = ""

    def __call__(self, piece: object, *, last: bool = False) -> str:
        text = self._half + (piece if isinstance(piece, str) else "")
        if not text:
            return ""
        self._half = ""
        if not last and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return clean_text(text)
