"""A page without a browser: does with messages of the socket what the page's scripts do.

So that a test can ask: does a stale page plus what it was told equal a fresh page?
"""

import csv
import io
import json
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import html5lib
from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse

# What differs between two renderings of the same state.
PER_REQUEST = {"client_key", "csrfmiddlewaretoken"}
PER_MOMENT = {"data-at", "data-run", "data-track", "data-stamp", "data-elapsed", "data-since", "aria-busy"}


class Page:
    """An HTML document that follows a socket."""

    def __init__(self, html: str) -> None:
        self.root = html5lib.parse(html, namespaceHTMLElements=False)
        self._open: dict[str, tuple[str, str]] = {}
        self._at: dict[str, int] = {}

    def take(self, message: str) -> list[str]:
        """Do what one message of the socket says. Returns the runs of which something is missing."""
        told = json.loads(message)
        gaps = [] if "r" not in told or self._grow(told) else [told["r"]]
        if "added" in told and self.find(f"m-{told['added']}") is not None:
            return gaps
        if "part" in told or "jobs" in told:
            self._swap(told.get("part", "") + told.get("jobs", ""))
        if "m" in told and self.find(f"m-{told['m']}") is not None:
            self._enter(told)
        return gaps

    def _enter(self, told: dict) -> None:
        self.element(f"m-{told['m']}").set("data-state", told["state"])
        self.element("thread").set("data-stamp", str(told["v"]))
        stream = self.element(f"answer-{told['m']}")
        _set(stream, "lang", told["lang"])
        _set(stream, "data-run", told["run"] or "")
        if not told["run"]:
            for id_ in (f"answer-{told['m']}", f"thinking-{told['m']}"):
                self._open.pop(id_, None)
                self._at.pop(id_, None)

    def element(self, id_: str) -> ET.Element:
        found = self.find(id_)
        assert found is not None, f"no #{id_} in the page"
        return found

    def find(self, id_: str) -> ET.Element | None:
        return self.root.find(f".//*[@id='{id_}']")

    def fill(self, id_: str, html: str) -> None:
        """Put other content into an element."""
        _fill(self.element(id_), html)

    def shown(self, id_: str) -> str:
        """An element as it looks, without what differs between two requests."""
        return "\n".join(_normal(self.element(id_)))

    def text(self, id_: str) -> str:
        """The words in an element."""
        return text_of(self.element(id_))

    def _grow(self, told: dict) -> bool:
        """Whether the frame followed what is shown."""
        name = "thinking" if told["t"] else "answer"
        stream = next(
            (e for e in self.root.iter("answer-stream") if e.get("data-run") == told["r"] and _is(e, name)), None
        )
        if stream is None:  # that track is not shown yet; its part brings the text
            return True
        frozen, open_ = self._open.get(stream.get("id"), ("", ""))
        if "snap" in told:
            frozen, open_ = told["snap"]["f"], told["snap"]["o"]
            self._at[stream.get("id")] = told["n"]
        else:
            start, end = told["n"]
            if self._at.get(stream.get("id")) != start:
                return False
            self._at[stream.get("id")] = end
            grown = _units(open_)[: 2 * told["k"]] + _units(told["h"])
            frozen += _text(grown[: 2 * told["z"]])
            open_ = _text(grown[2 * told["z"] :])
        self._open[stream.get("id")] = frozen, open_
        _fill(stream, frozen + open_)
        return True

    def _swap(self, html: str) -> None:
        for part in _fragment(html):
            how = part.attrib.pop("hx-swap-oob", None)
            assert how, f"a part without hx-swap-oob: {part.tag} {part.attrib}"
            style, _, target = how.partition(":#")
            place = self.find(target or part.get("id"))
            if place is None:
                continue
            if style == "beforeend":
                place.extend(list(part))
            elif style == "innerHTML":
                place[:] = list(part)
                place.text = part.text
            else:
                parent = next(e for e in self.root.iter() if place in list(e))
                part.tail = place.tail
                parent[list(parent).index(place)] = part


@async_to_sync
async def table_in(answer: StreamingHttpResponse) -> list[list[str]]:
    """The rows of a CSV that is being sent, the head first."""
    sent = b"".join([piece async for piece in answer.streaming_content])
    return list(csv.reader(io.StringIO(sent.decode())))


def text_of(element: ET.Element) -> str:
    """The words in an element as a person sees them: without comments, which ``itertext`` would count."""
    if not isinstance(element.tag, str):
        return ""
    return (element.text or "") + "".join(text_of(child) + (child.tail or "") for child in element)


def _is(stream: ET.Element, name: str) -> bool:
    return (stream.get("id") or "").startswith(f"{name}-")


def _fragment(html: str) -> list[ET.Element]:
    return list(html5lib.parseFragment(html, namespaceHTMLElements=False))


def _fill(element: ET.Element, html: str) -> None:
    inside = html5lib.parseFragment(html, namespaceHTMLElements=False)
    element[:] = list(inside)
    element.text = inside.text


def _set(element: ET.Element, name: str, value: str) -> None:
    if value:
        element.set(name, value)
    else:
        element.attrib.pop(name, None)


def _units(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _text(units: bytes) -> str:
    return units.decode("utf-16-le", "surrogatepass")


def _normal(element: ET.Element, depth: int = 0) -> Iterator[str]:
    if not isinstance(element.tag, str):  # a comment
        return
    if element.tag == "input" and element.get("name") in PER_REQUEST:
        return
    attributes = " ".join(f'{k}="{v}"' for k, v in sorted(element.items()) if k not in PER_MOMENT)
    yield f"{' ' * depth}<{element.tag} {attributes}>"
    for words, child in [(element.text, None), *((child.tail, child) for child in element)]:
        if child is not None:
            yield from _normal(child, depth + 1)
        if words and words.split():
            yield f"{' ' * depth} {' '.join(words.split())}"
