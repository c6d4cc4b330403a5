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
    """How blocks of one message are shown. ``prefix`` keeps its ids apart from those of other messages.

    ``code_before``: characters of code in the blocks before these; only the first of a text are highlighted.
    """

    labels: Labels
    prefix: str = ""
    code_before: int = 0
