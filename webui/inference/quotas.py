"""How much people and their tokens may ask: tokens per day, requests at once, requests per minute.

A limit of a person's own stands in place of those of their groups; of several groups the tightest holds. A token's
limits come on top, for what is asked with it. The tokens of a day are those of the ledger, read and written ones: the
answer that passes the limit is finished. Days are days of the portal's time zone.

It is decided where somebody joins a line (``lines.py``), in the same transaction, holding a row of theirs: two
processes cannot both let in the last one. Whoever has no limits costs nothing here.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

from django.db.models import F, Q, Sum
from django.utils import timezone

from webui.accounts.models import LIMITS, AccessToken, User
from webui.inference.ledger import midnight
from webui.inference.models import LateRequests, Turn, Usage
from webui.ollama import OllamaError

MINUTE_S = 60.0
NEARLY = 0.85

# Every request begins with it: Django would take longer to write it than PostgreSQL to answer it.
PERSON = """
    select person.*,
           coalesce(person.tokens_per_day, of_groups.tokens_per_day) as limit_tokens_per_day,
           coalesce(person.at_once, of_groups.at_once) as limit_at_once,
           coalesce(person.per_minute, of_groups.per_minute) as limit_per_minute
    from accounts_user person, lateral (
        select min(tokens_per_day) as tokens_per_day, min(at_once) as at_once, min(per_minute) as per_minute
        from accounts_group join accounts_membership on group_id = accounts_group.id where user_id = person.id
    ) of_groups
    where person.id = %s
