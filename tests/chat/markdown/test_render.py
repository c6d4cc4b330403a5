"""What people see of an answer's Markdown."""

import pytest

from chat.markdown import Labels, plain, render

LABELS = Labels(copy="Copy", code="Code", table="Table", icons="/icons.svg")


def html(text: str) -> str:
    return render(text, labels=LABELS, prefix="p-")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("**注意：**这是重点", "<p><strong>注意：</strong>这是重点</p>\n"),
        ("这是**“重要”**的", "<p>这是<strong>“重要”</strong>的</p>\n"),
        ("~~删除：~~后面", "<p><del>删除：</del>后面</p>\n"),
        ("a * b * c", "<p>a * b * c</p>\n"),
        ("it costs $5 and $6 more", "<p>it costs $5 and $6 more</p>\n"),
        ("- [x] done\n- [ ] open", "<ul>\n<li>☑ done</li>\n<li>☐ open</li>\n</ul>\n"),
        ("# One\n\n###### Six", "<h3>One</h3>\n<h6>Six</h6>\n"),
        ("<b>raw</b>", "<p>&lt;b&gt;raw&lt;/b&gt;</p>\n"),
    ],
)
def test_markdown_becomes_html(source, shown):
    assert html(source) == shown


def test_money_before_chinese_is_not_a_formula():
    shown = html("价格$5，公式$x^2$")

    assert "价格$5，公式<math" in shown


def test_dollars_in_code_stay_as_they_are():
    assert "<code>$中文$</code>" in html("`$中文$` 中文")


@pytest.mark.parametrize("source", [r"\(a+b\)", "$a+b$"])
def test_inline_latex_becomes_mathml(source):
    assert '<math display="inline">' in html(source)


@pytest.mark.parametrize("source", ["$$\na\n$$", "\\[\na\n\\]"])
def test_display_latex_stands_outside_of_the_paragraph(source):
    assert html(source) == '<div class="math-block"><math display="block"><mrow><mi>a</mi></mrow></math></div>\n'


def test_latex_that_cannot_be_converted_is_shown_as_written():
    assert html("$x^{$") == "<p>$x^{$</p>\n" or "<code>" in html("$x^{$")


def test_markup_inside_latex_is_text():
    assert "<script" not in html(r"$\text{<script>alert(1)</script>}$")


def test_an_address_ends_where_chinese_begins():
    shown = html("参见https://example.com/a，然后看https://example.com/b。下一句")

    assert '">https://example.com/a</a>，然后看<a href="https://example.com/b"' in shown


def test_pictures_become_links():
    shown = html("![plan](https://example.com/p.png)")

    assert "<img" not in shown
    assert 'href="https://example.com/p.png"' in shown


def test_table_alignment_is_a_class():
    shown = html("| a | b |\n|:--|--:|\n| 1 | 2 |")

    assert '<th scope="col" class="num">b</th>' in shown
    assert 'role="region" aria-label="Table"' in shown


def test_code_has_a_label_a_button_and_highlighting():
    shown = html("```python\nprint('茶')\n```")

    assert '<span>Python</span><button class="btn btn--quiet btn--s" type="button" data-copy="">' in shown
    assert 'aria-label="Code: Python"' in shown
    assert '<span class="nb">print</span>' in shown


def test_code_in_an_unknown_language_is_shown_as_written():
    assert "<code>a &lt; b\n</code>" in html("```nosuch\na < b\n```")


def test_footnotes_have_ids_of_their_own_message():
    shown = html("Tea[^1]\n\n[^1]: Leaves")

    assert 'href="#p-fn-1"' in shown
    assert 'id="p-fn-1"' in shown


def test_what_is_nested_to_do_harm_is_shown_as_written():
    assert html(">" * 1000).startswith('<pre class="plain"')


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("Why **tea**?", "Why tea?"),
        ("# Plan\n\n1. first", "Plan first"),
        ("word " * 30, "word word word word"),
        ("一二三四五六七八九十一二三四五六七八九十一二三四", "一二三四五六七八九十一二三四五六七八九十"),
        ("```\ncode\n```", "code"),
    ],
)
def test_a_title_is_made_of_plain_words(source, title):
    assert plain(source, 20) == title
