"""What people see of an answer's Markdown."""

import pytest

from chat.markdown import Labels, plain, render

from .dom import parsed

LABELS = Labels(copy="Copy", code="Code", table="Table", icons="/icons.svg")


def html(text: str) -> str:
    return render(text, labels=LABELS, prefix="p-")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("**注意：**这是重点", "<p><strong>注意：</strong>这是重点</p>\n"),
        ("这是**“重要”**的", "<p>这是<strong>“重要”</strong>的</p>\n"),
        ("**重点**内容", "<p><strong>重点</strong>内容</p>\n"),
        ("~~删除：~~后面", "<p><del>删除：</del>后面</p>\n"),
        ("*斜体（注）*后面", "<p><em>斜体（注）</em>后面</p>\n"),
        ("**bold** and **粗**体", "<p><strong>bold</strong> and <strong>粗</strong>体</p>\n"),
        (
            "- **要点1**：说明**“x”**。",
            "<ul>\n<li><strong>要点1</strong>：说明<strong>“x”</strong>。</li>\n</ul>\n",
        ),
        ("价格$5和$6元", "<p>价格$5和$6元</p>\n"),
        ("`$5` 价格$5，`$中$`", "<p><code>$5</code> 价格$5，<code>$中$</code></p>\n"),
        ("a * b * c", "<p>a * b * c</p>\n"),
        ("it costs $5 and $6 more", "<p>it costs $5 and $6 more</p>\n"),
        ("- [x] done\n- [ ] open", "<ul>\n<li>☑ done</li>\n<li>☐ open</li>\n</ul>\n"),
        ("a  \nb", "<p>a<br>\nb</p>\n"),
        ("3. c\n4. d", '<ol start="3">\n<li>c</li>\n<li>d</li>\n</ol>\n'),
        ("> a\n\n***", "<blockquote>\n<p>a</p>\n</blockquote>\n<hr>\n"),
        ("- a\n\n  b\n- c", "<ul>\n<li>\n<p>a</p>\n<p>b</p>\n</li>\n<li>\n<p>c</p>\n</li>\n</ul>\n"),
        ("a@b.example", '<p><a href="mailto:a@b.example" TO>a@b.example</a></p>\n'),
        ("www.a.example", '<p><a href="http://www.a.example" TO>www.a.example</a></p>\n'),
        ("<https://a.example>", '<p><a href="https://a.example" TO>https://a.example</a></p>\n'),
        (
            "[a **b**](https://a.example 'title')",
            '<p><a href="https://a.example" TO>a <strong>b</strong> <small>a.example</small></a></p>\n',
        ),
        (
            "[![a](/b.png)](https://a.example)",
            '<p><a href="https://a.example" TO>a <small>a.example</small></a></p>\n',
        ),
        ("# One\n\n###### Six", "<h3>One</h3>\n<h6>Six</h6>\n"),
        ("<b>raw</b>", "<p>&lt;b&gt;raw&lt;/b&gt;</p>\n"),
        ("<div>\n\n**b**\n\n</div>", "<p>&lt;div&gt;</p>\n<p><strong>b</strong></p>\n<p>&lt;/div&gt;</p>\n"),
        ("- <i>a</i>", "<ul>\n<li>&lt;i&gt;a&lt;/i&gt;</li>\n</ul>\n"),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_markdown_becomes_html(source, shown):
    assert html(source) == shown.replace("TO", 'target="_blank" rel="noopener noreferrer nofollow"')


def test_money_before_chinese_is_not_a_formula():
    shown = html("价格$5，公式$x^2$")

    assert "价格$5，公式<math" in shown


def test_chinese_words_inside_latex_are_part_of_the_formula():
    assert html(r"速度$v_{\text{最大}}=5$米").count("<math") == 1


def test_dollars_in_code_stay_as_they_are():
    assert "<code>$中文$</code>" in html("`$中文$` 中文")


@pytest.mark.parametrize("source", [r"\(a+b\)", "$a+b$"])
def test_inline_latex_becomes_mathml(source):
    assert '<math display="inline">' in html(source)


@pytest.mark.parametrize("source", ["$$\na\n$$", "\\[\na\n\\]"])
def test_display_latex_stands_outside_of_the_paragraph(source):
    assert html(source) == '<div class="math-block"><math display="block"><mrow><mi>a</mi></mrow></math></div>\n'


