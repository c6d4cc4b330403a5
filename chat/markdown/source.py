"""What is done to the source before it is parsed."""

import re

CJK = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
CHINESE = re.compile(f"[{CJK}]")
UNSHOWABLE = re.compile("[\ud800-\udfff\0]")
MARK = re.compile(r"\\.|`+|\$", re.DOTALL)
DEFINITION = re.compile(
    r"^ {0,3}\[(?!\^)[^\[\]\n]{1,200}\]:[ \t]*[^\s<]\S*(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*$",
    re.MULTILINE,
)
MATH = re.compile(r"\$|\\[(\[]")
WORDS_IN_MATH = re.compile(r"\\(?:text\w*|mbox|mathrm)\s*\{[^{}]*\}")
LIST_MARKER = re.compile(r"[-*+]|\d{1,9}[.)]")
FORMULA_LENGTH = 1_000
TEXT_LIMIT = 200_000  # code points; some 50,000 tokens
HIGHLIGHTED_LIMIT = 100_000  # characters of code in a text: 0.4 s of highlighting
PIPES_LIMIT = 20_000
MATH_LIMIT = 4_000
NOTES_LIMIT = 1_000
NESTING_LIMIT = 30
LONG_OPENING = re.compile(rf"^[ \t]*[->*+0-9].{{{NESTING_LIMIT},}}$", re.MULTILINE)


def repaired(text: str) -> str:
    """Lines end in a newline alone; half characters, which a model can send, are replaced one by one."""
    return UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", text).replace("\r", "")


def is_harmful(text: str) -> bool:
    """Whether rendering would take unreasonably long; such text is shown as it is.

    The limits are on what costs more than its length: cells of tables, formulas, notes, quotes in quotes.
    """
    return (
        len(text) > TEXT_LIMIT
        or text.count("|") > PIPES_LIMIT
        or text.count("[^") > NOTES_LIMIT
        or (len(text) > MATH_LIMIT and sum(1 for _ in MATH.finditer(text)) > MATH_LIMIT)
        or any(_opens_too_much(line[0]) for line in LONG_OPENING.finditer(text))
    )


def _opens_too_much(line: str) -> bool:
    """Whether a line opens dozens of quotes or lists at once: the parser drops the deepest without a word."""
    start = line[: 10 * NESTING_LIMIT].replace(">", "> ")
    markers = 0
    for word in start.split():
        if word != ">" and not LIST_MARKER.fullmatch(word):
            break
        markers += 1
    return markers > NESTING_LIMIT


def definitions(text: str) -> str:
    """The lines that define reference links, so that a later part of the text can be rendered alone."""
    return "".join(f"{line}\n" for line in DEFINITION.findall(text))


def spare_money(text: str) -> str:
    """Escape dollars that only look like math: ``价格$5，公式$x^2$`` has one formula, not two."""
    if "$" not in text or not CHINESE.search(text):
        return text
    spared = []
    at = 0
    while mark := MARK.search(text, at):
        start, end = mark.span()
        spared.append(text[at:start])
        if mark.group().startswith("`"):
            end = _end_of_code(text, end, mark.group())
            spared.append(text[start:end])
        elif mark.group() == "$" and not text.startswith("$$", start):
            end, piece = _one_dollar(text, start)
            spared.append(piece)
        else:
            end = _end_of_display(text, start) if mark.group() == "$" else end
            spared.append(text[start:end])
        at = end
    return "".join(spared) + text[at:]


def _end_of_code(text: str, after: int, fence: str) -> int:
    closing = text.find(fence, after)
    return after if closing < 0 else closing + len(fence)


def _end_of_display(text: str, start: int) -> int:
    closing = text.find("$$", start + 2)
    return start + 2 if closing < 0 else closing + 2


def _one_dollar(text: str, start: int) -> tuple[int, str]:
    """Where to go on after the dollar at ``start``, and what to write for what was passed."""
    near = text[start + 1 : start + FORMULA_LENGTH].partition("\n")[0]
    closing = start + 1 + near.find("$")
    if closing == start:
        return start + 1, "$"
    if CHINESE.search(WORDS_IN_MATH.sub("", text[start:closing])):
        return start + 1, "\\$"
    return closing + 1, text[start : closing + 1]
