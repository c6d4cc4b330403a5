"""Tables for spreadsheets."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import chain

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

# How a formula begins, for spreadsheets in any language.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
PIECE = 32 * 1024


def sheet(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> StreamingHttpResponse:
    """CSV to keep as a file. Words that a spreadsheet would take for formulas are quoted.

    The beginning is made at once, so that what a query raises is raised here.
    """
    pieces = _pieces(chain([head], rows))
    answer = StreamingHttpResponse(_later(chain([next(pieces)], pieces)), content_type="text/csv; charset=utf-8")
    # Django compresses each piece by itself, and browsers keep the first one only.
    answer["Content-Encoding"] = "identity"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


async def _later(pieces: Iterator[str]) -> AsyncIterator[str]:
    """One when the one before is sent: a long table is never in memory as a whole."""
    take = sync_to_async(lambda: next(pieces, ""))
    while piece := await take():
        yield piece


def _pieces(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Many rows at once: each piece that is sent costs something."""
    written = io.StringIO()
    lines = csv.writer(written)
    for row in rows:
        lines.writerow([_cell(value) for value in row])
        if written.tell() > PIECE:
            yield written.getvalue()
            written.seek(0)
            written.truncate()
    yield written.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return str(value)
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
