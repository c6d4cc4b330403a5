"""Links lead out of the portal, in a tab of their own, and always show where to."""

import re

from .source import CJK

TAGS = re.compile(r"<[^>]*>")
OUTWARD = re.compile(r"https?://|mailto:", re.IGNORECASE)
HOST = re.compile(r"https?://(?:[^/?#]*@)?([^/?#:]+|\[[^\]/]*\])", re.IGNORECASE)
NAMED = re.compile(r"[^\s/?#:()<>]+")
BARE = re.compile(r"https?://|www\.", re.IGNORECASE)
# An address ends where Chinese begins, also when no space comes between: ``https://e.com/a，然后看``.
AFTER = f"{CJK}\u2018-\u201d\u2026\u2014"
STOP = re.compile(f"[{AFTER}]")
ADDRESS = re.compile(rf"(?:https?://|www\.)[^\s<{AFTER}]+", re.IGNORECASE)


def link(address: str, words: str) -> str:
    """A link of escaped HTML; only its words when the address does not lead out to the web or to a mailbox."""
    if not OUTWARD.match(address):
        return words
    if BARE.match(words) and STOP.search(words) and "<" not in words:
        return ADDRESS.sub(_alone, words)
    return _anchor(address, f"{words}{_place(address, words)}")


def picture(address: str, alt: str) -> str:
    """Pictures are never fetched: a link says where they are."""
    return link(address, alt or address)


def _place(address: str, words: str) -> str:
    """The host or mailbox, when the words do not name it themselves."""
    host = HOST.match(address)
    place = host[1] if host else address.partition(":")[2].partition("?")[0]
    named = HOST.match(words)
    names = [named[1]] if named else NAMED.findall(TAGS.sub("", words))
    return "" if place in names else f" <small>{place}</small>"


def _alone(found: re.Match[str]) -> str:
    shown = found[0]
    return _anchor(shown if OUTWARD.match(shown) else f"http://{shown}", shown)


def _anchor(address: str, inside: str) -> str:
    return f'<a href="{address}" target="_blank">{inside}</a>'
