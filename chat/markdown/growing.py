"""An answer that is still being written.

Top-level blocks that can change no more are closed: rendered once, and never looked at again. Only what follows
them, the open region, is rendered at each flush. The difference to the last flush is a frame; a page applies frames
to a string, counting as JavaScript does, in UTF-16 units.
"""

from dataclasses import dataclass

from .blocks import Block, blocks_of
from .labels import Labels
from .polish import polish
from .render import as_written, join, render
from .source import definitions, is_harmful, spare_money


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
    """Everything is different: start again from ``html``."""

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
        self.open_html = ""
        self.length = 0

    @property
    def frozen_html(self) -> str:
        return "".join(self._frozen)

    def append(self, text: str) -> None:
        self._unread.append(text)

    def flush(self) -> Frame | None:
        """Render what is new; None when nothing is."""
        if not self._unread:
            return None
        new, self._unread = "".join(self._unread), []
        start, self.length = self.length, self.length + len(new)
        self._tail += new
        closed, region = self._render()
        before, self.open_html = self.open_html, region[len(closed) :]
        self._frozen.append(closed)
        kept = _common(before, region)
        return Frame(start, self.length, units(region[:kept]), region[kept:], units(closed))

    def finish(self) -> Frame | Snapshot | None:
        """Make the HTML equal to that of the whole text rendered at once; None when it already is."""
        text = "".join(self._closed) + self._tail + "".join(self._unread)
        final = render(text, labels=self._labels, prefix=self._prefix)
        frozen, region = self.frozen_html, self.open_html
        if final == frozen + region:
            return None
        length = self.length + sum(map(len, self._unread))
        start, self.length, self._unread = self.length, length, []
        if not final.startswith(frozen):
            self._frozen, self.open_html = [final], ""
            return Snapshot(final, length)
        self.open_html = final[len(frozen) :]
        kept = _common(region, self.open_html)
        return Frame(start, length, units(self.open_html[:kept]), self.open_html[kept:], 0)

    def _render(self) -> tuple[str, str]:
        """HTML of the blocks that close now, and of the whole region with them; moves their source."""
        if is_harmful(self._tail):
            return "", as_written(self._tail)
        known = f"{self._definitions}\n\n" if self._definitions else ""
        blocks = blocks_of(known + spare_money(self._tail), growing=True)
        first_open, line = self._boundary(blocks, known.count("\n"))
        closed = join(self._polish(block) for block in blocks[:first_open])
        last = len(blocks) - 1
        region = closed + join(
            self._polish(block, is_open=at == last) for at, block in enumerate(blocks[first_open:], first_open)
        )
        self._close(line)
        return closed, region

    def _boundary(self, blocks: list[Block], known_lines: int) -> tuple[int, int]:
        """How many blocks can change no more, and how many lines of the tail they and their gaps take.

        The last block is open. When it began on the line that is still being written, the one before it may yet
        swallow that line (``2`` becomes the list item ``2.``), so that one is open too.
        """
        unfinished = self._tail.count("\n") + 1
        open_from = len(blocks) - 1
        while open_from > 0:
            line = blocks[open_from].line
            if line is not None and line - known_lines < unfinished:
                return open_from, line - known_lines - 1
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
        if "]:" in source:
            self._definitions = "\n".join(filter(None, [self._definitions, definitions(source)]))

    def _polish(self, block: Block, *, is_open: bool = False) -> str:
        return polish(block.html, labels=self._labels, prefix=self._prefix, is_open=is_open)


def units(text: str) -> int:
    """The length of a text as JavaScript counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


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
