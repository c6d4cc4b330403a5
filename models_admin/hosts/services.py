"""Everything an administrator can do to a host, one function each."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from models_admin.jobs import driver
from models_admin.models import Job, State
from webui.accounts.models import User
from webui.inference import hosts, lines
from webui.inference.models import Host


def add(*, name: str, fields: dict[str, Any]) -> Host:
    """A host that passed its check. Raises IntegrityError when another took its name or address meanwhile."""
    return Host.objects.create(name=name or hosts.free_name(fields["base_url"]), **fields)


def change(*, host: Host, name: str, fields: dict[str, Any]) -> Host:
    """Answers that are being written end where they are; what comes next goes the new way. Raises as ``add`` does."""
    for field, value in {"name": name or host.name, **fields}.items():
        setattr(host, field, value)
    host.save(update_fields=["name", *fields])
    return host


def set_aside(*, host: Host, aside: bool) -> None:
    """Send it no new questions; who is in its line stays there. Or take it back."""
    Host.objects.filter(pk=host.pk).update(draining=aside)


def switch(*, host: Host, on: bool) -> None:
    """Switched off, it is not even looked at, and its models are in no list."""
    Host.objects.filter(pk=host.pk).update(enabled=on, health=Host.Health.UNKNOWN, tries=0)


@transaction.atomic
def remove(*, host: Host, by: User) -> None:
    """Forget it. Its jobs end, and stay in the history; nothing on the host itself is touched."""
    ending = {"state": State.CANCELLED, "ended_at": timezone.now(), "cancelled_by": by}
    Job.objects.live().filter(host=host).update(**ending)
    lines.hold_all_of(host)
    host.delete()
    transaction.on_commit(driver.wake)
