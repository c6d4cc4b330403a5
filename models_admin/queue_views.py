"""The page of the lines: who is answered, who waits, and what administrators do about it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from webui.accounts import audit
from webui.accounts.access import administrators_only
from webui.http import Request, render_page
from webui.inference import lines
from webui.inference.models import Turn


@dataclass(frozen=True, slots=True)
class Waits:
    """One who waits: their place in their line, and about when it is their turn."""

    turn: Turn
    place: int
    about_s: float | None


@require_safe
def queue(request: Request) -> HttpResponse:
    """Everybody in every line, and what is being answered."""
    administrators_only(request)
    context: dict[str, object] = {**_lines(), "place": "queue"}
    return render_page(
        request, "models_admin/queue/queue.html", context, part="queue", part_template="models_admin/queue/_queue.html"
    )


@require_POST
def remove(request: Request, pk: str) -> HttpResponseBase:
    """Take a request out of its line, or end the answer that is being written."""
    turn = _turn(request, pk)
    with audit.recorded(request, "turn_removed", turn.person.username) as entry:
        entry.before = _recorded(turn)
        lines.remove(turn.pk)
    return _back(request)


@require_POST
def to_front(request: Request, pk: str) -> HttpResponseBase:
    """Let somebody go next."""
    turn = _turn(request, pk)
    with audit.recorded(request, "turn_to_front", turn.person.username) as entry:
        entry.before = _recorded(turn)
        lines.move_to_front(turn.pk)
    return _back(request)


def _lines() -> dict[str, object]:
    by_line: dict[int, list[Turn]] = defaultdict(list)
    turns = Turn.objects.alive().filter(removed=False).select_related("line__host", "person").order_by("admitted_at")
    for turn in turns:
        by_line[turn.line_id].append(turn)
    waiting = [waits for turns in by_line.values() for waits in _in_order(turns)]
    waiting.sort(key=lambda waits: (waits.place, waits.turn.joined_at))
    holding = [turn for turns in by_line.values() for turn in turns if turn.admitted_at]
    first = min((waits.turn.joined_at for waits in waiting), default=None)
    return {"waiting": waiting, "holding": sorted(holding, key=_admitted), "longest_s": first and _seconds_since(first)}


def _in_order(turns: list[Turn]) -> list[Waits]:
    line, known = lines.line_of(turns), {turn.pk: turn for turn in turns}
    order = line.in_order(timezone.now().timestamp())
    return [Waits(known[ticket.id], place, line.about(place)) for place, ticket in enumerate(order, 1)]


def _admitted(turn: Turn) -> datetime:
    return turn.admitted_at or turn.joined_at


def _seconds_since(moment: datetime) -> int:
    return max(0, int((timezone.now() - moment).total_seconds()))


def _recorded(turn: Turn) -> dict[str, object]:
    return {"model": turn.line.model, "host": turn.line.host.name, "door": turn.door}


def _turn(request: Request, pk: str) -> Turn:
    administrators_only(request)
    return get_object_or_404(Turn.objects.select_related("line__host", "person"), pk=pk)


def _back(request: Request) -> HttpResponseBase:
    if not request.htmx:
        return redirect("models_admin:queue")
    return render(request, "models_admin/queue/_queue.html", _lines())
