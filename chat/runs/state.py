"""The states of a run, and the only statements that change them.

Every change is one conditional UPDATE: whoever it answers with a row has made the change, everybody else
lost the race and does nothing. A run's answer changes in the same transaction. Leases are counted by the
database's clock, which all processes share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import F, Sum
from django.db.models.functions import Now
from django.utils import timezone

from chat.models import LIVE_STATES, Conversation, Message, Run, RunPiece, State
from webui.inference import ledger
from webui.inference.models import Usage
from webui.inference.quotas import REFUSALS

LEASE = timedelta(seconds=10)

# One statement each: all who press Enter in the same second wait for these.
START = """
    with started as (
        update chat_run set state = %(state)s, started_at = now()
        where id = %(run)s and owner = %(owner)s and state in ('queued', 'loading', 'running')
        returning answer_id
    )
    update chat_message set state = %(state)s, host = %(host)s, practice = %(practice)s
    from started where id = started.answer_id
"""
BACK_IN_LINE = """
    with turned_away as (
        update chat_run set state = 'queued', started_at = null
        where id = %(run)s and owner = %(owner)s and state in ('loading', 'running')
        returning answer_id
    )
    update chat_message set state = 'queued' from turned_away where id = turned_away.answer_id
"""
RUN_ON = """
    with loaded as (
        update chat_run set state = 'running' where id = %(run)s and owner = %(owner)s and state = 'loading'
        returning answer_id
    )
    update chat_message set state = 'running' from loaded where id = loaded.answer_id
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: what is stored of its answer, and what goes into the ledger."""

    state: State
    text: str
    thinking: str
    error: str = ""
    error_detail: str = ""
    error_until: datetime | None = None
    stats: dict[str, object] = field(default_factory=dict)
    usage: dict[str, float | int] = field(default_factory=dict)


@transaction.atomic
def claim(owner: UUID, limit: int) -> list[Run]:
    """Take queued runs nobody drives, oldest first."""
    waiting = (
        Run.objects.select_for_update(skip_locked=True)
        .filter(state=State.QUEUED, owner=None)
        .order_by("requested_at")
        .values_list("pk", flat=True)[:limit]
    )
    ids = list(waiting)
    Run.objects.filter(pk__in=ids).update(owner=owner, lease_expires=Now() + LEASE)
    return list(Run.objects.filter(pk__in=ids).select_related("answer", "conversation").order_by("requested_at"))


def start(run: Run, owner: UUID, *, host: str, practice: bool, cold: bool) -> bool:
    """The question is with a host; with another one when the first turned it away."""
    state = State.LOADING if cold else State.RUNNING
    return _change(START, run=run.pk, owner=owner, state=state, host=host, practice=practice)


def back_in_line(run: Run, owner: UUID) -> bool:
    """The host was too busy to take the question."""
    return _change(BACK_IN_LINE, run=run.pk, owner=owner)


def run_on(run: Run, owner: UUID) -> bool:
    """The model is in memory."""
    return _change(RUN_ON, run=run.pk, owner=owner)


def ask_to_stop(run: Run) -> None:
    """Whoever drives the run sees it; see ``stop_unclaimed`` for a run nobody drives."""
    Run.objects.live().filter(pk=run.pk).update(stop_requested=True)


def stop_unclaimed(run: Run) -> bool:
    """End a run that nobody drives yet; there is nothing at a host to stop."""
    return _end(Run.objects.filter(pk=run.pk, state=State.QUEUED, owner=None), _as_it_was(run, State.STOPPED))


def finish(run: Run, owner: UUID, ending: Ending) -> bool:
    """The driver's last word; said again where it is not known whether it was heard."""
    return _end(_driven(run.pk, owner, LIVE_STATES), ending) or _driven(run.pk, owner, [ending.state]).exists()


def expired() -> models.QuerySet[Run]:
    """Live runs whose process no longer renews their lease."""
    return Run.objects.live().filter(lease_expires__lt=Now()).select_related("answer", "conversation")


def interrupt(run: Run) -> bool:
    """End an expired run with what was recorded of its answer."""
    return _end(Run.objects.live().filter(pk=run.pk, lease_expires__lt=Now()), _as_it_was(run, State.INTERRUPTED))


@transaction.atomic
def release(run: Run) -> bool:
    """An expired run that was still in line goes back to the line: nothing is lost."""
    expired_in_line = Run.objects.filter(pk=run.pk, state=State.QUEUED, lease_expires__lt=Now())
    return bool(expired_in_line.update(owner=None, lease_expires=None))


def wrote(run: Run) -> tuple[str, str]:
    """The recorded text and thinking of a live run's answer; one statement, so both are of one moment."""
    recorded = list(
        Run.objects.filter(pk=run.pk)
        .order_by("pieces__offset")
        .values_list("answer__text", "answer__thinking", "pieces__kind", "pieces__text")
    )
    if not recorded:
        return "", ""
    text, thinking = recorded[0][0], recorded[0][1]
    for _, _, kind, piece in recorded:
        if kind == RunPiece.Kind.TEXT:
            text += piece
        elif kind == RunPiece.Kind.THINKING:
            thinking += piece
    return text, thinking


def _change(statement: str, **values: str | bool | UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return bool(cursor.rowcount)


def _driven(pk: UUID, owner: UUID, states: Sequence[State]) -> models.QuerySet[Run]:
    return Run.objects.filter(pk=pk, owner=owner, state__in=states)


def _as_it_was(run: Run, state: State) -> Ending:
    text, thinking = wrote(run)
    recorded = run.pieces.aggregate(tokens=Sum("tokens", default=0))["tokens"]
    return Ending(state, text, thinking, stats=run.answer.stats, usage={"output_tokens": recorded})


@transaction.atomic
def _end(runs: models.QuerySet[Run], ending: Ending) -> bool:
    """Exactly one caller ends a run: it stores the answer, empties the record and writes the ledger."""
    now = timezone.now()
    run = runs.select_for_update(of=("self",)).select_related("answer").first()
    if run is None:
        return False
    Run.objects.filter(pk=run.pk).update(state=ending.state, ended_at=now)
    Message.objects.filter(pk=run.answer_id).update(
        state=ending.state,
        text=ending.text,
        thinking=ending.thinking,
        error=ending.error,
        error_detail=ending.error_detail,
        error_until=ending.error_until,
        stats=ending.stats,
    )
    run.pieces.all().delete()
    Conversation.objects.filter(pk=run.conversation_id).update(version=F("version") + 1, updated_at=now)
    if ending.error in REFUSALS:
        return True
    row = Usage(
        run=run.pk,
        door=Usage.Door.BROWSER,
        user_id=run.asker_id,
        host=run.answer.host,
        model=run.model,
        outcome=ending.state,
        **ending.usage,
    )
    ledger.write(row)
    return True
