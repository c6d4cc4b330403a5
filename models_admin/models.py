"""Jobs: what takes a host a while, and who wanted it."""

from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models

from webui.inference.models import Host


class State(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE_STATES = [State.QUEUED, State.RUNNING]


class JobQuerySet(models.QuerySet["Job"]):
    def live(self) -> Self:
        return self.filter(state__in=LIVE_STATES)


class Job(models.Model):
    """What takes a host a while, such as a pull. The server does it; pages only watch, and may come and go.

    ``model_key`` is the shortest name that means the same model. ``source`` is the model a copy is made of, and
    ``request`` what a new model is made from, or how long a loaded one is kept.
    """

    class Kind(models.TextChoices):
        PULL = "pull"
        PUSH = "push"
        COPY = "copy"
        CREATE = "create"
        DELETE = "delete"
        LOAD = "load"
        UNLOAD = "unload"

    class Phase(models.TextChoices):
        STARTING = "starting"
        MANIFEST = "manifest"
        MOVING = "moving"
        CHECKING = "checking"
        MAKING = "making"
        WRITING = "writing"
        LOADING = "loading"
        UNLOADING = "unloading"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    host = models.ForeignKey(Host, on_delete=models.SET_NULL, null=True, related_name="+")
    host_name = models.CharField(max_length=80, default="", db_default="")  # stays when the host is removed
    model = models.CharField(max_length=400)
    model_key = models.CharField(max_length=400)
    source = models.CharField(max_length=400, blank=True)
    request = models.JSONField(default=dict, blank=True)
    insecure = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    phase = models.CharField(max_length=10, choices=Phase.choices, default=Phase.STARTING)
    completed = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    bytes_per_s = models.BigIntegerField(default=0)
    error = models.CharField(max_length=20, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    cancelled_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    owner = models.UUIDField(null=True)
    lease_expires = models.DateTimeField(null=True)
    requested_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    dismissed_at = models.DateTimeField(null=True)

    objects: ClassVar[JobQuerySet] = JobQuerySet.as_manager()  # type: ignore[assignment]  # as_manager types

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_live_job_per_model_and_host",
                fields=["host", "model_key"],
                condition=models.Q(state__in=LIVE_STATES),
            ),
            models.CheckConstraint(
                name="an_ended_job_has_an_end",
                condition=models.Q(state__in=LIVE_STATES, ended_at=None)
                | (~models.Q(state__in=LIVE_STATES) & ~models.Q(ended_at=None)),
            ),
        ]
        indexes = [models.Index(fields=["-requested_at"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.model} on {self.host}: {self.state}"

    def save(self, *args: Any, **options: Any) -> None:
        if self.host and not self.host_name:
            self.host_name = self.host.name
        super().save(*args, **options)

    @property
    def place(self) -> Host:
        """Its host. Raises Host.DoesNotExist when that was removed; then the job has ended."""
        if self.host is None:
            raise Host.DoesNotExist
        return self.host

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES

    @property
    def percent(self) -> int | None:
        """How much of what is known so far is done; nothing while there are no bytes to count."""
        counts = self.total and self.phase in (self.Phase.STARTING, self.Phase.MANIFEST, self.Phase.MOVING)
        return min(100, self.completed * 100 // self.total) if counts or (self.total and not self.live) else None

    @property
    def left_s(self) -> int | None:
        """About how many seconds are left."""
        return (self.total - self.completed) // self.bytes_per_s if self.bytes_per_s > 0 else None
