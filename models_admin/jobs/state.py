"""The states of a job, and the only statements that change them.

As with runs: every change is one conditional UPDATE, and whoever it answers with a row has made the change.
"""

from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from models_admin.jobs.progress import Figures
from models_admin.models import LIVE_STATES, Job, State
from webui.accounts.models import User

LEASE = timedelta(seconds=10)


@transaction.atomic
def claim(owner: UUID, limit: int) -> list[Job]:
    """Take jobs that nobody does: new ones, handed over ones, and those of a process that died."""
    now = timezone.now()
    free = (
        Job.objects.live()
        .select_for_update(skip_locked=True)
        .filter(Q(owner=None) | Q(lease_expires__lt=now))
        .order_by("requested_at")
        .values_list("pk", flat=True)[:limit]
    )
    ids = list(free)
    Job.objects.filter(pk__in=ids).update(state=State.RUNNING, owner=owner, lease_expires=now + LEASE, bytes_per_s=0)
    return list(Job.objects.filter(pk__in=ids).select_related("host").order_by("requested_at"))


@transaction.atomic
def record(owner: UUID, figures: dict[int, Figures]) -> dict[int, bool]:
    """Store how far our jobs are and renew their leases; whether somebody wants each of them cancelled.

    A job that is not in the answer is not ours any more.
    """
    expires = timezone.now() + LEASE
    for job, known in figures.items():
        _ours(job, owner).update(lease_expires=expires, **asdict(known))
    ours = Job.objects.live().filter(owner=owner, pk__in=figures)
    return {job: by is not None for job, by in ours.values_list("pk", "cancelled_by")}


def finish(job: int, owner: UUID, state: State, figures: Figures, *, error: str = "", detail: str = "") -> bool:
    """The last word of who does it."""
    ending = {"state": state, "error": error, "error_detail": detail, "ended_at": timezone.now()}
    return bool(_ours(job, owner).update(**ending, **{**asdict(figures), "bytes_per_s": 0}))


def hand_over(job: int, owner: UUID, figures: Figures) -> bool:
    """The process ends; the next one goes on at once."""
    back = {"state": State.QUEUED, "owner": None, "lease_expires": None}
    return bool(_ours(job, owner).update(**back, **{**asdict(figures), "bytes_per_s": 0}))


@transaction.atomic
def ask_to_cancel(job: Job, by: User) -> None:
    """Whoever does the job sees it; one that nobody does yet ends here."""
    Job.objects.live().filter(pk=job.pk, cancelled_by=None).update(cancelled_by=by)
    Job.objects.live().filter(pk=job.pk, owner=None).update(state=State.CANCELLED, ended_at=timezone.now())


def _ours(job: int, owner: UUID) -> models.QuerySet[Job]:
    return Job.objects.filter(pk=job, owner=owner, state__in=LIVE_STATES)
