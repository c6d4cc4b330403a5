"""Code blocks: language label, copy button, highlighting by classes."""

import re
from functools import lru_cache
from html import escape, unescape

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from .labels import Labels

PRE = re.compile(r'<pre><code(?: class="language-([^"]*)")?>(.*?)</code></pre>', re.DOTALL)
HIGHLIGHT_LIMIT = 60_000  # characters; Pygments needs about 4 us for each
FORMATTER = HtmlFormatter(nowrap=True)


def figure(html_code: str, language: str, labels: Labels, *, is_open: bool) -> str:
    """The figure of one code block. Open ones grow and are highlighted when they are complete."""
    name = unescape(language).strip()[:40]
    label = _display_name(name) if name else ""
    code = html_code if is_open or len(html_code) > HIGHLIGHT_LIMIT else highlighted(html_code, name)
    title = escape(f"{labels.code}: {label}" if label else labels.code, quote=True)
    return (
        f'<figure class="code"><figcaption class="code__head"><span>{escape(label)}</span>'
        '<button class="btn btn--quiet btn--s" type="button" data-copy="">'
        f'<svg class="icon icon--s" aria-hidden="true"><use href="{escape(labels.icons, quote=True)}#copy"></use></svg>'
        f"{escape(labels.copy)}</button></figcaption>"
        f'<pre tabindex="0" role="region" aria-label="{title}"><code>{code}</code></pre></figure>'
    )


@lru_cache(maxsize=256)
def highlighted(html_code: str, language: str) -> str:
    """Code (HTML-escaped, and so returned) with spans of Pygments' short classes."""
    lexer = _lexer(language)
    if lexer is None:
        return html_code
    return highlight(unescape(html_code), lexer, FORMATTER)


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    try:
        # The code is shown as written: nothing stripped, nothing added.
        return get_lexer_by_name(language, stripnl=False, ensurenl=False) if language else None
    except ClassNotFound:
        return None


def _display_name(language: str) -> str:
    lexer = _lexer(language)
    return lexer.name if lexer else language