@pytest.mark.parametrize("source", ["a\n$$\nb\n$$\nc", "a \\[b\\] c", "a\n\n\\[\nb\n\\]\n\nc"])
def test_display_latex_parts_the_paragraph_it_stands_in(source):
    formula = '<div class="math-block"><math display="block"><mrow><mi>b</mi></mrow></math></div>'

    assert html(source) == f"<p>a</p>\n{formula}\n<p>c</p>\n"


def test_display_latex_in_bold_words_stays_in_its_paragraph():
    assert '<p><strong>a <math display="block">' in html("**a $$b$$**")


@pytest.mark.parametrize("latex", ["x^{", r"\left( x", "{" * 300 + "}" * 300])
def test_latex_that_cannot_be_converted_is_shown_as_written(latex):
    assert html(f"${latex}$") == f"<p><code>{latex}</code></p>\n"


@pytest.mark.parametrize("name", ["aligned", "align*", "split", "gathered", "cases", "pmatrix"])
def test_latex_of_several_lines_becomes_a_table(name):
    shown = html(rf"$$\begin{{{name}}} a &= b < c \\ d &= e \end{{{name}}}$$")

    assert shown.count("<mtr>") == 2
    assert "&amp;" not in shown


def test_words_inside_latex_are_kept():
    assert "<mtext>中文&nbsp;&lt;&nbsp;&amp;</mtext>" in html(r"$x \text{中文 < &}$")


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


@pytest.mark.parametrize(
    "code", ["\n\n  a\n\n", "\ta\t\n", "x = '\n&amp; <b> \"q\" 茶 😀\n'\n", "def broken(:\n  $ ? \\\n"]
)
@pytest.mark.parametrize("language", ["python", "js", "html", "diff", "console", "yaml", "latex"])
def test_highlighted_code_is_the_code(language, code):
    (shown,) = parsed(html(f"```{language}\n{code}```")).iter("{http://www.w3.org/1999/xhtml}code")

    assert "".join(shown.itertext()) == code


@pytest.mark.parametrize(
    "fence",
    ["```Python\n{}\n```", "~~~py\n{}\n~~~", "- a\n\n  ```py3\n  {}\n  ```", "> ```python\n> {}"],
)
def test_code_is_highlighted_wherever_it_stands(fence):
    shown = html(fence.format("print(1)"))

    assert "<span>Python" in shown
    assert '<span class="nb">print</span>' in shown


def test_code_without_a_language_has_a_plain_name():
    assert "<span></span><button" in html("    indented")
    assert 'aria-label="Code"><code>indented' in html("    indented")


def test_a_very_long_block_of_code_is_not_highlighted():
    assert '<span class="' not in html("```python\n" + "x = 1\n" * 5_000 + "```")


def test_code_in_an_unknown_language_is_shown_as_written():
    assert "<code>a &lt; b\n</code>" in html("```nosuch\na < b\n```")


def test_footnotes_have_ids_of_their_own_message():
    shown = html("Tea[^1]\n\n[^1]: Leaves")

    assert 'href="#p-fn-1"' in shown
    assert 'id="p-fn-1"' in shown


def test_footnotes_lead_there_and_back():
    shown = html("Tea[^n] and more[^n]\n\n[^n]: **Leaves**\n\n    and water")
    ids = [element.get("id") for element in parsed(shown).iter() if element.get("id")]
    targets = [link.get("href") for link in parsed(shown).iter("{http://www.w3.org/1999/xhtml}a")]

    assert sorted(ids) == ["p-fn-n", "p-fnref-n", "p-fnref-n-2"]
    assert {target.removeprefix("#") for target in targets} == set(ids)
    assert 'aria-label="Back to the text"' in shown


def test_a_note_nobody_wrote_is_words():
    assert html("Tea[^1]") == "<p>Tea[^1]</p>\n"


def test_an_address_in_brackets_of_chinese_ends_before_them():
    shown = html("（见 https://example.com/a?b=1&c=2）和“https://example.com”。")

    assert 'href="https://example.com/a?b=1&amp;c=2"' in shown
    assert 'href="https://example.com" ' in shown


@pytest.mark.parametrize("address", ["/settings/", "//a.example", "ftp://a.example", "#prompt", "tel:1"])
def test_links_that_do_not_lead_to_the_web_are_words(address):
    assert html(f"[words]({address})") == "<p>words</p>\n"


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
        ("$x^2$ 是什么？", "x^2 是什么？"),
        ("[tea](https://tea.example) & <b>", "tea & <b>"),
        ("***", "***"),
        ("", ""),
    ],
)
def test_a_title_is_made_of_plain_words(source, title):
    assert plain(source, 20) == title
