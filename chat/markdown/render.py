"""A whole text at once."""

import re
from html import escape, unescape

from .blocks import TooMuch, blocks_of
from .labels import Labels, Look
from .polish import polish
from .source import repaired

TAGS = re.compile(r"<[^>]+>")


def render(text: str, *, labels: Labels, prefix: str = "") -> str:
    """Safe HTML of a whole text; of one that is too large or too deep, the text as it is. Never raises."""
    text = repaired(text)
    try:
        blocks = blocks_of(text)
    except TooMuch:
        return as_written(text)
    return polish("".join(f"{block.html}\n" for block in blocks), Look(labels, prefix))


def as_written(text: str) -> str:
    """The text without any Markdown."""
    return f'<pre class="plain" tabindex="0">{escape(text, quote=False)}</pre>\n' if text else ""


def plain(text: str, limit: int) -> str:
    """The words of a text's first lines without Markdown, at most ``limit`` characters; for titles."""
    start = repaired(text[: 10 * limit])
    try:
        shown = " ".join(block.html for block in blocks_of(start)[:3])
    except TooMuch:
        shown = ""
    words = " ".join(unescape(TAGS.sub("", shown)).split()) or " ".join(start.split())
    if len(words) <= limit:
        return words
    return words[:limit].rpartition(" ")[0].rstrip(" ,.;:，。；：") or words[:limit]
