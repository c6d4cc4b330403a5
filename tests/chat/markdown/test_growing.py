"""An answer that grows looks, at every moment and at its end, like the text it consists of."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.markdown import Frame, GrowingMarkdown, Labels, Snapshot, polish, render

from .dom import parsed, same

LABELS = Labels()
CORPORA = {
    "list": "1. a\n\n2. b\n\n10. c\n\ntext\n\n- x\n  - y\n\n    para\n- z\n",
    "table": "Intro\n\na | b\n--- | ---:\n1 | 2\n3 | 4\n\nafter\n",
    "code": "Intro\n\n```python\ndef f():\n    return '汉字😀'\n\n```\n\n~~~\nx\n~~~\nend `a` **b**",
    "paragraph": "Some *emphasis*, some **strong**, a [link](http://a.b) and 汉字。" * 5,
    "nested": "- a\n  1. b\n     > c\n     > ```\n     > d\n     > ```\n  2. e\n- f\n\n> g\n",
    "references": "See [x] and [y][x].\n\n[x]: http://a.b\n\nThen [x].\n\nMore\n====\n\n***\ntail",
    "footnotes": "a[^1]\n\n[^1]: note\n\nb[^2]\n\n[^2]: other\n",
    "math": "$$\na\n$$\n\n\\[\nb\n\\]\n\n价格$5，公式$x^2$ \\(c\\)\n",
    "html": "<div>\nx\n</div>\n\ny <b>z</b>\n\n<!-- c -->\n\n<script>alert(1)</script>",
    "half fence": "````\n```\nnot closed\n``\n",
    "quoted fence": "> ```py\n> x\n> ```\n> y\n\n1. ```\n   a\n   ```\n2. b\n\n    ```\n    c\n",
    "odd fence": "```py`\n``` x\na\r\nb\0c\n````  \n\n\n~~~ a`b\n~~\n``` \n~~~~x\n~~~",
    "bare code": "```\n\n\n\"a\" & 'b' <c>\n\t\n",
    "like a definition": "[ ]: x\n\n[note]: this is text\n\n[a]: b 'c' d\n\nb\n\nc\n\nd",
    "lines of Windows": "a\r\nb\r\n\r\n- c\r\n- d\r\n\r\n```\r\ne\r\n```\r\n\r\nf\rg\n\n\rh",
    "emoji": "👩‍👩‍👧 😀😀\n\n**😀**\n\n- 😀\n",
}
STABLE = set(CORPORA) - {"references", "footnotes"}


class Reader:
    """Applies frames as a page does, counting in UTF-16 units."""

    def __init__(self) -> None:
        self.frozen = self.open = ""

    def take(self, change: Frame | Snapshot | None) -> None:
        if isinstance(change, Snapshot):
            self.frozen, self.open = change.html, ""
        elif change:
            region = self.open.encode("utf-16-le")[: 2 * change.keep] + change.html.encode("utf-16-le")
            self.frozen += region[: 2 * change.frozen].decode("utf-16-le")
            self.open = region[2 * change.frozen :].decode("utf-16-le")


def pieces(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


CUTS = st.lists(st.integers(0, 10_000), max_size=60)


@pytest.mark.parametrize("name", CORPORA)
@settings(max_examples=60, deadline=None)
@given(cuts=CUTS)
def test_frames_build_the_page_of_the_server(name, cuts):
    growing, reader = GrowingMarkdown(labels=LABELS), Reader()
    for piece in pieces(CORPORA[name], cuts):
        growing.append(piece)
        reader.take(growing.flush())
        assert (reader.frozen, reader.open) == (growing.frozen_html, growing.open_html)
    reader.take(growing.finish())
    assert reader.frozen + reader.open == render(CORPORA[name], labels=LABELS)


@pytest.mark.parametrize("name", CORPORA)
@settings(max_examples=60, deadline=None)
@given(cuts=CUTS)
def test_closed_blocks_never_change(name, cuts):
    growing, frozen = GrowingMarkdown(labels=LABELS), ""
    for piece in pieces(CORPORA[name], cuts):
        growing.append(piece)
        growing.flush()
        assert growing.frozen_html.startswith(frozen)
        frozen = growing.frozen_html


@pytest.mark.parametrize("name", CORPORA)
@settings(max_examples=20, deadline=None)
@given(cuts=CUTS)
def test_closed_blocks_are_whole_elements(name, cuts):
    growing = GrowingMarkdown(labels=LABELS)
    for piece in pieces(CORPORA[name], cuts):
        growing.append(piece)
        growing.flush()
        apart = parsed(growing.frozen_html)
        apart.extend(parsed(growing.open_html))
        assert same(apart, parsed(growing.frozen_html + growing.open_html))
        assert growing.frozen_count == len(parsed(growing.frozen_html))


@pytest.mark.parametrize("name", sorted(STABLE))
@settings(max_examples=60, deadline=None)
@given(cuts=CUTS)
def test_who_comes_late_sees_the_same(name, cuts):
    growing, text = GrowingMarkdown(labels=LABELS), ""
    for piece in pieces(CORPORA[name], cuts):
        text += piece
        growing.append(piece)
        growing.flush()
        late = GrowingMarkdown(labels=LABELS, text=text)
        late.flush()
        assert growing.frozen_html + growing.open_html == late.frozen_html + late.open_html


@pytest.mark.parametrize("name", sorted(STABLE))
@settings(max_examples=60, deadline=None)
@given(cuts=CUTS)
def test_closed_blocks_never_need_to_be_sent_again(name, cuts):
    growing = GrowingMarkdown(labels=LABELS)
    for piece in pieces(CORPORA[name], cuts):
        growing.append(piece)
        growing.flush()

    assert not isinstance(growing.finish(), Snapshot)


@settings(max_examples=60, deadline=None)
@given(cuts=CUTS)
def test_frames_follow_each_other_without_gap(cuts):
    growing, at = GrowingMarkdown(labels=LABELS), 0
    for piece in pieces(CORPORA["code"], cuts):
        growing.append(piece)
        if frame := growing.flush():
            assert frame.start == at
            at = frame.end

    assert at == len(CORPORA["code"])


def test_growing_on_from_an_earlier_text_shows_both():
    growing = GrowingMarkdown(labels=LABELS, text="One\n\nTw")
    growing.flush()
    growing.append("o")
    growing.flush()

    assert growing.frozen_html + growing.open_html == "<p>One</p>\n<p>Two</p>\n"


def test_code_is_highlighted_once_it_is_complete():
    growing = GrowingMarkdown(labels=LABELS)
    growing.append("```python\nprint(1)\n")
    growing.flush()
    assert "<span class=" not in growing.open_html

    growing.append("```\n\nDone\n\nMore\n")
    growing.flush()
    assert '<span class="nb">print' in growing.frozen_html


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_rendered_while_it_grows(text):
    growing = GrowingMarkdown(labels=LABELS)
    for letter in text:
        growing.append(letter)
        growing.flush()
    growing.finish()

    assert growing.frozen_html + growing.open_html == render(text, labels=LABELS)


def test_more_code_than_is_highlighted_is_never_sent_again(monkeypatch):
    monkeypatch.setattr(polish, "HIGHLIGHTED_LIMIT", 60)
    grown = GrowingMarkdown(labels=LABELS)
    text = "words\n\n```python\nx = 1\n```\n\n" * 20
    for piece in pieces(text, list(range(0, len(text), 7))):
        grown.append(piece)
        grown.flush()

    assert not isinstance(grown.finish(), Snapshot)
    assert grown.frozen_html + grown.open_html == render(text, labels=LABELS)
    assert 0 < render(text, labels=LABELS).count('class="mi"') < 20


def test_code_that_grows_is_sent_once():
    growing, sent = GrowingMarkdown(labels=LABELS, text="Look:\n\n```python\n"), 0
    growing.flush()
    for _ in range(1_000):
        growing.append("print('tea')\n")
        sent += len(growing.flush().html)

    assert sent < 1_000 * 80


def test_half_a_character_never_leaves_the_server():
    growing, reader = GrowingMarkdown(labels=LABELS), Reader()
    for piece in ("\N{TEACUP WITHOUT HANDLE}\N{GREEN HEART}", "\ud83d", "\ude00", "\N{BLUE HEART}"):
        growing.append(piece)
        reader.take(growing.flush())

    assert reader.open == "<p>\N{TEACUP WITHOUT HANDLE}\N{GREEN HEART}\ufffd\ufffd\N{BLUE HEART}</p>\n"


def test_a_frame_keeps_whole_characters():
    growing = GrowingMarkdown(labels=LABELS, text="\N{GREEN HEART}")
    growing.flush()
    growing.append("\n===")
    frame = growing.flush()

    assert frame.keep == len("<")
    assert frame.html == "h3>\N{GREEN HEART}</h3>\n"


def test_a_late_address_replaces_the_page():
    growing = GrowingMarkdown(labels=LABELS, text="See [tea].\n\nMore.\n\nEven more.\n")
    growing.flush()
    assert growing.frozen_count == 2

    growing.append("\n[tea]: https://tea.example")
    growing.flush()

    assert growing.finish() == Snapshot(render(growing_text(), labels=LABELS), len(growing_text()))


def growing_text() -> str:
    return "See [tea].\n\nMore.\n\nEven more.\n\n[tea]: https://tea.example"


def test_an_address_from_a_closed_block_still_counts():
    growing = GrowingMarkdown(labels=LABELS, text="[tea]: https://tea.example\n\nFirst.\n\nSecond.\n")
    growing.flush()
    assert growing.frozen_count == 1

    growing.append("\nThird, see [tea].\n")
    growing.flush()

    assert 'href="https://tea.example"' in growing.open_html
    assert growing.finish() is None


def test_harmful_text_in_an_open_fence_does_not_break_the_page():
    growing, reader = GrowingMarkdown(labels=LABELS), Reader()
    for piece in ("```\na\n", "b\n", "```\n\n" + "|" * 30_000, "c", "d"):
        growing.append(piece)
        reader.take(growing.flush())
        assert (reader.frozen, reader.open) == (growing.frozen_html, growing.open_html)

    assert growing.open_html == f'<pre class="plain" tabindex="0">```\na\nb\n```\n\n{"|" * 30_000}cd</pre>\n'


def test_finishing_reads_what_was_not_flushed():
    growing, reader = GrowingMarkdown(labels=LABELS, text="One"), Reader()
    reader.take(growing.flush())
    growing.append(" two")
    frame = growing.finish()
    reader.take(frame)

    assert (frame.start, frame.end) == (3, 7)
    assert reader.open == "<p>One two</p>\n"
