"""The record of who changed what. Every act of an administrator, and every way in, leaves one entry."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import models, transaction
from django.http import HttpRequest
from django.utils import timezone

from webui.accounts.addresses import client_address
from webui.accounts.models import AuditEntry, User
from webui.text import one_line

WHAT_LENGTH = 400
REFUSALS_A_MINUTE = 10  # of one person

Fields = Mapping[str, object]


@dataclass
class Entry:
    """What is to be recorded. Whoever has done nothing after all says ``nothing_done``."""

    action: str
    what: str
    before: dict[str, object] = field(default_factory=dict)
    after: dict[str, object] = field(default_factory=dict)
    is_done: bool = True

    def nothing_done(self) -> None:
        self.is_done = False


@contextmanager
def recorded(request: HttpRequest, action: str, what: object = "") -> Iterator[Entry]:
    """Do something and record it, or neither: both are in one transaction."""
    entry = Entry(action, str(what))
    with transaction.atomic():
        yield entry
        if entry.is_done:
            record(request, entry.action, entry.what, before=entry.before, after=entry.after)


def record(
    request: HttpRequest, action: str, what: str = "", *, before: Fields | None = None, after: Fields | None = None
) -> None:
    """One entry. Of ``before`` and ``after`` only what differs is kept."""
    who = request.user if isinstance(request.user, User) else None
    record_for(who, action, what, before=before, after=after, address=client_address(request))


def record_refusal(who: User, path: str, address: str) -> None:
    """Somebody asked for what only administrators may see. The log is not theirs to fill, so a few a minute suffice."""
    minute_ago = timezone.now() - timedelta(minutes=1)
    lately = AuditEntry.objects.filter(at__gt=minute_ago, who=who, action="refused")
    if lately.count() < REFUSALS_A_MINUTE:
        record_for(who, "refused", path, address=address)


def record_for(
    who: User | None,
    action: str,
    what: str = "",
    *,
    before: Fields | None = None,
    after: Fields | None = None,
    address: str = "",
) -> None:
    """One entry where there is no request."""
    before, after = before or {}, after or {}
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    AuditEntry.objects.create(
        who=who,
        action=action,
        what=one_line(what)[:WHAT_LENGTH],
        before={name: before[name] for name in names if name in before},
        after={name: after[name] for name in names if name in after},
        address=address,
    )


def fields_of(row: models.Model, *names: str) -> dict[str, object]:
    """What a row says, as an entry keeps it."""
    return {name: getattr(row, name) for name in names}
