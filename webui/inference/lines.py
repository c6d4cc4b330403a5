"""The lines of all processes, in PostgreSQL. What happens in them is worked out by ``line.py`` and stored here.

Times are the database's, so that processes whose clocks differ agree on who waited longest.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import Now

from webui.inference import quotas
from webui.inference.line import FRONT, Line, Ticket
from webui.inference.models import Host, InstalledModel, Turn, Usage, WaitingLine
from webui.inference.quotas import Quota, QuotaReached

LEASE = timedelta(seconds=10)
RENEWED_BELOW = timedelta(seconds=7)  # not each time: of two hundred turns that would be two hundred rows written
RANKS = {Usage.Door.BROWSER: 0, Usage.Door.API: 1, Usage.Door.BACKGROUND: 2}

Key = tuple[int, str]  # host, model


@dataclass(frozen=True, slots=True)
class Standing:
    """Somebody's request, and the line it stands in. ``quotas``: what must let it in; nothing, if it was let in."""

    id: UUID
    key: Key
    person: int
    door: Usage.Door
    token: int | None = None
    waited_s: float = 0.0  # in other lines
    quotas: tuple[Quota, ...] = ()


class Length(NamedTuple):
    """How many wait in a line, and how many hold its slots."""

    waiting: int
    holding: int


class _Row(NamedTuple):
    """A turn as it is stored."""

    id: UUID
    person: int
    rank: int
    round: int
    joined_at: datetime
    admitted_at: datetime | None
    removed: bool
    lives: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """A line as it is now; those of its turns that an administrator removed; and who was not let in."""

    line: Line
    order: tuple[UUID, ...]  # the waiting ones
    removed: frozenset[UUID]
    refused: Mapping[UUID, QuotaReached] = field(default_factory=dict)

    def place_of(self, id_: UUID) -> int:
        """1 is next."""
        return self.order.index(id_) + 1


@transaction.atomic
def settle(
    owner: UUID, *, joining: Collection[Standing], leaving: Collection[UUID], keys: Collection[Key]
) -> dict[Key, Settled]:
    """Let some join and some leave, give free slots to whoever is next, and say how the lines stand.

    ``keys`` are the lines to look at: all in which somebody of this process stands. A line whose host was
    removed is not in the answer. The turns of this process stay its own for at least ``RENEWED_BELOW`` from now.
    """
    rows = _locked(keys)
    ours = Turn.objects.filter(owner=owner, line__in=[row.pk for row in rows.values()])
    ours.filter(lease_expires__lt=Now() + RENEWED_BELOW).update(lease_expires=Now() + LEASE)
    turns = _turns(rows.values())
    # It may be tried again: whoever stands there has joined already.
    stand = {turn.id for of_line in turns.values() for turn in of_line}
    joining = [each for each in joining if each.id not in stand]
    refused = _refused([each for each in joining if each.key in rows], leaving, rows.values())
    let_in = [each for each in joining if each.id not in refused]
    settled = {
        key: _settle_one(row, turns[row.pk], owner, [each for each in let_in if each.key == key], leaving)
        for key, row in rows.items()
    }
    return {key: replace(line, refused=refused) for key, line in settled.items()} if refused else settled


def end(owner: UUID) -> None:
    """The process ends: nobody of it stands anywhere."""
    Turn.objects.filter(owner=owner).delete()


@transaction.atomic
def remove(turn: UUID) -> None:
    """End it, wherever it stands. Its process hears of it when it looks, within a second."""
    _lock_line_of(turn)
    Turn.objects.filter(pk=turn).update(removed=True)


@transaction.atomic
def move_to_front(turn: UUID) -> None:
    """It is admitted next."""
    _lock_line_of(turn)
    Turn.objects.filter(pk=turn, admitted_at=None).update(rank=FRONT)


def hold_all_of(host: Host) -> None:
    """Until the end of the transaction nothing moves in its lines: whoever removes it removes their turns."""
    list(WaitingLine.objects.select_for_update().filter(host=host).order_by("pk"))


def forget_empty(host: Host, *, but: Collection[str]) -> None:
    """Lines in which nobody stands, of models that the host has not: people may ask for any name. In a transaction."""
    others = WaitingLine.objects.filter(host=host).exclude(model__in=but).select_for_update(skip_locked=True)
    held = list(others.values_list("pk", flat=True))
    if held:
        WaitingLine.objects.filter(pk__in=held, turns=None).delete()


def line_of(turns: Collection[Turn]) -> Line:
    """The line in which these turns, all that it has, stand. To look at, not to change."""
    return _line_of(next(iter(turns)).line, [_row_of_turn(turn) for turn in turns])


def lengths(places: Iterable[InstalledModel]) -> dict[Key, Length]:
    """How long the lines are in which one could stand."""
    here = Q(line__host__in={place.host_id for place in places}, line__model__in={place.name for place in places})
    counted = Turn.objects.alive().filter(here).values_list("line__host", "line__model")
    rows = counted.annotate(waiting=Count("pk", filter=Q(admitted_at=None)), holding=Count("admitted_at"))
    return {(host, model): Length(waiting, holding) for host, model, waiting, holding in rows}


