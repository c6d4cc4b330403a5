"""How pages for administrators write speeds and times."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext

from models_admin.model_list import is_for_ever
from webui.accounts.models import AuditEntry

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


@register.filter
def since(moment: datetime) -> str:
    """How long ago, to the second while that matters."""
    seconds = int((timezone.now() - moment).total_seconds())
    if seconds < 2 * MINUTE:
        return gettext("%(s)s s ago") % {"s": max(0, seconds)}
    return gettext("%(time)s ago") % {"time": ago(moment)}


@register.filter
def stays(moment: datetime) -> bool:
    """Whether a model is kept in memory for ever: then its host names a time centuries away."""
    return is_for_ever(moment)


@register.filter
def changes(entry: AuditEntry) -> list[tuple[str, object, object]]:
    """Each field that changed: its name, what it was, what it became; where it was nothing, nothing."""
    names = {**entry.before, **entry.after}
    return [(name, entry.before.get(name, ""), entry.after.get(name, "")) for name in names]


@register.filter
def lasted(moment: datetime) -> str:
    """How long something goes on by now."""
    seconds = max(0, int((timezone.now() - moment).total_seconds()))
    if seconds < 2 * MINUTE:
        return gettext("%(s)s s") % {"s": seconds}
    return gettext("%(min)s min") % {"min": seconds // MINUTE}
