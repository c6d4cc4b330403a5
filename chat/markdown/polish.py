"""One block of comrak's HTML, made ours and safe to show.

Code and math are taken out first, as numbered slots, and put back after the allow-list has passed the rest:
they are escaped by us, and the list for prose stays short.
"""

import re
from html import escape, unescape

import nh3

from . import code, mathml
from .labels import Labels
from .source import CJK

PROSE = {
    "p",
    "br",
    "hr",
    "h3",
    "h4",
    "h5",
    "h6",
    "strong",
    "em",
    "del",
    "code",
    "a",
    "ul",
    "ol",
    "li",
    "blockquote",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "sup",
    "mark",
    "section",
}
ATTRIBUTES = {
    "a": {"href", "title", "target", "class", "id", "aria-label"},
    "li": {"id"},
    "ol": {"start"},
    "sup": {"class"},
    "section": {"class"},
    "th": {"class", "scope"},
    "td": {"class"},
}
SCHEMES = {"http", "https", "mailto"}

ALLOWED = nh3.Cleaner(tags=PROSE, attributes=ATTRIBUTES, url_schemes=SCHEMES, link_rel="noopener noreferrer nofollow")

SLOT = re.compile(r"<mark>(\d+)</mark>")
IMAGE = re.compile(r'<img src="([^"]*)" alt="([^"]*)"[^>]*/>')
LINK = re.compile(r"<a ([^>]*)>(.*?)</a>", re.DOTALL)
HREF = re.compile(r'href="([^"]*)"')
TITLE = re.compile(r'title="([^"]*)"')
ADDRESS = re.compile(r"https?://[^\s<]+")
OWN_FOOTNOTE = re.compile(r"#fn(?:ref)?-")
HEADING = re.compile(r"<(/?)h([1-6])>")
CHECKBOX = re.compile(r'<input type="checkbox"( checked="")? disabled="" />')
CELL = re.compile(r'<(t[hd])(?: align="(left|center|right)")?>')
FOOTNOTE_ID = re.compile(r'(id="|href="#)(fn(?:ref)?-)')
MATH_BLOCK = re.compile(r'<div class="math-block">.*?</div>', re.DOTALL)


def polish(html: str, *, labels: Labels, prefix: str, is_open: bool = False) -> str:
    """Safe HTML of one block. ``prefix`` keeps ids apart; an open block's last code block is still growing."""
    slots: list[str] = []
    html = _take_out_code(html, slots, labels, is_open=is_open)
    html = mathml.SPAN.sub(lambda m: _slot(slots, mathml.math(m[2], m[1])), html)
    html = IMAGE.sub(_image, html)
    html = LINK.sub(_link, html)
    html = HEADING.sub(lambda m: f"<{m[1]}h{min(6, int(m[2]) + 2)}>", html)
    html = CHECKBOX.sub(lambda m: "\N{BALLOT BOX WITH CHECK}" if m[1] else "\N{BALLOT BOX}", html)
    html = CELL.sub(_cell, html)
    html = FOOTNOTE_ID.sub(rf"\g<1>{prefix}\g<2>", html)
    html = ALLOWED.clean(html)
    html = SLOT.sub(lambda m: slots[int(m[1])], html)
    return _out_of_paragraphs(_in_its_own_box(html, labels)).strip()


def _slot(slots: list[str], html: str) -> str:
    slots.append(html)
    return f"<mark>{len(slots) - 1}</mark>"


def _take_out_code(html: str, slots: list[str], labels: Labels, *, is_open: bool) -> str:
    last = html.rfind("<pre>") if is_open else -1

    def figure(found: re.Match[str]) -> str:
        growing = found.start() == last
        return _slot(slots, code.figure(found[2], found[1] or "", labels, is_open=growing))

    return code.PRE.sub(figure, html)


def _image(found: re.Match[str]) -> str:
    """Pictures are never fetched: a link says where they are."""
    address, alt = found[1], found[2] or found[1]
    return f'<a href="{address}">{alt}</a>'


def _link(found: re.Match[str]) -> str:
    """Links lead out, in a tab of their own, or to a footnote; any other is only its words."""
    attributes, inside = found[1], found[2]
    href = HREF.search(attributes)
    address = href[1] if href else ""
    if OWN_FOOTNOTE.match(address) and "footnote" in attributes + found.string[found.start() - 40 : found.start()]:
        return found[0]
    inside = inside.partition("<a ")[0] + inside.partition(">")[2] if "<a " in inside else inside
    if not address.startswith(("http://", "https://", "mailto:")):
        return inside
    if unescape(inside).startswith(("http://", "https://")) and CJK.search(inside):
        return _cut_at_cjk(inside)
    title = TITLE.search(attributes)
    titled = f' title="{title[1]}"' if title else ""
    return f'<a href="{address}"{titled} target="_blank">{inside}</a>'


def _cut_at_cjk(inside: str) -> str:
    """An address ends where Chinese begins: ``https://e.com/a，然后看`` is a link and some words."""

    def linked(found: re.Match[str]) -> str:
        words = found[0]
        cut = CJK.search(words)
        address, rest = (words[: cut.start()], words[cut.start() :]) if cut else (words, "")
        return f'<a href="{address}" target="_blank">{address}</a>{ADDRESS.sub(linked, rest)}'

    return ADDRESS.sub(linked, inside)


def _cell(found: re.Match[str]) -> str:
    scope = ' scope="col"' if found[1] == "th" else ""
    aligned = {"right": ' class="num"', "center": ' class="center"'}.get(found[2] or "", "")
    return f"<{found[1]}{scope}{aligned}>"


def _in_its_own_box(html: str, labels: Labels) -> str:
    """Wide tables scroll inside a region of their own."""
    if "<table>" not in html:
        return html
    box = f'<div class="table-wrap" tabindex="0" role="region" aria-label="{escape(labels.table, quote=True)}"><table>'
    return html.replace("<table>", box).replace("</table>", "</table></div>")


def _out_of_paragraphs(html: str) -> str:
    """A formula on its own line is a block and cannot stand inside a paragraph."""
    if '<div class="math-block">' not in html:
        return html
    split = MATH_BLOCK.sub(lambda found: f"</p>{found[0]}<p>", html) if html.startswith("<p>") else html
    return re.sub(r"<p>\s*</p>", "", split)
