"""Which jobs the pages show."""

from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from models_admin.models import LIVE_STATES, Job, State

SHOWN_FOR = timedelta(minutes=10)  # a job that did what was wanted
SEEN_IN_THE_TABLE = [Job.Kind.LOAD, Job.Kind.UNLOAD, Job.Kind.DELETE, Job.Kind.COPY]
HISTORY = 100


def shown() -> QuerySet[Job]:
    """What runs, what failed and was not dismissed, and what ended a moment ago unless the table shows it anyway."""
    recent = Q(ended_at__gt=timezone.now() - SHOWN_FOR) & ~Q(state=State.DONE, kind__in=SEEN_IN_THE_TABLE)
    wanted = Q(state__in=LIVE_STATES) | Q(state=State.FAILED) | recent
    return _with_people().filter(wanted, dismissed_at=None).order_by("-requested_at")


def history() -> QuerySet[Job]:
    """The latest jobs, whatever became of them."""
    return _with_people().order_by("-requested_at")[:HISTORY]


def _with_people() -> QuerySet[Job]:
    return Job.objects.select_related("host", "started_by", "cancelled_by")
