"""From bytes to JSON objects, one a line. Lines end at the byte ``\\n`` and nowhere else."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from webui.text import clean_text

from .errors import ModelFailed, UnexpectedAnswer

LINE_LIMIT = 8 * 1024 * 1024  # as Ollama's own client
BAD_LINES = 3

Object = dict[str, Any]


async def lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The lines of a stream without their ends. Raises UnexpectedAnswer for one that is too long."""
    rest = bytearray()
    async for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            rest += chunk[start:end]
            yield bytes(rest)
            rest.clear()
            start = end + 1
        rest += chunk[start:]
        if len(rest) > LINE_LIMIT:
            raise UnexpectedAnswer("A line of the answer is too long.")
    if rest:
        yield bytes(rest)


async def objects(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Object, None]:
    """The JSON objects of a stream.

    A few lines that are none are passed over. Raises UnexpectedAnswer, or ModelFailed for an error line.
    """
    bad = 0
    async for line in lines(chunks):
        if not line.strip():
            continue
        found = parse(line)
        if found is None:
            bad += 1
            if bad > BAD_LINES:
                raise UnexpectedAnswer("The answer is not in Ollama's form.")
            continue
        if "error" in found:
            raise ModelFailed(error_text(found["error"]))
        yield found


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
        self._half = ""
        if text and not last and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return clean_text(text)
