"""What is done to the source before it is parsed: dollars that are money, quotes nested to do harm."""

import re

CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
MARK = re.compile(r"\\.|`+|\$", re.DOTALL)
# A line that opens dozens of quotes or lists at once is an attack on the parser's and the reader's stack.
NESTED = re.compile(r"^[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*){40}", re.MULTILINE)
DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]{1,200}\]:[ \t]*\S[^\n]*$", re.MULTILINE)
FORMULA_LIMIT = 1_000
TEXT_LIMIT = 2_500_000
CELL_LIMIT = 40_000


def is_harmful(text: str) -> bool:
    """Too large or too deep to render in reasonable time; such text is shown as it is."""
    return len(text) > TEXT_LIMIT or text.count("|") > CELL_LIMIT or bool(NESTED.search(text))


def definitions(text: str) -> str:
    """The lines that define reference links, so that a later part of the text can be rendered alone."""
    return "\n".join(line for line in DEFINITION.findall(text) if not line.lstrip().startswith("[^"))


def spare_money(text: str) -> str:
    """Escape dollars that only look like math: ``价格$5，公式$x^2$`` has one formula, not two."""
    if "$" not in text or not CJK.search(text):
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
    return len(text) if closing < 0 else closing + len(fence)


def _end_of_display(text: str, start: int) -> int:
    closing = text.find("$$", start + 2)
    return len(text) if closing < 0 else closing + 2


def _one_dollar(text: str, start: int) -> tuple[int, str]:
    """Where to go on after the dollar at ``start``, and what to write for what was passed."""
    near = text[start + 1 : start + FORMULA_LIMIT].partition("\n")[0]
    closing = start + 1 + near.find("$")
    if closing == start:
        return start + 1, "$"
    if CJK.search(text, start, closing):
        return start + 1, "\\$"
    return closing + 1, text[start : closing + 1]
