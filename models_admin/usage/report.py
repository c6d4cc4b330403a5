"""What the pages of usage show: figures, plots and tables, with their words."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django.utils.dates import WEEKDAYS
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from models_admin.usage.plots import HALF, HALF_NARROW, NARROW, WIDE, Plot, curves, short, stacked
from models_admin.usage.wish import Wish
from webui.accounts.models import User
from webui.inference.ledger import Figures, Key, Ledger
from webui.inference.models import Usage

SERIES = 4  # with a colour of their own; the fifth is for all others
MOST_BARS = 6
MOST_ROWS = 20
TITLES = {
    ("tokens", "model"): gettext_lazy("Tokens per day, by model"),
    ("tokens", "person"): gettext_lazy("Tokens per day, by person"),
    ("tokens", "host"): gettext_lazy("Tokens per day, by host"),
    ("tokens", "door"): gettext_lazy("Tokens per day, by door"),
    ("runs", "model"): gettext_lazy("Requests per day, by model"),
    ("runs", "person"): gettext_lazy("Requests per day, by person"),
    ("runs", "host"): gettext_lazy("Requests per day, by host"),
    ("runs", "door"): gettext_lazy("Requests per day, by door"),
}
OTHERS = {
    "model": gettext_lazy("other models"),
    "person": gettext_lazy("other people"),
    "host": gettext_lazy("other hosts"),
    "door": gettext_lazy("other doors"),
}
DOORS = {
    Usage.Door.BROWSER: gettext_lazy("Browser"),
    Usage.Door.API: gettext_lazy("API"),
    Usage.Door.BACKGROUND: gettext_lazy("Background"),
}
OUTCOMES = {
    Usage.Outcome.DONE: gettext_lazy("done"),
    Usage.Outcome.STOPPED: gettext_lazy("stopped"),
    Usage.Outcome.FAILED: gettext_lazy("failed"),
    Usage.Outcome.INTERRUPTED: gettext_lazy("interrupted"),
}


class Amount(NamedTuple):
    """A large number as people say it."""

    number: str
    unit: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot in the widths it is drawn in, what it says in a sentence, and its numbers."""

    id: str
    title: str
    sentence: str
    legend: Sequence[tuple[int, str]]
    plots: Sequence[Plot]
    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


class Share(NamedTuple):
    """A bar of a list; the longest one is 100."""

    name: str
    percent: int
    amount: str


@dataclass(frozen=True, slots=True)
class Report:
    wish: Wish
    ledger: Ledger
    of_whom: str  # everybody, or somebody alone

    @property
    def period(self) -> str:
        first, last = self.ledger.days.first, self.ledger.days.last
        return _("%(first)s to %(last)s") % {"first": _whole_date(first), "last": _whole_date(last)}

    def context(self) -> dict[str, object]:
        """For the template. Where nothing was asked there is nothing but the total."""
        total = self.ledger.total()
        if not total.runs:
            return {"total": total, "report": self}
        table = self.ledger.by(self.wish.by, most=MOST_ROWS + 1)
        names = names_of(self.wish.by, table)
        return {
            "report": self,
            "total": total,
            "written": amount(total.written),
            "change": self._change(total),
            "busiest": self._busiest(),
            "chart": self._per_day(table, names),
            "times": self._times(),
            "table": [(names[key], figures) for key, figures in list(table.items())[:MOST_ROWS]],
            "has_more": len(table) > MOST_ROWS,
            **self._ranking(),
        }

    def _change(self, total: Figures) -> str:
        """Beside the same number of days before."""
        before = self.ledger.before().written()
        facts = {"days": self.wish.days, "percent": round(abs(total.written - before) * 100 / (before or 1))}
        if not before:
            return ""
        if not facts["percent"]:
            return _("as many as in the %(days)s days before") % facts
        if total.written > before:
            return _("%(percent)s %% more than in the %(days)s days before") % facts
        return _("%(percent)s %% fewer than in the %(days)s days before") % facts

    def _busiest(self) -> str:
        found = self.ledger.busiest()
        return (
            _("busiest hour: %(day)s %(hour)s:00") % {"day": WEEKDAYS[found[0] - 1], "hour": found[1]} if found else ""
        )

    def _ranking(self) -> dict[str, object]:
        """Who used most; for somebody alone, what they used most."""
        what = "model" if self.of_whom else "person"
        found = self.ledger.written_by(what, most=MOST_BARS)
        names, most = names_of(what, found), max(found.values(), default=0) or 1
        shares = [Share(names[key], round(written * 100 / most), short(written)) for key, written in found.items()]
        people = {} if self.of_whom else {"people": self.ledger.people(), "of_people": _accounts()}
        return {"ranking": shares, "ranks_people": what == "person", **people}

    def _per_day(self, table: dict[Key, Figures], names: dict[Key, str]) -> Chart:
        counts_tokens = self.wish.of == "tokens"
        by_size = sorted(table, key=lambda key: -(table[key].written if counts_tokens else table[key].runs))
        keys = by_size[:SERIES]
        found = self.ledger.per_day(self.wish.by, keys)
        values = []
        for day in self.ledger.days:
            of_day = {key: (each.tokens if counts_tokens else each.runs) for key, each in found.get(day, {}).items()}
            values.append([of_day.get(key, 0) for key in [*keys, None]])
        legend = [*(names[key] for key in keys), str(OTHERS[self.wish.by])]
        if not any(of_day[-1] for of_day in values):
            values, legend = [of_day[:-1] for of_day in values], legend[:-1]
        days = [_short_date(day) for day in self.ledger.days]
        return Chart(
            id="per-day",
            title=str(TITLES[self.wish.of, self.wish.by]),
            sentence=_sentence(days, values, legend),
            legend=list(enumerate(legend, 1)),
            plots=[stacked(WIDE, days, values), stacked(NARROW, days, values)],
            head=[_("Day"), *legend],
            rows=[(day, [f"{value:,}" for value in of_day]) for day, of_day in zip(days, values, strict=True)],
        )

    def _times(self) -> Chart | None:
        found = self.ledger.first_pieces_per_day()
        if not found:
            return None
        days = [_short_date(day) for day in self.ledger.days]
        usual = [found[day][0] if day in found else None for day in self.ledger.days]
        slow = [found[day][1] if day in found else None for day in self.ledger.days]
        worst = max(found, key=lambda day: found[day][1])
        facts = {"day": _short_date(worst), "s": f"{found[worst][1]:.1f}"}
        return Chart(
            id="times",
            title=_("Time to the first token"),
            sentence=_("Slowest on %(day)s: 5 of 100 answers took longer than %(s)s s to begin.") % facts,
            legend=(),
            plots=[curves(frame, days, [(4, "p95", slow), (1, "p50", usual)]) for frame in (HALF, HALF_NARROW)],
            head=[_("Day"), "p50", "p95"],
            rows=[
                (day, [f"{one:.2f}", f"{other:.2f}"])
                for day, one, other in zip(days, usual, slow, strict=True)
                if one is not None and other is not None
            ],
        )