def _refused(
    joining: Iterable[Standing], leaving: Collection[UUID], rows: Iterable[WaitingLine]
) -> dict[UUID, QuotaReached]:
    asking = {each.id: each.quotas for each in joining if each.quotas}
    if not asking:
        return {}
    now: datetime = max(row.now for row in rows)  # type: ignore[attr-defined]  # annotated
    return quotas.refused(asking, leaving=leaving, now=now)


def _lock_line_of(turn: UUID) -> None:
    WaitingLine.objects.select_for_update().filter(turns=turn).first()


def _locked(keys: Collection[Key]) -> dict[Key, WaitingLine]:
    """The rows of the lines, in an order in which no two processes wait for each other.

    Whoever changes a turn holds the row of its line first.
    """
    wanted = Q(pk=None)
    for host, model in keys:
        wanted |= Q(host=host, model=model)
    lines = WaitingLine.objects.filter(wanted).select_related("host").annotate(now=Now()).order_by("pk")
    lines = lines.select_for_update(of=("self",))
    rows: dict[Key, WaitingLine] = {(row.host_id, row.model): row for row in lines}
    if missing := [key for key in keys if key not in rows]:
        _create(missing)
        rows = {(row.host_id, row.model): row for row in lines.all()}
    return rows


def _create(keys: Iterable[Key]) -> None:
    hosts = set(Host.objects.filter(pk__in={host for host, _ in keys}).values_list("pk", flat=True))
    new = [WaitingLine(host_id=host, model=model) for host, model in sorted(keys) if host in hosts]
    WaitingLine.objects.bulk_create(new, ignore_conflicts=True)


def _turns(rows: Iterable[WaitingLine]) -> dict[int, list[_Row]]:
    found: dict[int, list[_Row]] = defaultdict(list)
    turns = Turn.objects.filter(line__in=[row.pk for row in rows]).annotate(lives=Q(lease_expires__gte=Now()))
    for line, *row in turns.values_list("line", *_Row._fields):
        found[line].append(_Row(*row))
    return found


def _settle_one(
    row: WaitingLine, turns: list[_Row], owner: UUID, joining: list[Standing], leaving: Collection[UUID]
) -> Settled:
    now = row.now.timestamp()  # type: ignore[attr-defined]  # annotated
    line = _line_of(row, turns)
    # A slot must not be held by a process that was killed.
    gone = [turn.id for turn in turns if turn.id in leaving or not turn.lives]
    for id_ in gone:
        line.leave(id_, now)
    for standing in joining:
        line.join(Ticket(standing.id, standing.person, RANKS[standing.door], now - standing.waited_s))
    admitted = line.admit(now)
    _store(line, row, owner, joining=joining, gone=gone, admitted=admitted)
    order = tuple(ticket.id for ticket in line.in_order(now))
    return Settled(line, order, frozenset(turn.id for turn in turns if turn.removed))


def _line_of(row: WaitingLine, turns: list[_Row]) -> Line:
    return Line(
        slots=row.host.slots,
        tickets={turn.id: _ticket_of(turn) for turn in turns},
        reached=row.reached,
        newest={int(person): round_ for person, round_ in row.newest.items()},
        usual_s=row.usual_s,
    )


def _store(
    line: Line,
    row: WaitingLine,
    owner: UUID,
    *,
    joining: list[Standing],
    gone: list[UUID],
    admitted: list[Ticket],
) -> None:
    new = {standing.id for standing in joining}
    if gone:
        Turn.objects.filter(pk__in=gone).delete()
    if joining:
        Turn.objects.bulk_create(_row_of(line.tickets[each.id], row, owner, each) for each in joining)
    if waited := [ticket.id for ticket in admitted if ticket.id not in new]:
        Turn.objects.filter(pk__in=waited).update(admitted_at=row.now)  # type: ignore[attr-defined]  # annotated
    if gone or joining or admitted:
        kept = {"reached": line.reached, "newest": line.newest, "usual_s": line.usual_s}
        WaitingLine.objects.filter(pk=row.pk).update(**kept)


def _ticket_of(turn: _Row) -> Ticket:
    admitted = turn.admitted_at.timestamp() if turn.admitted_at else None
    return Ticket(turn.id, turn.person, turn.rank, turn.joined_at.timestamp(), turn.round, admitted)


def _row_of_turn(turn: Turn) -> _Row:
    times = turn.joined_at, turn.admitted_at
    return _Row(turn.pk, turn.person_id, turn.rank, turn.round, *times, removed=turn.removed, lives=True)


def _row_of(ticket: Ticket, row: WaitingLine, owner: UUID, standing: Standing) -> Turn:
    return Turn(
        id=ticket.id,
        line=row,
        person_id=ticket.person,
        token_id=standing.token,
        door=standing.door,
        rank=ticket.rank,
        round=ticket.round,
        joined_at=_time(ticket.joined),
        admitted_at=None if ticket.admitted is None else _time(ticket.admitted),
        owner=owner,
        lease_expires=Now() + LEASE,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
