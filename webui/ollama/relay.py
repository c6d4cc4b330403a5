"""An answer that is passed on as it comes: its first line is checked, its end is read, and nothing between.

A line per token is most of what a gateway sees. To parse and write each anew would cost more than all the rest.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from .errors import ModelFailed, StreamCut, UnexpectedAnswer
from .stream import Lines, error_text, parse
from .types import Counters

NANO = 1_000_000
END_LENGTH = 1024  # the figures of an answer are the last thing in it
FIGURE = re.compile(rb'"(prompt_eval_count|eval_count|total_duration|load_duration)": ?(\d{1,18})\b')
ERROR = re.compile(rb'\{ ?"error"')
NOT_ASCII = re.compile(rb"[\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class Beginning:
    """The head of an answer that is passed on."""

    content_type: str


async def in_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes | Counters, None]:
    """Whole lines, in ASCII, and at last the figures. Raises ModelFailed for an error line, StreamCut without an end.

    ASCII, because clients split lines at characters that Ollama leaves as they are.
    """
    last = b""
    async for found in _lines_in(chunks):
        if not last and parse(found[0]) is None:
            raise UnexpectedAnswer("The answer is not in Ollama's form.")
        last = found[-1]
        if failed := next((line for line in found if ERROR.match(line)), None):
            if before := found[: found.index(failed)]:
                yield _escaped(before)
            raise _failure(failed)
        yield _escaped(found)
    if (parse(last) or {}).get("done") is not True:
        raise StreamCut("The answer ended without being done.")
    yield _figures(last)


async def _lines_in(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Those that end in each chunk, and a whole one that does not; none that is empty."""
    lines = Lines()
    async for chunk in chunks:
        if found := [line for line in lines.take(chunk) if line.strip()]:
            yield found
    if found := [line for line in lines.last() if parse(line)]:
        yield found


async def as_one(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes | Counters, None]:
    """The bytes of an answer that is one object, and at last the figures."""
    end = b""
    async for chunk in chunks:
        end = (end + chunk)[-END_LENGTH:]
        yield chunk
    yield _figures(end)


def _escaped(lines: list[bytes]) -> bytes:
    text = b"\n".join(lines) + b"\n"
    return text if text.isascii() else NOT_ASCII.sub(_escape, text)


def _escape(found: re.Match[bytes]) -> bytes:
    return json.dumps(found.group().decode("utf-8", "replace"))[1:-1].encode()


def _failure(line: bytes) -> ModelFailed:
    said = parse(line) or {}
    error = ModelFailed(error_text(said.get("error", "")))
    error.raw = line
    return error


def _figures(last: bytes) -> Counters:
    """What comes last in a line is the host's; what a model wrote before it has its quotes escaped."""
    figures = {name: int(value) for name, value in FIGURE.findall(last[-END_LENGTH:])}
    return Counters(
        prompt_tokens=figures.get(b"prompt_eval_count", 0),
        output_tokens=figures.get(b"eval_count", 0),
        total_ms=figures.get(b"total_duration", 0) / NANO,
        load_ms=figures.get(b"load_duration", 0) / NANO,
    )