def amount(count: int) -> Amount:
    """Three digits, and what they count."""
    for unit, name in ((10**9, _("billion")), (10**6, _("million")), (10**3, _("thousand"))):
        if count >= unit and count >= 10_000:  # noqa: PLR2004  smaller ones are said in full
            return Amount(f"{count / unit:.{2 if count < 10 * unit else 1 if count < 100 * unit else 0}f}", name)
    return Amount(f"{count:,}", ngettext("token", "tokens", count))


def names_of(what: str, keys: Collection[Key]) -> dict[Key, str]:
    """What the keys of the ledger are called."""
    match what:
        case "person":
            people = User.objects.in_bulk([key for key in keys if isinstance(key, int)])
            return {pk: person.name for pk, person in people.items()}
        case "door":
            return {key: str(DOORS[Usage.Door(str(key))]) for key in keys}
        case "host":
            return {key: str(key) or _("no host") for key in keys}
        case _:
            return {key: str(key) for key in keys}


def choices_of(wish: Wish, ledger: Ledger) -> dict[str, list[tuple[Key, str]]]:
    """For the fields that narrow it down: what there is in these days, and what is chosen already."""
    chosen = {"model": wish.model, "person": wish.person, "host": wish.host}
    found = {what: keys | {chosen[what] or ""} for what, keys in ledger.choices().items()}
    named = {what: names_of(what, keys - {""}) for what, keys in found.items()}
    in_order = {what: sorted(names.items(), key=lambda each: each[1].casefold()) for what, names in named.items()}
    return in_order | {"door": [(door, str(name)) for door, name in DOORS.items()]}


def _sentence(days: Sequence[str], values: Sequence[Sequence[int]], legend: Sequence[str]) -> str:
    """What the eye sees first."""
    sums = [sum(of_day) for of_day in values]
    largest = _largest([sum(series) for series in zip(*values, strict=True)])
    facts = {
        "day": days[_largest(sums)],
        "most": short(max(sums)),
        "name": legend[largest],
        "share": round(sum(of_day[largest] for of_day in values) * 100 / (sum(sums) or 1)),
    }
    return _("Most on %(day)s: %(most)s. %(name)s makes up %(share)s %%.") % facts


def _largest(values: Iterable[int]) -> int:
    values = list(values)
    return values.index(max(values))


def _accounts() -> int:
    return User.objects.filter(is_active=True).count()


def _short_date(day: date) -> str:
    return date_format(day, _("j M"))


def _whole_date(day: date) -> str:
    return date_format(day, _("j F Y"))