"""

Owner = tuple[int, int | None]  # a person, and perhaps one of their tokens


class QuotaReached(OllamaError):
    """Not now. ``kind`` says which limit was met."""


class DayIsUsed(QuotaReached):
    kind = "quota_day"


class TooManyAtOnce(QuotaReached):
    kind = "quota_once"


class TooManyPerMinute(QuotaReached):
    kind = "quota_minute"


# Nothing was asked of a model then: it is in no ledger.
REFUSALS = frozenset(error.kind for error in (DayIsUsed, TooManyAtOnce, TooManyPerMinute))


@dataclass(frozen=True, slots=True)
class Quota:
    """The limits of somebody, or of one of their tokens alone."""

    owner: Owner
    tokens_per_day: int | None = None
    at_once: int | None = None
    per_minute: int | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in LIMITS)


def person_with_limits(pk: int) -> User:
    """Somebody, with what holds for them under ``limit_...``: their own limit, or else the tightest of their groups."""
    return User.objects.raw(PERSON, [pk])[0]


def quotas_of(user: User, token: AccessToken | None = None) -> tuple[Quota, ...]:
    """The limits that hold for a ``person_with_limits``, and for what is asked with the token."""
    quotas = [Quota((user.pk, None), *(getattr(user, f"limit_{name}") for name in LIMITS))]
    if token:
        quotas.append(Quota((user.pk, token.pk), *(getattr(token, name) for name in LIMITS)))
    return tuple(filter(None, quotas))


def refused(
    asking: Mapping[UUID, Sequence[Quota]], *, leaving: Collection[UUID], now: datetime
) -> dict[UUID, QuotaReached]:
    """Who of these may not ask now, and why; the others have asked then. ``leaving`` are turns that end just now.

    Inside of a transaction: until its end nobody else decides about the same people.
    """
    rows = _held({quota.owner for quotas in asking.values() for quota in quotas})
    counts = {owner: _Count(owner, row.at, now, leaving) for owner, row in rows.items()}
    found: dict[UUID, QuotaReached] = {}
    for id_, quotas in asking.items():
        if reached := next(filter(None, (counts[quota.owner].reached(quota) for quota in quotas)), None):
            found[id_] = reached
        else:
            for quota in quotas:
                counts[quota.owner].add(quota)
    changed = [owner for owner, row in rows.items() if row.at != counts[owner].at]
    for owner in changed:
        rows[owner].at = counts[owner].at
    LateRequests.objects.bulk_update([rows[owner] for owner in changed], ["at"])
    return found


class _Count:
    """What somebody, or one of their tokens, has asked so far. ``at``: when, in the last minute."""

    def __init__(self, owner: Owner, at: Iterable[float], now: datetime, leaving: Collection[UUID] = ()) -> None:
        self.at = [moment for moment in at if moment > now.timestamp() - MINUTE_S]
        self._person, self._token = owner
        self._now = now
        self._leaving = leaving

    def reached(self, quota: Quota) -> QuotaReached | None:
        """The limit that is met already."""
        who = "this access token" if self._token else "your account"
        if quota.tokens_per_day is not None and self.tokens_today >= quota.tokens_per_day:
            words = f"{who} has used its {quota.tokens_per_day} tokens of today; a new day begins at {{}}"
            return _until(DayIsUsed, words, _tomorrow(self._now))
        if quota.at_once is not None and self.at_once >= quota.at_once:
            return TooManyAtOnce(f"{who} has {quota.at_once} requests under way; ask again when one has ended")
        if quota.per_minute is not None and len(self.at) >= quota.per_minute:
            # Not the earliest one, where the limit was lowered meanwhile.
            again = self.at[-quota.per_minute] if quota.per_minute else self._now.timestamp()
            words = f"{who} may ask {quota.per_minute} times in a minute; ask again at {{}}"
            return _until(TooManyPerMinute, words, _moment(again + MINUTE_S))
        return None

    def add(self, quota: Quota) -> None:
        """One more is let in."""
        if quota.at_once is not None:
            self.at_once += 1
        if quota.per_minute is not None:
            self.at.append(self._now.timestamp())

    @cached_property
    def tokens_today(self) -> int:
        mine = Q(token=self._token) if self._token else Q(user=self._person)
        today = Usage.objects.filter(mine, at__gte=midnight(timezone.localdate(self._now)))
        used: int | None = today.aggregate(used=Sum(F("prompt_tokens") + F("output_tokens")))["used"]
        return used or 0

    @cached_property
    def at_once(self) -> int:
        """Those that wait in a line, too."""
        mine = Q(token=self._token) if self._token else Q(person=self._person)
        return Turn.objects.alive().filter(mine).exclude(pk__in=self._leaving).count()


@dataclass(frozen=True, slots=True)
class Meter:
    """How much somebody has used of what holds for them."""

    quota: Quota
    tokens_today: int = 0
    at_once: int = 0
    last_minute: int = 0
    resets: datetime | None = None  # the tokens of the day

    @property
    def is_nearly_used(self) -> bool:
        return self.tokens_today >= NEARLY * (self.quota.tokens_per_day or 0)


def meter_of(user: User) -> Meter:
    """To look at, not to decide by."""
    quota = next(iter(quotas_of(person_with_limits(user.pk))), Quota((user.pk, None)))
    if not quota:
        return Meter(quota)
    now = timezone.now()
    row = LateRequests.objects.filter(person=user, token=None).first()
    count = _Count(quota.owner, row.at if row else [], now)
    return Meter(quota, count.tokens_today, count.at_once, len(count.at), _tomorrow(now))


def _held(owners: Collection[Owner]) -> dict[Owner, LateRequests]:
    """The rows of these people and tokens, in an order in which no two processes wait for each other."""
    wanted = Q(pk=None)
    for person, token in owners:
        wanted |= Q(person=person, token=token)
    rows = LateRequests.objects.select_for_update().filter(wanted).order_by("pk")
    found = {(row.person_id, row.token_id): row for row in rows}
    if missing := sorted((owner for owner in owners if owner not in found), key=str):
        new = [LateRequests(person_id=person, token_id=token) for person, token in missing]
        LateRequests.objects.bulk_create(new, ignore_conflicts=True)
        found = {(row.person_id, row.token_id): row for row in rows.all()}
    return found


def _until(kind: type[QuotaReached], words: str, until: datetime) -> QuotaReached:
    reached = kind(words.format(until.isoformat(timespec="seconds")))
    reached.until = until
    return reached


def _tomorrow(now: datetime) -> datetime:
    return midnight(timezone.localdate(now) + timedelta(days=1))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.get_current_timezone())
