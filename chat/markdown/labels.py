"""The words of the interface that stand inside an answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Labels:
    """In the reader's language. ``icons`` is the address of the icon sprite."""

    copy: str = "Copy"
    code: str = "Code"
    table: str = "Table"
    icons: str = "icons.svg"
    back: str = "Back to the text"  # what the arrow behind a footnote does


@dataclass(frozen=True, slots=True)
class Look:
    """How the blocks of one message are shown. ``prefix`` keeps its ids apart from those of other messages."""

    labels: Labels
    prefix: str = ""
    highlights: bool = True
