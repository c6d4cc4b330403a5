"""The Markdown of answers, whole and growing. Knows nothing of Django or of conversations.

Source text -> comrak (raw HTML escaped) -> top-level blocks -> polished (code, math, tables, links, pictures as
links) and passed through a strict allow-list. ``GrowingMarkdown`` does the same for an answer that is still being
written, and says as frames what changed.
"""

from .growing import Frame, GrowingMarkdown, Snapshot
from .labels import Labels
from .render import plain, render

__all__ = ["Frame", "GrowingMarkdown", "Labels", "Snapshot", "plain", "render"]
