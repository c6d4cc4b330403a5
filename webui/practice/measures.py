"""What the models say that are there to be measured: a number of pieces, of one kind of text or with the time."""

import time
from collections.abc import Callable, Iterator
from itertools import count, islice

NOW = "{now}"  # becomes the time at which the piece is sent
PIECES_IN_PARAGRAPH = 25

Corpus = Callable[[], Iterator[str]]


def measured_text(kind: str, length: int) -> list[str]:
    """``length`` pieces of an endless text of that kind."""
    return list(islice(CORPORA[kind](), length))


def with_time(piece: str) -> str:
    """Milliseconds of this machine's monotonic clock, which all its processes share."""
    return piece.replace(NOW, f"{time.monotonic() * 1000:.1f}") if NOW in piece else piece


def _clock() -> Iterator[str]:
    for number in count(1):
        space = "\n\n" if number % PIECES_IN_PARAGRAPH == 1 and number > 1 else " "
        yield f"{space}{number}@{NOW}"


def _clock_markdown() -> Iterator[str]:
    """The clock in headings, lists and bold words."""
    for number in count(1):
        place = number % 50
        yield (
            {1: "\n\n## ", 6: "\n\n", 30: "\n\n- ", 36: "\n- ", 42: "\n- *"}.get(place, " ")
            + f"{number}@{NOW}"
            + {42: "*"}.get(place, "")
        )


def _paragraph() -> Iterator[str]:
    for number in count(1):
        yield f" word{number}" if number % 12 else " and *more*."


def _list() -> Iterator[str]:
    for number in count(1):
        yield f"\n- item {number}" if number % 8 == 1 else f" word{number}"


def _table() -> Iterator[str]:
    yield "| a | b | c |\n|---|---|---|\n|"
    for number in count(1):
        yield f" {number} |" if number % 3 else f" {number} |\n|"


def _code() -> Iterator[str]:
    yield "```python\n"
    for number in count(1):
        yield f"value_{number} = " if number % 4 == 1 else (f"{number} + " if number % 4 else "0\n")


def _mixed() -> Iterator[str]:
    for section in count(1):
        yield f"\n\n## Section {section}\n\n"
        yield from islice(_paragraph(), 60)
        yield "\n"
        yield from islice(_list(), 40)
        yield "\n\n"
        yield from islice(_table(), 25)
        yield "\n\n"
        yield from islice(_code(), 40)
        yield "\n```\n\nSome **bold words** and $x^2$, "
        yield "然后继续。"


CORPORA: dict[str, Corpus] = {
    "clock": _clock,
    "clock-markdown": _clock_markdown,
    "code": _code,
    "list": _list,
    "mixed": _mixed,
    "paragraph": _paragraph,
    "table": _table,
}
