"""From source to the HTML of its top-level blocks."""

import re
from dataclasses import dataclass

import comrak

TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)([^>]*)>")
LINE = re.compile(r'data-sourcepos="(\d+):')
POSITION = re.compile(r' data-sourcepos="[^"]*"')
EMPTY_ELEMENTS = {"br", "hr", "img", "input"}


@dataclass(frozen=True, slots=True)
class Block:
    """The raw HTML of one top-level block and the line of the source it starts on, where that is known."""

    html: str
    line: int | None


def _extensions(*, footnotes: bool) -> comrak.ExtensionOptions:
    extensions = comrak.ExtensionOptions()
    extensions.autolink = True
    extensions.cjk_friendly_emphasis = True
    extensions.footnotes = footnotes
    extensions.math_dollars = True
    extensions.math_latex = True
    extensions.strikethrough = True
    extensions.table = True
    extensions.tasklist = True
    return extensions


def _rendering() -> comrak.RenderOptions:
    rendering = comrak.RenderOptions()
    rendering.escape = True  # raw HTML is text
    rendering.sourcepos = True
    return rendering


WHOLE = _extensions(footnotes=True)
# A footnote's definition comes last, so a growing text shows the marks as text until it is whole.
GROWING = _extensions(footnotes=False)
RENDERING = _rendering()


def blocks_of(text: str, *, growing: bool = False) -> list[Block]:
    """The top-level blocks in order; their HTML is comrak's, not yet safe to show."""
    html = comrak.render_markdown(text, extension_options=GROWING if growing else WHOLE, render_options=RENDERING)
    return [block for block in _split(html) if block.html]


def _split(html: str) -> list[Block]:
    blocks = []
    depth = start = 0
    for tag in TAG.finditer(html):
        closes, name, _attributes = tag.groups()
        if depth == 0 and not closes:
            blocks.append(_loose(html[start : tag.start()]))
            start = tag.start()
        if name not in EMPTY_ELEMENTS:
            depth += -1 if closes else 1
        if depth == 0:
            blocks.append(_block(html[start : tag.end()]))
            start = tag.end()
    blocks.append(_loose(html[start:]))
    return blocks


def _block(html: str) -> Block:
    line = LINE.search(html, 0, html.find(">"))
    return Block(POSITION.sub("", html), int(line.group(1)) if line else None)


def _loose(text: str) -> Block:
    """Escaped HTML stands outside of any element."""
    return Block(f"<p>{text.strip()}</p>" if text.strip() else "", None)
