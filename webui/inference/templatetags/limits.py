"""One's own meter."""

from django import template

from webui.accounts.models import User
from webui.inference.quotas import Meter, meter_of

register = template.Library()


@register.inclusion_tag("inference/_meter.html")
def own_meter(user: User) -> dict[str, Meter]:
    """How much of their limits somebody has used; nothing for whom none hold."""
    return {"meter": meter_of(user)}
