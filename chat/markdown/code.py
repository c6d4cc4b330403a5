"""Code blocks: language label, copy button, highlighting by classes."""

import time
from functools import cache, lru_cache
from html import escape, unescape
from io import StringIO

from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_all_lexers, get_lexer_by_name

from .labels import Labels

HIGHLIGHT_LIMIT = 20_000  # characters; Pygments needs about 4 us for each
PATIENCE_S = 0.3  # some languages have expressions that take forever on what was made for it
FORMATTER = HtmlFormatter(nowrap=True)
ENDING = "</code></pre></figure>"


def figure(html_code: str, language: str, labels: Labels, *, highlights: bool) -> str:
    """The figure of one code block. ``html_code`` and ``language`` are escaped HTML."""
    name = unescape(language).strip()[:40]
    label = _display_name(name)
    code = highlighted(html_code, name) if highlights and len(html_code) <= HIGHLIGHT_LIMIT else html_code
    title = escape(f"{labels.code}: {label}" if label else labels.code)
    return (
        f'<figure class="code"><figcaption class="code__head"><span>{escape(label)}</span>'
        '<button class="btn btn--quiet btn--s" type="button" data-copy="">'
        f'<svg class="icon icon--s" aria-hidden="true"><use href="{escape(labels.icons)}#copy"></use></svg>'
        f"{escape(labels.copy)}</button></figcaption>"
        f'<pre tabindex="0" role="region" aria-label="{title}"><code>{code}{ENDING}'
    )


@lru_cache(maxsize=256)
def highlighted(html_code: str, language: str) -> str:
    """Code (HTML-escaped, and so returned) with spans of Pygments' short classes, or as it was."""
    lexer = _lexer(language.lower())
    if lexer is None:
        return html_code
    tokens = []
    deadline = time.monotonic() + PATIENCE_S
    for token in lexer.get_tokens(unescape(html_code)):
        tokens.append(token)
        if time.monotonic() > deadline:
            return html_code
    html = StringIO()
    FORMATTER.format(tokens, html)
    return html.getvalue()


@cache
def _names() -> dict[str, str]:
    """What each language is called, by every name it may be asked for with. Asking Pygments is slow."""
    return {alias: name for name, aliases, *_ in get_all_lexers(plugins=False) for alias in aliases}


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    # The code is shown as written: nothing stripped, nothing added.
    return get_lexer_by_name(language, stripnl=False, ensurenl=False) if language in _names() else None


def _display_name(language: str) -> str:
    return _names().get(language.lower(), language)
