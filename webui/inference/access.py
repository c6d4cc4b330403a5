"""Who may use which model. The picker, the chat and every other door ask here, and nowhere else."""

from collections.abc import Callable

from django.db.models import Q

from webui.accounts.models import User
from webui.inference.models import DefaultModel, ModelAccess
from webui.ollama.names import normal

Audience = ModelAccess.Audience


def usable_by(user: User) -> Callable[[str], bool]:
    """Whether ``user`` may use the model of a name; for many names at the price of one."""
    closed = _closed_to(user)
    return lambda name: normal(name) not in closed


def may_use(user: User, model: str) -> bool:
    return usable_by(user)(model)


def default_for(user: User) -> str:
    """The shortest name of the model to begin with: of the person's groups, else of the portal; perhaps none."""
    mine = DefaultModel.objects.filter(Q(group=None) | Q(group__memberships__user=user))
    found = mine.order_by("group__name").values_list("key", flat=True)  # in PostgreSQL nothing comes last
    return next(filter(usable_by(user), found), "")


def open_alike(base: str, name: str) -> None:
    """What is made of a model is for those whom the model is for, unless somebody has said already who may use it."""
    known = ModelAccess.objects.filter(key=normal(base)).first()
    if known is None:
        return
    made, is_new = ModelAccess.objects.get_or_create(key=normal(name), defaults={"audience": known.audience})
    if is_new:
        made.groups.set(known.groups.all())


def _closed_to(user: User) -> set[str]:
    """Whatever is not for them. Administrators may use everything: they could open it to themselves."""
    if user.is_admin:
        return set()
    closed = ModelAccess.objects.exclude(audience=Audience.EVERYONE)
    theirs = Q(audience=Audience.GROUPS, groups__memberships__user=user)
    return set(closed.exclude(pk__in=ModelAccess.objects.filter(theirs)).values_list("key", flat=True))
