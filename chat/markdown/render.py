"""A whole text at once."""

import re
from collections.abc import Iterable
from html import escape, unescape

from .blocks import Block, blocks_of
from .labels import Labels
from .polish import polish
from .source import is_harmful, spare_money

TAGS = re.compile(r"<[^>]+>")


def render(text: str, *, labels: Labels, prefix: str = "") -> str:
    """Safe HTML of a whole text; of one that is too large or too deep, the text as it is."""
    if is_harmful(text):
        return as_written(text)
    return join(polish(block.html, labels=labels, prefix=prefix) for block in blocks_of(spare_money(text)))


def as_written(text: str) -> str:
    """The text without any Markdown."""
    return f'<pre class="plain" tabindex="0">{escape(text)}</pre>' if text else ""


def join(blocks: Iterable[str]) -> str:
    """One block a line."""
    return "".join(f"{block}\n" for block in blocks)


def plain(text: str, limit: int) -> str:
    """The words of a text's first lines without Markdown, at most ``limit`` characters; for titles."""
    start: list[Block] = blocks_of(text[: 10 * limit])
    words = " ".join(unescape(TAGS.sub("", block.html)).strip() for block in start[:3])
    words = " ".join(words.split())
    if len(words) <= limit:
        return words
    return words[:limit].rpartition(" ")[0].rstrip(" ,.;:，。；：") or words[:limit]
