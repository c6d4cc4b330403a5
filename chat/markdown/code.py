"""Code blocks: language label, copy button, highlighting by classes.

Pygments' expressions were written for code, not against people: in some languages a page of blanks takes them
minutes, during which the whole process stands still. So only languages are highlighted whose lexers were tried
with thousands of such texts, and only code of a shape in which nothing bad was found.
"""

import re
import time
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from html import escape, unescape
from io import StringIO
from typing import Any

from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_all_lexers, get_lexer_by_name

from .labels import Labels

HIGHLIGHT_LIMIT = 20_000  # characters; Pygments needs about 4 us for each
PATIENCE_S = 0.3
LINE_LIMIT = 500  # what has longer lines is data, or was made to be slow
BLANKS = re.compile(r"\s{200}")
TRIED = """
ada apacheconf awk bash batch c clojure cmake coffeescript common-lisp console cpp cr csharp css cuda d dart
delphi diff django docker elixir elm emacs-lisp erlang fish fortran fsharp gas gdscript gherkin glsl go graphql
groovy haskell html html+django http ini java javascript json json5 jsx julia kotlin llvm lua make markdown
matlab mysql nasm nginx nimrod nixos objective-c ocaml perl php plpgsql postgresql powershell prolog properties
protobuf pycon pytb python racket restructuredtext ruby rust sass scala scheme scss solidity sparql splus sql
sqlite3 swift systemverilog tcl terraform tex toml tsx turtle typescript vb.net verilog vhdl vim vue wast xml
yaml zig
"""
LANGUAGES = frozenset(TRIED.split())
# A lexer that stumbles over its code must not take the answer with it.
FAILURES = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)
FORMATTER = HtmlFormatter(nowrap=True)
ENDING = "</code></pre></figure>"

Token = tuple[Any, str]


class TooSlow(Exception):
    """Highlighting takes longer than it is worth."""


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
    lexer, code = _lexer(language.lower()), unescape(html_code)
    if lexer is None or _is_harmful(code):
        return html_code
    html = StringIO()
    try:
        FORMATTER.format(_in_time(lexer.get_tokens(code)), html)
    except (TooSlow, *FAILURES):
        return html_code
    return html.getvalue()


def _is_harmful(code: str) -> bool:
    return bool(BLANKS.search(code)) or any(len(line) > LINE_LIMIT for line in code.split("\n"))


def _in_time(tokens: Iterable[Token]) -> Iterator[Token]:
    """Raises TooSlow. Only what this thread worked counts, so that a busy machine does not change the page."""
    deadline = time.thread_time() + PATIENCE_S
    for token in tokens:
        yield token
        if time.thread_time() > deadline:
            raise TooSlow


@cache
def _names() -> dict[str, str]:
    """What each language is called, by every name it may be asked for with. Asking Pygments is slow."""
    return {alias: name for name, aliases, *_ in get_all_lexers(plugins=False) for alias in aliases}


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    if language not in _names():
        return None
    # The code is shown as written: nothing stripped, nothing added.
    lexer: Lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    return lexer if lexer.aliases[0] in LANGUAGES else None


def _display_name(language: str) -> str:
    return _names().get(language.lower(), language)
