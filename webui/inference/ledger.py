"""Writes the ledger, and tells what it says of some days: sums and times, by model, person, host and door.

Days are days of the portal's time zone. The names under which a model was asked are taken together.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property, partial
from typing import NamedTuple, Self

from django.db import transaction
from django.db.models import Aggregate, Case, Count, F, FloatField, Q, QuerySet, Sum, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import TruncDate, TruncHour
from django.utils import timezone

from webui.inference import metrics
from webui.inference.models import Usage
from webui.ollama.names import normal

MOST_NAMES = 5_000
KEYS = {"model": "name", "person": "user", "host": "host", "door": "door"}

Key = str | int


class Percentile(Aggregate):
    """The value that so large a ``part`` of the rows do not exceed; of no rows, none."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(part)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


SUMS = {
    "runs": Count("pk"),
    "failed": Count("pk", filter=Q(outcome__in=[Usage.Outcome.FAILED, Usage.Outcome.INTERRUPTED])),
    "read": Sum("prompt_tokens", default=0),
    "written": Sum("output_tokens", default=0),
}
TIMES = {
    "first_ms": Percentile("first_piece_ms", part=0.5),
    "first_slow_ms": Percentile("first_piece_ms", part=0.95),
    "queue_slow_ms": Percentile("queue_ms", part=0.95),
}


def write(row: Usage) -> None:
    """One more row, however often it is tried; and it counts for ``/metrics`` once it is there to stay."""
    Usage.objects.bulk_create([row], ignore_conflicts=True)
    transaction.on_commit(partial(metrics.answered, row))


