"""An answer that is still being written.

Top-level blocks that can change no more are closed: rendered once, and never looked at again. Only what follows
them, the open region, is rendered at each flush. The difference to the last flush is a frame; a page applies frames
to a string, counting as JavaScript does, in UTF-16 units.

A flush costs as much as the open block is long, however long the text is; in a fenced code block at the margin only
as much as what is new. Any other giant block (a list, a table, a paragraph) costs more with every flush, so whoever
flushes should wait for several times what the last flush took.
"""

from dataclasses import dataclass, replace

from .blocks import Block, TooMuch, growing_blocks_of
from .code import ENDING
from .fence import OpenFence
from .labels import Labels, Look
from .polish import code_length, polish
from .render import as_written, render
from .source import definitions, repaired

END_OF_CODE = f"{ENDING}\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """Of the open region's HTML keep ``keep`` units and append ``html``; then its first ``frozen`` units are closed.

    ``start`` and ``end`` are the code points of source text before and after.
    """

    start: int
    end: int
    keep: int
    html: str
    frozen: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything is different: start again from ``html``. ``end`` is the code points of source text it shows."""

    html: str
    end: int


class GrowingMarkdown:
    """Append, flush, finish. The whole HTML is ``frozen_html + open_html`` at every moment."""

    def __init__(self, *, labels: Labels, prefix: str = "", text: str = "") -> None:
        self._labels = labels
        self._prefix = prefix
        self._unread: list[str] = [text] if text else []
        self._closed: list[str] = []  # source of the closed blocks
        self._frozen: list[str] = []  # and their HTML
        self._definitions = ""
        self._tail = ""  # source of the open region
        self._fence: OpenFence | None = None  # when the open region is nothing but code
        self.open_html = ""
        self.length = 0  # code points of source shown
        self.frozen_count = 0  # closed blocks
        self._code = 0  # characters of code in them

    @property
    def frozen_html(self) -> str:
        return "".join(self._frozen)

    def append(self, text: str) -> None:
        self._unread.append(text)

    def flush(self) -> Frame | None:
        """Render what is new; None when nothing is."""
        start, before = self.length, self.open_html
        new = self._read()
        if self.length == start:
            return None
        self._tail += new
        if self._fence and self._fence.take(new):
            return self._continue_code(new, start)
        closed, self.open_html = self._render()
        if closed:
            self._frozen.append(closed)
        return self._frame(start, before, closed + self.open_html, frozen=units(closed))

    def finish(self) -> Frame | Snapshot | None:
        """Make the HTML equal to that of the whole text rendered at once; None when it already is."""
        start, before, frozen = self.length, self.open_html, self.frozen_html
        self._tail += self._read()
        self._fence = None
        final = render("".join([*self._closed, self._tail]), labels=self._labels, prefix=self._prefix)
        if final == frozen + before and self.length == start:
            return None
        if not final.startswith(frozen):
            self._frozen, self.open_html = [final], ""
            return Snapshot(final, self.length)
        self.open_html = final[len(frozen) :]
        return self._frame(start, before, self.open_html, frozen=0)

    def _read(self) -> str:
        raw, self._unread = "".join(self._unread), []
        self.length += len(raw)
        return repaired(raw)

    def _frame(self, start: int, before: str, region: str, *, frozen: int) -> Frame:
        kept = _common(before, region)
        return Frame(start, self.length, units(region[:kept]), region[kept:], frozen)

    def _continue_code(self, new: str, start: int) -> Frame:
        """Append to the code without rendering the block again."""
        before = self.open_html.removesuffix(END_OF_CODE)
        html = _escaped(new) + END_OF_CODE
        self.open_html = before + html
        return Frame(start, self.length, units(before), html, 0)

    def _render(self) -> tuple[str, str]:
        """HTML of the blocks that close now, and of the region that stays open; moves their source."""
        self._fence = None
        try:
            blocks = self._blocks()
        except TooMuch:
            return "", as_written(self._tail)
        first_open, lines = self._boundary(blocks)
        self._close(lines)
        self.frozen_count += first_open
        if first_open == len(blocks) - 1:
            self._fence = OpenFence.found_in(self._tail)
        return self._polished(blocks[:first_open]), self._polished(blocks[first_open:], is_open=True)

    def _blocks(self) -> list[Block]:
        """The blocks of the tail, parsed with the definitions of all that is closed. Raises TooMuch."""
        known = f"{self._definitions}\n" if self._definitions else ""
        lines = known.count("\n")
        return [
            replace(block, line=block.line - lines) if block.line else block
            for block in growing_blocks_of(known + self._tail)
            if not block.line or block.line > lines
        ]

    def _boundary(self, blocks: list[Block]) -> tuple[int, int]:
        """How many blocks can change no more, and how many lines of the tail they and their gaps take.

        The last block is open. When it began on the line that is still being written, the one before it may yet
        swallow that line (``2`` becomes the list item ``2.``), so that one is open too.
        """
        unfinished = self._tail.count("\n") + 1
        open_from = len(blocks) - 1
        while open_from > 0:
            line = blocks[open_from].line
            if line is not None and line < unfinished:
                return open_from, line - 1
            open_from -= 1
        return 0, 0

    def _close(self, lines: int) -> None:
        if not lines:
            return
        at = 0
        for _ in range(lines):
            at = self._tail.index("\n", at) + 1
        source, self._tail = self._tail[:at], self._tail[at:]
        self._closed.append(source)
        self._definitions += definitions(source)

    def _polished(self, blocks: list[Block], *, is_open: bool = False) -> str:
        if not blocks:
            return ""
        html = "".join(f"{block.html}\n" for block in blocks)
        look = Look(self._labels, self._prefix, code_before=self._code)
        if not is_open:
            self._code += code_length(html)
        return polish(html, look, is_open=is_open)


def units(text: str) -> int:
    """The length of a text as JavaScript counts it."""
    return len(text.encode("utf-16-le")) // 2


def _escaped(code: str) -> str:
    """As the parser escapes code."""
    return code.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _common(before: str, after: str) -> int:
    """The length of the common beginning, by halving: comparing slices is much faster than characters."""
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        if before[low:middle] == after[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
