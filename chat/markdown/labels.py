"""The words of the interface that stand inside an answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Labels:
    """In the reader's language. ``icons`` is the address of the icon sprite."""

    copy: str = "Copy"
    code: str = "Code"
    table: str = "Table"
    icons: str = "icons.svg"
