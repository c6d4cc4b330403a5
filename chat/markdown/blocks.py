"""From source to the HTML of its top-level blocks."""

import re
from dataclasses import dataclass

import comrak

from .source import is_harmful, spare_money

TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)[^>]*>")
LINE = re.compile(r'data-sourcepos="(\d+):')
POSITION = re.compile(r' data-sourcepos="[^"]*"')
EMPTY_ELEMENTS = {"br", "hr", "img", "input"}
DEPTH_LIMIT = 100


class TooMuch(Exception):
    """Rendering would take unreasonably long, or nest elements deeper than a page should be asked to show."""


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


def _rendering(*, positions: bool) -> comrak.RenderOptions:
    rendering = comrak.RenderOptions()
    rendering.escape = True  # raw HTML is text
    rendering.sourcepos = positions
    return rendering


WHOLE, PLAIN = _extensions(footnotes=True), _rendering(positions=False)
# A footnote's definition comes last, so a growing text shows the marks as text until it is whole.
GROWING, WITH_LINES = _extensions(footnotes=False), _rendering(positions=True)


def blocks_of(text: str) -> list[Block]:
    """The top-level blocks in order; their HTML is comrak's, not yet safe to show. Raises TooMuch."""
    return _split(_html(text, WHOLE, PLAIN))


def growing_blocks_of(text: str) -> list[Block]:
    """The same for a text that goes on, with the lines on which the blocks start."""
    return _split(_html(text, GROWING, WITH_LINES))


def _html(text: str, extensions: comrak.ExtensionOptions, rendering: comrak.RenderOptions) -> str:
    if is_harmful(text):
        raise TooMuch
    return comrak.render_markdown(spare_money(text), extension_options=extensions, render_options=rendering)


def _split(html: str) -> list[Block]:
    blocks = []
    depth = start = 0
    for tag in TAG.finditer(html):
        closes, name = tag.groups()
        if depth == 0 and not closes:
            blocks.append(_loose(html[start : tag.start()]))
            start = tag.start()
        if name not in EMPTY_ELEMENTS:
            depth += -1 if closes else 1
        if depth == 0:
            blocks.append(_block(html[start : tag.end()]))
            start = tag.end()
        elif depth > DEPTH_LIMIT:
            raise TooMuch
    blocks.append(_loose(html[start:]))
    return [block for block in blocks if block.html]


def _block(html: str) -> Block:
    line = LINE.search(html, 0, html.find(">"))
    return Block(POSITION.sub("", html), int(line.group(1))) if line else Block(html, None)


def _loose(text: str) -> Block:
    """Escaped HTML stands outside of any element."""
    return Block(f"<p>{text.strip()}</p>" if text.strip() else "", None)
