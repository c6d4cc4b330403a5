"""What was used: by everybody, for administrators; by oneself, for everybody."""

from collections.abc import Iterator, Mapping

from django.conf import settings
from django.db import OperationalError
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from models_admin.usage.report import DOORS, OUTCOMES, Report, choices_of
from models_admin.usage.wish import PERIODS, Wish, wish_of
from webui.accounts.access import administrators_only
from webui.accounts.models import User
from webui.http import Request, render_page
from webui.inference.ledger import Days, Ledger
from webui.sheet import sheet


@require_safe
def usage(request: Request) -> HttpResponse:
    """Of everybody, by day, person, model, host and door."""
    administrators_only(request)
    return _page(request, wish_of(request.GET.dict()), owner=None)


@require_safe
def export(request: Request) -> HttpResponseBase:
    """All that is behind the page, as CSV."""
    administrators_only(request)
    return _sheet(request, wish_of(request.GET.dict()), owner=None)


@require_safe
def own(request: Request) -> HttpResponse:
    """One's own."""
    return _page(request, wish_of(request.GET.dict(), owner=request.user.pk), owner=request.user)


@require_safe
def own_export(request: Request) -> HttpResponseBase:
    return _sheet(request, wish_of(request.GET.dict(), owner=request.user.pk), owner=request.user)


def _page(request: Request, wish: Wish, *, owner: User | None) -> HttpResponse:
    everything = Ledger(Days.latest(wish.days)).narrowed(person=owner.pk if owner else None)
    address, csv = ("own_usage", "own_usage_csv") if owner else ("usage", "usage_csv")
    context: dict[str, object] = {
        "wish": wish,
        "periods": PERIODS,
        "place": "own_usage" if owner else "usage",
        "address": reverse(f"models_admin:{address}"),
        "csv": reverse(f"models_admin:{csv}"),
        "owner": owner,
        "kept_days": settings.USAGE_DAYS,
    }
    try:
        context |= {"choices": choices_of(wish, everything)}
        context |= Report(wish, wish.in_ledger(everything), owner.username if owner else "").context()
    except OperationalError:  # it takes longer than a page may
        context |= {"choices": {}, "took_too_long": True}
    template = "models_admin/usage/own.html" if owner else "models_admin/usage/usage.html"
    return render_page(request, template, context, part="usage", part_template="models_admin/usage/_usage.html")


def _sheet(request: Request, wish: Wish, *, owner: User | None) -> HttpResponseBase:
    head = [
        *(_("Day"), _("Person"), _("Model"), _("Host"), _("Door"), _("Outcome"), _("Requests")),
        *(_("Tokens read"), _("Tokens written"), _("First token, median, s"), _("Wait in line, slowest 5 %, s")),
    ]
    words = {str(key): str(name) for key, name in [*DOORS.items(), *OUTCOMES.items()]}  # in our language
    try:
        return sheet("usage.csv", head, _rows(wish.in_ledger(Ledger(Days.latest(wish.days))), words))
    except OperationalError:
        return _page(request, wish, owner=owner)  # takes as long, and says so


def _rows(ledger: Ledger, words: Mapping[str, str]) -> Iterator[list[object]]:
    names = dict(User.objects.values_list("pk", "username"))
    for day, person, model, host, door, outcome, figures in ledger.rows():
        yield [
            *(day.isoformat(), names.get(person, ""), model, host, words[door], words[outcome]),
            *(figures.runs, figures.read, figures.written),
            *(_seconds(figures.first_ms), _seconds(figures.queue_slow_ms)),
        ]


def _seconds(ms: float | None) -> float | str:
    return "" if ms is None else round(ms / 1000, 2)
