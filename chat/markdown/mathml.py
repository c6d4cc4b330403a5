"""LaTeX to MathML. What cannot be converted is shown as it was written."""

import re
from functools import lru_cache
from html import escape, unescape

import nh3
from latex2mathml import exceptions
from latex2mathml.converter import convert

SPAN = re.compile(r'<span data-math-style="(inline|display)">(.*?)</span>', re.DOTALL)
TAGS = {
    "math",
    "mi",
    "mn",
    "mo",
    "mrow",
    "mfrac",
    "msqrt",
    "mroot",
    "msub",
    "msup",
    "msubsup",
    "munder",
    "mover",
    "munderover",
    "mtext",
    "mspace",
    "mtable",
    "mtr",
    "mtd",
    "mstyle",
    "mpadded",
    "mphantom",
    "menclose",
}
ATTRIBUTES = {
    "math": {"display"},
    "mo": {
        "stretchy",
        "fence",
        "separator",
        "form",
        "movablelimits",
        "minsize",
        "maxsize",
        "lspace",
        "rspace",
    },
    "mi": {"mathvariant"},
    "mn": {"mathvariant"},
    "mtext": {"mathvariant"},
    "mspace": {"width"},
    "mfrac": {"linethickness"},
    "mtable": {"columnalign", "rowspacing"},
    "mtd": {"columnalign"},
    "mstyle": {"displaystyle", "scriptlevel", "mathvariant"},
    "munderover": {"accent"},
    "mover": {"accent"},
    "munder": {"accentunder"},
}
ALLOWED = nh3.Cleaner(tags=TAGS, attributes=ATTRIBUTES, link_rel=None)
# The converter writes < and & of the source into its markup as they are; these stand in for them.
LESS, GREATER = "\ue0f0", "\ue0f1"
BARE_AMPERSAND = re.compile(r"&(?!#x[0-9A-Fa-f]+;|[a-z]+;)")
LENGTH_LIMIT = 5_000
# The converter's errors share no base class, and odd input makes it stumble in its own code too.
FAILURES: tuple[type[Exception], ...] = (
    *(error for error in vars(exceptions).values() if isinstance(error, type) and issubclass(error, Exception)),
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
)


@lru_cache(maxsize=512)
def math(html_latex: str, style: str) -> str:
    """MathML for LaTeX (HTML-escaped); the escaped source when it is not LaTeX that can be converted."""
    latex = unescape(html_latex).strip()
    if not latex or len(latex) > LENGTH_LIMIT:
        return _as_written(html_latex)
    try:
        raw = convert(
            latex.replace("<", LESS).replace(">", GREATER),
            display="block" if style == "display" else "inline",
        )
    except FAILURES:
        return _as_written(html_latex)
    marked = BARE_AMPERSAND.sub("&amp;", raw).replace(LESS, "&lt;").replace(GREATER, "&gt;")
    clean = ALLOWED.clean(marked)
    return f'<div class="math-block">{clean}</div>' if style == "display" else clean


def _as_written(html_latex: str) -> str:
    return f"<code>{escape(unescape(html_latex))}</code>"
