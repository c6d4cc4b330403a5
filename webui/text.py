"""Text as we store and send it."""

import json
import re

# NUL and lone surrogates cannot be stored in PostgreSQL or sent as UTF-8; the other C0 controls but tab and
# line breaks mean nothing in a message and can trick a terminal that shows a log.
UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
# What turns the direction of the text round it, and what ends a line.
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
BREAKS = re.compile("[\t\n\r\x85\u2028\u2029]+")
HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
LATIN = re.compile("[A-Za-z]")
GB, MB = 1_000_000_000, 1_000_000


def clean_text(text: str) -> str:
    """The text with split surrogate pairs joined and what cannot be stored replaced by U+FFFD."""
    return UNWANTED.sub("\N{REPLACEMENT CHARACTER}", SPLIT_PAIR.sub(_joined, text))


def _joined(pair: re.Match[str]) -> str:
    return pair.group().encode("utf-16", "surrogatepass").decode("utf-16")


def one_line(text: str) -> str:
    """For names and titles: clean, on one line, and without power over the words next to them."""
    return BREAKS.sub(" ", TURNING.sub("", clean_text(text))).strip()


def language_of(text: str) -> str:
    """``zh-Hans``, ``en`` or, when there are no words to tell by, nothing."""
    start = text[:1000]
    han, latin = len(HAN.findall(start)), len(LATIN.findall(start))
    if han * 3 > latin:  # a Han character says about as much as three Latin letters
        return "zh-Hans"
    return "en" if latin else ""


def readable_size(count: int) -> str:
    """Bytes as people read them; decimal units, like Ollama's own list."""
    if count >= GB:
        return f"{count / GB:.1f} GB" if count < 10 * GB else f"{count / GB:.0f} GB"
    return f"{count / MB:.0f} MB"


def compact(value: object) -> str:
    """JSON for a socket: no blanks, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
