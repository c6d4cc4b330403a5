"""LaTeX to MathML. What cannot be converted is shown as it was written."""

import re
from functools import lru_cache
from html import escape, unescape
from typing import Literal

import nh3
from latex2mathml import exceptions
from latex2mathml.converter import convert

from .source import WORDS_IN_MATH

Style = Literal["inline", "display"]

ELEMENTS = (
    {"math", "mrow", "mstyle", "mpadded", "mphantom", "menclose"}
    | {"mi", "mn", "mo", "mtext", "mspace"}
    | {"mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder", "mover", "munderover"}
    | {"mtable", "mtr", "mtd"}
)
ATTRIBUTES = {
    "math": {"display"},
    "mi": {"mathvariant"},
    "mn": {"mathvariant"},
    "mo": {"stretchy", "fence", "separator", "form", "movablelimits", "minsize", "maxsize", "lspace", "rspace"},
    "mtext": {"mathvariant"},
    "mspace": {"width"},
    "mfrac": {"linethickness"},
    "menclose": {"notation"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "munderover": {"accent"},
    "mtable": {"columnalign", "columnspacing", "rowspacing", "displaystyle"},
    "mtd": {"columnalign"},
}
ALLOW_LIST = nh3.Cleaner(tags=ELEMENTS, attributes=ATTRIBUTES, link_rel=None)
# Environments that models use and the converter knows by another name only.
ENVIRONMENT = re.compile(r"\\(begin|end)\{(aligned|alignedat|gathered|gather\*?|dcases)\}")
KNOWN_AS = {"aligned": "split", "alignedat": "split", "dcases": "cases"}
# Inside of words the converter writes < and & into its markup as they are; these stand in for them.
STAND_IN = str.maketrans("<>&", "\ue0f0\ue0f1\ue0f2")
STOOD_FOR = {0xE0F0: "&lt;", 0xE0F1: "&gt;", 0xE0F2: "&amp;"}
BARE_AMPERSAND = re.compile(r"&(?!#x[0-9A-Fa-f]+;)")
# A formula that defines commands can grow without end.
DEFINING = re.compile(r"\\(?:def|(?:re)?newcommand|newenvironment|DeclareMathOperator)\b")
LENGTH_LIMIT = 5_000
BRACES_LIMIT = 200
# The converter's errors share no base class, and odd input makes it stumble in its own code too.
FAILURES: tuple[type[Exception], ...] = (
    *(error for error in vars(exceptions).values() if isinstance(error, type)),
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
)


@lru_cache(maxsize=512)
def math(html_latex: str, style: Style) -> str:
    """MathML for LaTeX (HTML-escaped); the escaped source when it is not LaTeX that can be converted."""
    latex = unescape(html_latex).strip()
    if not latex or _is_harmful(latex):
        return _as_written(latex)
    try:
        raw = convert(_understandable(latex), display="block" if style == "display" else "inline")
    except FAILURES:
        return _as_written(latex)
    return ALLOW_LIST.clean(_well_formed(raw))


def _is_harmful(latex: str) -> bool:
    return len(latex) > LENGTH_LIMIT or latex.count("{") > BRACES_LIMIT or bool(DEFINING.search(latex))


def _understandable(latex: str) -> str:
    renamed = ENVIRONMENT.sub(lambda m: rf"\{m[1]}{{{KNOWN_AS.get(m[2], 'matrix')}}}", latex)
    return WORDS_IN_MATH.sub(lambda m: m[0].translate(STAND_IN), renamed)


def _well_formed(raw: str) -> str:
    return BARE_AMPERSAND.sub("&amp;", raw).translate(STOOD_FOR)


def _as_written(latex: str) -> str:
    return f"<code>{escape(latex, quote=False)}</code>"
