"""How pages for administrators write speeds and times."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext

register = template.Library()

MINUTE, HOUR = 60, 3600


@register.filter
def time_left(seconds: int) -> str:
    """Rounded, as it is a guess: seconds, then minutes in steps of ten seconds, then hours."""
    if seconds < MINUTE:
        return gettext("%(s)s s left") % {"s": seconds}
    if seconds < HOUR:
        return gettext("%(min)s min %(s)s s left") % {"min": seconds // MINUTE, "s": seconds % MINUTE // 10 * 10}
    return gettext("%(h)s h %(min)s min left") % {"h": seconds // HOUR, "min": seconds % HOUR // MINUTE}


@register.filter
def until(moment: datetime) -> str:
    """How long until then, in words."""
    minutes = int((moment - timezone.now()).total_seconds() // MINUTE)
    if minutes < 1:
        return gettext("less than a minute")
    if minutes < 2 * MINUTE:
        return gettext("%(min)s min") % {"min": minutes}
    return gettext("%(h)s h") % {"h": minutes // MINUTE}


@register.filter
def kilo(tokens: int) -> str:
    """A context as people name it: 40K."""
    return f"{tokens // 1024}K" if tokens >= 1024 else str(tokens or "")  # noqa: PLR2004  a K of tokens


@register.filter
def ago(moment: datetime) -> str:
    """How long since then, in one unit."""
    return timesince(moment, depth=1)


@register.filter
def among(value: object, chosen: object) -> bool:
    """Whether something was chosen in a form, be it as it is stored or as it was sent."""
    return isinstance(chosen, list) and str(value) in map(str, chosen)
