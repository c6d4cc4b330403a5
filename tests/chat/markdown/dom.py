"""What a browser would make of HTML, and whether all of it is meant to be there."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import html5lib

HTML, MATHML, SVG = "http://www.w3.org/1999/xhtml", "http://www.w3.org/1998/Math/MathML", "http://www.w3.org/2000/svg"
TEXT = "p br hr h3 h4 h5 h6 blockquote ul ol li strong em del code a sup small section"
TABLES = "div table thead tbody tr th td"
CODE = "figure figcaption span button pre"
MATH = (
    "math mrow mstyle mpadded mphantom menclose mi mn mo mtext mspace mfrac msqrt mroot"
    " msub msup msubsup munder mover munderover mtable mtr mtd"
)
ELEMENTS = {
    *(f"{{{HTML}}}{name}" for name in f"{TEXT} {TABLES} {CODE}".split()),
    *(f"{{{MATHML}}}{name}" for name in MATH.split()),
    f"{{{SVG}}}svg",
    f"{{{SVG}}}use",
}
CLASS = re.compile(
    "code|code__head|btn btn--quiet btn--s|icon icon--s|table-wrap|math-block|num|center|footnotes|footnote-ref|plain"
    "|[a-z]{1,2}[a-z0-9]?"  # Pygments
)
ATTRIBUTES = {
    "aria-hidden": re.compile("true"),
    "aria-label": re.compile("(?s)Table|Code(: .*)?|Back to the text"),
    "class": CLASS,
    "data-copy": re.compile(""),
    "href": re.compile("(?s)https?://.+|mailto:.+|#p-fn.+|/icons.svg#copy", re.IGNORECASE),
    "id": re.compile("(?s)p-fn.*"),
    "rel": re.compile("noopener noreferrer nofollow"),
    "role": re.compile("region"),
    "scope": re.compile("col"),
    "start": re.compile("[0-9]+"),
    "tabindex": re.compile("0"),
    "target": re.compile("_blank"),
    "type": re.compile("button"),
}
LENGTH = re.compile(r"[a-z]+|[-+]?[0-9.]*(em|ex|pt|px|mu|%)?|[0-9a-z. ]+")


def parsed(html: str) -> Element:
    return html5lib.parseFragment(html)


def surprises(html: str) -> list[str]:
    """Elements and attributes that have no place in an answer."""
    return [surprise for element in parsed(html).iter() for surprise in _surprises_of(element)]


def _surprises_of(element: Element) -> Iterator[str]:
    if element.tag == "DOCUMENT_FRAGMENT":
        return
    if element.tag not in ELEMENTS:
        yield str(element.tag)
    is_math = str(element.tag).startswith(f"{{{MATHML}}}")
    for name, value in element.attrib.items():
        allowed = ATTRIBUTES.get(name, LENGTH if is_math else None)
        if allowed is None or not allowed.fullmatch(value) or name == "style":
            yield f"{element.tag} {name}={value}"


def same(one: Element, other: Element) -> bool:
    return html5lib.serialize(one) == html5lib.serialize(other)


def text_of(html: str) -> str:
    return "".join(parsed(html).itertext())