@dataclass(frozen=True, slots=True)
class Days:
    """From the first minute of ``first`` to the last of ``last``."""

    first: date
    last: date

    @classmethod
    def latest(cls, count: int) -> Self:
        """So many, today included."""
        today = timezone.localdate()
        return cls(today - timedelta(days=count - 1), today)

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=number) for number in range(len(self)))

    @property
    def before(self) -> "Days":
        """As many, just before them."""
        return Days(self.first - timedelta(days=len(self)), self.first - timedelta(days=1))

    @property
    def limits(self) -> tuple[datetime, datetime]:
        return midnight(self.first), midnight(self.last + timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Figures:
    """Of some runs: how many, the tokens, and times, which are None where nothing was answered.

    "Slow" is what 5 of 100 exceed.
    """

    runs: int
    failed: int
    read: int
    written: int
    first_ms: float | None
    first_slow_ms: float | None
    queue_slow_ms: float | None


class OfDay(NamedTuple):
    """What a chart may show of a day."""

    runs: int
    tokens: int


class Row(NamedTuple):
    """What is the same of some runs, and their figures."""

    day: date
    person: int
    model: str
    host: str
    door: str
    outcome: str
    figures: Figures


class Ledger:
    """The runs of some days."""

    def __init__(self, days: Days) -> None:
        self.days = days
        self._given: dict[str, Key | None] = {}

    def narrowed(self, *, person: int | None = None, model: str = "", host: str = "", door: str = "") -> "Ledger":
        """Those of one person, model, host or door, where these are given."""
        narrowed = copy(self)
        narrowed._given = {"user": person, "name": model, "host": host, "door": door}
        return narrowed

    def before(self) -> "Ledger":
        """The same of as many days before."""
        before = copy(self)
        before.days = self.days.before
        return before

    def total(self) -> Figures:
        return Figures(**self._wanted.aggregate(**SUMS, **TIMES))

    def written(self) -> int:
        """Tokens."""
        return self._wanted.aggregate(written=SUMS["written"])["written"] or 0

    def people(self) -> int:
        """How many there are in it."""
        return self._wanted.aggregate(people=Count("user", distinct=True))["people"] or 0

    def by(self, what: str, *, most: int) -> dict[Key, Figures]:
        """For each model, person, host or door; those that had most first."""
        rows = self._wanted.values(key=F(KEYS[what])).annotate(**SUMS, **TIMES)
        in_order = rows.order_by(F("written").desc(), F("runs").desc(), "key").values_list("key", *SUMS, *TIMES)
        return {key: Figures(*figures) for key, *figures in in_order[:most]}

    def written_by(self, what: str, *, most: int) -> dict[Key, int]:
        """Only the tokens, which is quicker."""
        rows = self._wanted.values(key=F(KEYS[what])).annotate(written=SUMS["written"])
        return dict(rows.order_by(F("written").desc(), "key").values_list("key", "written")[:most])

    def per_day(self, what: str, keys: Collection[Key]) -> dict[date, dict[Key | None, OfDay]]:
        """For each day and key; whatever has no key of its own is under None."""
        key = Case(When(Q(**{f"{KEYS[what]}__in": keys}), then=F(KEYS[what])), default=None)
        rows = self._wanted.annotate(day=TruncDate("at")).values("day", key=key)
        found: dict[date, dict[Key | None, OfDay]] = defaultdict(dict)
        for row in rows.annotate(runs=SUMS["runs"], tokens=SUMS["written"]):
            found[row["day"]][row["key"]] = OfDay(row["runs"], row["tokens"])
        return found

    def first_pieces_per_day(self) -> dict[date, tuple[float, float]]:
        """Seconds to the first piece: those of half of the runs, and of all but 5 of 100."""
        rows = self._wanted.exclude(first_piece_ms=None).annotate(day=TruncDate("at")).values("day")
        times = rows.annotate(usual=TIMES["first_ms"], slow=TIMES["first_slow_ms"])
        return {row["day"]: (row["usual"] / 1000, row["slow"] / 1000) for row in times}

    def busiest(self) -> tuple[int, int] | None:
        """The day of the week, Monday is 1, and the hour in which most was asked."""
        hours = self._wanted.annotate(hour=TruncHour("at")).values("hour").annotate(runs=Count("pk"))
        sums: Counter[tuple[int, int]] = Counter()
        for hour, runs in hours.values_list("hour", "runs"):
            sums[hour.isoweekday(), hour.hour] += runs
        return max(sums, key=lambda hour: (sums[hour], hour)) if sums else None

    def rows(self) -> Iterator[Row]:
        """Everything, for each day, person, model, host, door and outcome."""
        keys = ("day", "user", "name", "host", "door", "outcome")
        rows = self._wanted.annotate(day=TruncDate("at")).values(*keys).annotate(**SUMS, **TIMES).order_by(*keys)
        for found in rows.values_list(*keys, *SUMS, *TIMES).iterator(chunk_size=2000):
            day, person, name, host, door, outcome, *figures = found
            yield Row(day, person, name, host, door, outcome, Figures(*figures))

    def choices(self) -> dict[str, set[Key]]:
        """Which models, people and hosts there are; of very many the most used."""
        whats = ("model", "person", "host")
        fields = [KEYS[what] for what in whats]
        used = self._wanted.values(*fields).annotate(runs=Count("pk")).order_by("-runs")
        columns = zip(*used.values_list(*fields)[:MOST_NAMES], strict=True)
        return dict(zip(whats, map(set, columns), strict=False))

    @property
    def _wanted(self) -> QuerySet[Usage]:
        named = self._of_these_days.annotate(name=self._name)
        return named.filter(**{field: value for field, value in self._given.items() if value})

    @property
    def _of_these_days(self) -> QuerySet[Usage]:
        begin, end = self.days.limits
        return Usage.objects.filter(at__gte=begin, at__lt=end)

    @cached_property
    def _name(self) -> Combinable:
        """Of a model: the shortest one, where it was asked by another. Looked up once for a ledger and its copies."""
        asked = self._of_these_days.values("model").annotate(runs=Count("pk"))
        spellings = defaultdict(list)
        for row in asked.order_by("-runs")[:MOST_NAMES]:
            if normal(row["model"]) != row["model"]:
                spellings[normal(row["model"])].append(row["model"])
        cases = [When(model__in=asked_as, then=Value(name)) for name, asked_as in spellings.items()]
        return Case(*cases, default=F("model")) if cases else F("model")


def midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())
