"""Blocks of comrak's HTML, made ours and safe to show.

One pass over comrak's own markup (raw HTML of the source is escaped by then) rewrites code, math, links, pictures,
headings, cells and notes. Code and math are taken out as numbered slots and put back after the allow-list has
passed the rest: they are escaped by us, and the list for prose stays short.
"""

import re
from html import escape
from itertools import chain, zip_longest

import nh3

from . import code, links, mathml
from .labels import Look
from .source import HIGHLIGHTED_LIMIT

ELEMENTS = (
    {"p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "section"}
    | {"a", "strong", "em", "del", "code", "sup", "small", "mark", "ins"}
    | {"table", "thead", "tbody", "tr", "th", "td"}
)
ATTRIBUTES = {
    "a": {"href", "target", "id", "aria-label"},
    "li": {"id"},
    "ol": {"start"},
    "th": {"scope"},
}
CLASSES = {"section": {"footnotes"}, "sup": {"footnote-ref"}, "th": {"num", "center"}, "td": {"num", "center"}}
SCHEMES = {"http", "https", "mailto"}
ALLOW_LIST = nh3.Cleaner(
    tags=ELEMENTS,
    attributes=ATTRIBUTES,
    allowed_classes=CLASSES,
    url_schemes=SCHEMES,
    link_rel="noopener noreferrer nofollow",
)

# The outer group of each alternative closes last, so it is the match's ``lastgroup``.
PART = re.compile(
    "<(?:"
    r'(?P<code>pre><code(?: class="language-(?P<language>[^"]*)")?>(?P<source>[^<]*)</code></pre>)'
    r'|(?P<math>span data-math-style="(?P<style>inline|display)">(?P<latex>[^<]*)</span>)'
    r'|(?P<mark>a href="#(?P<to>[^"]*)" id="(?P<id>fnref-[^"]*)"[^>]*>)'
    r'|(?P<back>a href="#(?P<from>[^"]*)" class="footnote-backref"[^>]*>)'
    r'|(?P<link>a href="(?P<href>[^"]*)"[^>]*>(?P<words>.*?)</a>)'
    r'|(?P<picture>img src="(?P<src>[^"]*)" alt="(?P<alt>[^"]*)"[^>]*>)'
    r'|(?P<note>li id="(?P<number>fn-[^"]*)">)'
    r"|(?P<heading>(?P<ends>/?)h(?P<level>[1-6])>)"
    r'|(?P<task>input type="checkbox"(?P<done> checked="")? disabled="" />)'
    r'|(?P<cell>(?P<kind>t[hd])(?: align="(?P<align>left|center|right)")?>)'
    ")",
    re.DOTALL,
)
PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
OPENING, CLOSING = re.compile(r"<(?!/|br\b)"), re.compile(r"</")
SLOT = re.compile(r"<(mark|ins)>(\d+)</\1>")
FORMULA_SLOT = re.compile(r"<ins>(\d+)</ins>")


def polish(html: str, look: Look, *, is_open: bool = False) -> str:
    """Safe HTML. The last code block of an open block is still growing, and is highlighted when it is complete."""
    parts = _Parts(html, look, growing_at=html.rfind("<pre>") if is_open else -1)
    clean = ALLOW_LIST.clean(PART.sub(parts.rewritten, html))
    return _in_boxes(SLOT.sub(parts.filled, _around_formulas(clean)), look)


def code_length(html: str) -> int:
    """How many characters of comrak's HTML are code, as ``polish`` counts them."""
    return sum(len(part["source"]) for part in PART.finditer(html) if part.lastgroup == "code")


class _Parts:
    """Rewrites the parts of one piece of HTML, each in the method named as its group; keeps what was taken out."""

    def __init__(self, html: str, look: Look, *, growing_at: int) -> None:
        self._look = look
        self._growing_at = growing_at
        self._code_seen = look.code_before
        self._slots: list[str] = []

    def rewritten(self, part: re.Match[str]) -> str:
        html: str = getattr(self, f"_{part.lastgroup}")(part)
        return html

    def filled(self, slot: re.Match[str]) -> str:
        html = self._slots[int(slot[2])]
        return f'<div class="math-block">{html}</div>' if slot[1] == "ins" else html

    def _inside_link(self, part: re.Match[str]) -> str:
        """A link holds no other link."""
        return part["alt"] or part["src"] if part.lastgroup == "picture" else self.rewritten(part)

    def _mark(self, part: re.Match[str]) -> str:
        return f'<a href="#{self._look.prefix}{part["to"]}" id="{self._look.prefix}{part["id"]}">'

    def _back(self, part: re.Match[str]) -> str:
        label = escape(self._look.labels.back)
        return f'<a href="#{self._look.prefix}{part["from"]}" aria-label="{label}">'

    def _note(self, part: re.Match[str]) -> str:
        return f'<li id="{self._look.prefix}{part["number"]}">'

    def _link(self, part: re.Match[str]) -> str:
        return links.link(part["href"], PART.sub(self._inside_link, part["words"]))

    def _picture(self, part: re.Match[str]) -> str:
        return links.picture(part["src"], part["alt"])

    def _heading(self, part: re.Match[str]) -> str:
        return f"<{part['ends']}h{min(6, int(part['level']) + 2)}>"

    def _task(self, part: re.Match[str]) -> str:
        return "\N{BALLOT BOX WITH CHECK}" if part["done"] else "\N{BALLOT BOX}"

    def _cell(self, part: re.Match[str]) -> str:
        scope = ' scope="col"' if part["kind"] == "th" else ""
        aligned = {"right": ' class="num"', "center": ' class="center"'}.get(part["align"], "")
        return f"<{part['kind']}{scope}{aligned}>"

    def _code(self, part: re.Match[str]) -> str:
        growing = part.start() == self._growing_at
        self._code_seen += len(part["source"])
        highlights = self._code_seen <= HIGHLIGHTED_LIMIT and not growing
        html = code.figure(part["source"], part["language"] or "", self._look.labels, highlights=highlights)
        return self._slot("mark", html)

    def _math(self, part: re.Match[str]) -> str:
        style: mathml.Style = "display" if part["style"] == "display" else "inline"
        return self._slot("ins" if style == "display" else "mark", mathml.math(part["latex"], style))

    def _slot(self, element: str, html: str) -> str:
        self._slots.append(html)
        return f"<{element}>{len(self._slots) - 1}</{element}>"


def _around_formulas(html: str) -> str:
    """A formula on its own line is a block and cannot stand inside a paragraph."""
    return PARAGRAPH.sub(_split, html) if "<ins>" in html else html


def _split(paragraph: re.Match[str]) -> str:
    words = FORMULA_SLOT.split(paragraph[1])
    pieces, inside = [words[0]], _depth(words[0])
    for number, after in zip(words[1::2], words[2::2], strict=True):
        if inside:  # of bold words: there is no way out of the paragraph
            pieces[-1] += f"<mark>{number}</mark>{after}"
        else:
            pieces += [number, after]
        inside += _depth(after)
    paragraphs = [f"<p>{text}</p>\n" if (text := _trimmed(piece)) else "" for piece in pieces[::2]]
    formulas = [f"<ins>{number}</ins>\n" for number in pieces[1::2]]
    return "".join(chain(*zip_longest(paragraphs, formulas, fillvalue=""))).rstrip("\n")


def _trimmed(html: str) -> str:
    return html.strip().removeprefix("<br>").removesuffix("<br>").strip()


def _depth(html: str) -> int:
    return len(OPENING.findall(html)) - len(CLOSING.findall(html))


def _in_boxes(html: str, look: Look) -> str:
    """Wide tables scroll inside a region of their own."""
    if "<table>" not in html:
        return html
    label = escape(look.labels.table)
    box = f'<div class="table-wrap" tabindex="0" role="region" aria-label="{label}"><table>'
    return html.replace("<table>", box).replace("</table>", "</table></div>")
