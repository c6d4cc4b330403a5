"""How the pages of usage write numbers."""

from django import template

register = template.Library()


@register.filter
def seconds(ms: float | None) -> str:
    """To the tenth, as far as that matters."""
    if ms is None:
        return "–"
    return f"{ms / 1000:.0f}" if ms >= 9_950 else f"{ms / 1000:.1f}"  # noqa: PLR2004  ten seconds, rounded
