"""A fenced code block at the end of a text, as long as nobody closes it: what is added is code and no Markdown."""

import re

FENCE = re.compile(r"(`{3,}|~{3,})[^\n`]*\n")


class OpenFence:
    """Follows the code of one open fence that starts a line of its own at the margin."""

    def __init__(self, mark: str, code: str) -> None:
        self._closing = re.compile(rf"^ {{0,3}}{re.escape(mark)}+[ \t]*$", re.MULTILINE)
        self._line = code.rpartition("\n")[2]  # the one that is being written

    @classmethod
    def found_in(cls, source: str) -> "OpenFence | None":
        """The fence that ``source`` opens and does not close."""
        opening = FENCE.match(source)
        if opening is None:
            return None
        fence = cls(opening[1], source[opening.end() :])
        return None if fence._closing.search(source, opening.end()) else fence

    def take(self, new: str) -> bool:
        """Go on with ``new``; False when it may close the fence."""
        written = self._line + new
        if self._closing.search(written):
            return False
        self._line = written.rpartition("\n")[2]
        return True
