"""Text made to keep a server busy is rendered within a second, or shown as it was written."""

import os
import time
from html import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.markdown import GrowingMarkdown, Labels, plain, render
from chat.markdown.code import LANGUAGES, _lexer, highlighted
from chat.markdown.source import TEXT_LIMIT

from .dom import text_of

LABELS = Labels()
MEGABYTE = 1_000_000
PATIENCE_S = 1.0
WIDE_TABLE = "|a" * 2000 + "|\n" + "|-" * 2000 + "|\n" + ("|b" * 2000 + "|\n") * 200
HARMFUL = {
    # Nested
    "quotes": ">" * MEGABYTE,
    "quotes with spaces": "> " * (MEGABYTE // 2),
    "lists": "- " * (MEGABYTE // 2),
    "numbered lists": "1. " * (MEGABYTE // 3),
    "lists in lists": "".join("  " * level + "- a\n" for level in range(1_000)),
    "quotes in quotes": "".join("> " * level + "a\n\n" for level in range(1_000)),
    "bold in bold": "*" * (MEGABYTE // 2) + "a" + "*" * (MEGABYTE // 2),
    "emphasis in emphasis": "*a " * (MEGABYTE // 6) + "a*" * (MEGABYTE // 6),
    "brackets": "[" * MEGABYTE,
    "pictures": "![[" * (MEGABYTE // 3),
    "links": "[a](b" * (MEGABYTE // 5),
    "parentheses": "[a](" + "(" * MEGABYTE,
    # Never closed
    "emphasis": "*a _b " * (MEGABYTE // 6),
    "strikes": "~~a ~b " * (MEGABYTE // 7),
    "code spans": "".join("`" * length + " " for length in range(1_400)),
    "tags": "<a " * (MEGABYTE // 3),
    "comments": "<!--" * (MEGABYTE // 4),
    "inline formulas": "\\(" * (MEGABYTE // 2),
    "display formulas": "\\[" * (MEGABYTE // 2),
    "titles": '[a](b "' * (MEGABYTE // 7),
    # Many
    "wide table": WIDE_TABLE,
    "long table": "|a|b|\n|-|-|\n" + "|1|2|\n" * (MEGABYTE // 6),
    "empty cells": "|" + "a|" * 9_000 + "\n|" + "-|" * 9_000 + "\n" + "|\n" * 100_000,
    "paragraphs": "a\n\n" * (MEGABYTE // 3),
    "headings": "# a\n" * (MEGABYTE // 4),
    "dollars": "$x" * (MEGABYTE // 2),
    "money": "$茶" * (MEGABYTE // 2),
    "formulas": "".join(f"$x_{{{number}}}$ " for number in range(MEGABYTE // 11)),
    "notes": "[^1]: a\n\n" + "[^1]" * (MEGABYTE // 4),
    "definitions": "".join(f"[a{number}]: b\n" for number in range(MEGABYTE // 12)),
    "references": "[a]: http://b\n\n" + "[a]" * (MEGABYTE // 3),
    "addresses": "http://a.b " * (MEGABYTE // 11),
    "addresses in Chinese": "https://a.b/茶" * (MEGABYTE // 13),
    "code blocks": "```python\nx = 1\n```\n\n" * (MEGABYTE // 22),
    "one code block": "```python\n" + "a = 'x' # c\n" * (MEGABYTE // 12),
    "one formula": "$$" + "x+" * (MEGABYTE // 2) + "$$",
    "braces": "$" + "{" * 2_000 + "x" + "}" * 2_000 + "$",
    "commands of their own": r"$\def\a{" + "x" * 2_000 + "}" + r"\a" * 90 + "$",
    "escapes": "\\" * MEGABYTE,
    "entities": "&amp;" * (MEGABYTE // 5),
    "lines": "\n" * MEGABYTE,
}


@pytest.mark.parametrize("size", [MEGABYTE, TEXT_LIMIT, TEXT_LIMIT // 10])
@pytest.mark.parametrize("name", HARMFUL)
def test_harmful_text_takes_no_time(name, size):
    """S50."""
    began = time.process_time()
    render(HARMFUL[name][:size], labels=LABELS)

    assert time.process_time() - began < PATIENCE_S


@pytest.mark.parametrize("name", HARMFUL)
def test_a_harmful_title_takes_no_time(name):
    """S50."""
    titles, took_s = set(), []
    for _ in range(3):  # Python may tidy its memory during one of them
        began = time.process_time()
        titles.add(plain(HARMFUL[name], 60))
        took_s.append(time.process_time() - began)

    assert max(map(len, titles)) <= 60
    assert min(took_s) < PATIENCE_S / 10


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful_text_that_grows_takes_no_time(name):
    """S50."""
    growing, text = GrowingMarkdown(labels=LABELS), HARMFUL[name][: TEXT_LIMIT // 3]
    growing.append(text[:-100])
    growing.flush()
    growing.append(text[-100:])
    began = time.process_time()
    growing.flush()

    assert time.process_time() - began < PATIENCE_S


SLOW_CODE = {
    "blanks": "a" + " " * 19_000 + "!",
    "lines of blanks": "a" + " \n" * 9_000 + "!",
    "one line": "a" * 19_000,
    "marks": ("<%" * 240 + "\n") * 39,
}


# Each takes seconds or minutes over one of the texts when it is let.
@pytest.mark.parametrize("language", ["c", "arduino", "console", "aspx-cs", "c-objdump", "devicetree"])
@pytest.mark.parametrize("name", SLOW_CODE)
def test_code_made_to_be_slow_takes_no_time(name, language):
    """S50."""
    began = time.process_time()
    html = render(f"```{language}\n{SLOW_CODE[name]}\n```", labels=LABELS)

    assert time.process_time() - began < PATIENCE_S
    assert SLOW_CODE[name].strip() in text_of(html)


UNITS = [
    *" \t\"'\\([{<a0-*/:.#=_$%@`&|~;,>?!^",
    "/*",
    "//",
    "a=",
    "a(",
    "a<",
    "<!--",
    '"""',
    "#{",
    "${",
    "'a",
    "--",
    "::",
    "中",
]


@st.composite
def odd_code(draw) -> str:
    """As much code as is highlighted at all, of the shape that is: something repeated, in lines that are not long."""
    unit = "".join(draw(st.lists(st.sampled_from(UNITS), min_size=1, max_size=4))) + draw(st.sampled_from(["", "\n"]))
    text = (draw(st.sampled_from(UNITS)) + unit * 20_000)[:19_000]
    lines = [line[at : at + 500] for line in text.split("\n") for at in range(0, max(1, len(line)), 500)]
    return "\n".join(lines)[:19_000]


@settings(max_examples=int(os.environ.get("FUZZ", "25")), derandomize="FUZZ" not in os.environ, deadline=None)
@given(odd_code(), st.sampled_from(sorted(LANGUAGES)))
def test_no_language_takes_long_over_odd_code(code, language):
    """S50."""
    began = time.process_time()
    highlighted.__wrapped__(escape(code), language)

    assert time.process_time() - began < PATIENCE_S


def test_every_language_that_was_tried_is_highlighted():
    assert [language for language in LANGUAGES if _lexer(language) is None] == []


def test_a_language_that_was_not_tried_is_named_and_shown_as_it_is():
    """S50."""
    html = render("```arduino\nint tea;\n```", labels=LABELS)

    assert "<span>Arduino</span>" in html
    assert "<code>int tea;\n</code>" in html


def test_a_lexer_that_stumbles_leaves_the_code_as_it_is():
    """Pygments' lexer of Delphi raises where the text ends behind the name of a function."""
    assert highlighted("function tea", "delphi") == "function tea"


@pytest.mark.parametrize("name", ["quotes", "lists", "numbered lists", "lists in lists"])
def test_nothing_that_is_nested_too_deep_gets_lost(name):
    text = HARMFUL[name][: TEXT_LIMIT // 10]

    assert text_of(render(text, labels=LABELS)).rstrip("\n") == text.rstrip("\n")


def test_what_is_too_long_is_shown_as_it_was_written():
    text = "<b>**tea**</b> & more\n" * 10_000

    assert text_of(render(text, labels=LABELS)) == f"{text}\n"


@settings(max_examples=500, deadline=None)
@given(st.text(st.characters(codec=None), max_size=200))
def test_no_text_is_refused(text):
    assert isinstance(render(text, labels=LABELS), str)
    assert len(plain(text, 20)) <= 20


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *r"\{}[]()^_&$%#~ 1xα茶<>'|!",
                r"\frac",
                r"\left",
                r"\right",
                r"\text{",
                r"\sum",
                r"\begin{aligned}",
                r"\end{aligned}",
                r"\begin{array}{c|c}",
                r"\end{array}",
                r"\\",
                r"\sqrt",
                r"\limits",
                r"\hspace{",
                r"\color{",
                r"\genfrac",
                r"\middle",
                r"\hline",
                r"\substack",
                r"\overset",
                r"\tag",
                r"\not",
                r"\rule",
                r"\def",
                r"\unicode",
            ]
        ),
        max_size=12,
    )
)
def test_no_formula_is_refused(parts):
    formula = "".join(parts)

    assert isinstance(render(f"\\({formula}\\) and $$\n{formula}\n$$", labels=LABELS), str)
