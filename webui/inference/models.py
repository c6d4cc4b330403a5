"""The Ollama hosts, the models found on them, and the ledger of what was used."""

from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import TextChoices
from django.db.models.functions import Now

from webui.accounts.models import AccessToken, Group


class HostQuerySet(models.QuerySet["Host"]):
    def serving(self) -> Self:
        """Hosts that new questions may be sent to."""
        return self.filter(enabled=True, draining=False)


class Host(models.Model):
    """An Ollama server. ``total_memory`` is typed in: Ollama reports only what models take."""

    class Health(TextChoices):  # in here mypy takes "models" for the models of a host
        UNKNOWN = "unknown"
        WELL = "well"
        UNREACHABLE = "unreachable"

    name = models.CharField(max_length=80, unique=True)
    base_url = models.CharField(max_length=300, unique=True)
    bearer = models.CharField(max_length=300, blank=True)
    verify_tls = models.BooleanField(default=True, db_default=True)
    authority = models.TextField(blank=True, default="", db_default="")  # a certificate of the company's own, PEM
    total_memory = models.BigIntegerField(null=True, blank=True)  # bytes
    slots = models.PositiveSmallIntegerField(default=1)
    practice = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    draining = models.BooleanField(default=False)
    health = models.CharField(max_length=12, choices=Health.choices, default=Health.UNKNOWN)
    version = models.CharField(max_length=40, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    took_ms = models.PositiveIntegerField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0, db_default=0)  # in vain since it answered last
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[HostQuerySet] = HostQuerySet.as_manager()  # type: ignore[assignment]  # as_manager types

    class Meta:
        constraints = [models.CheckConstraint(name="a_host_has_a_slot", condition=models.Q(slots__gte=1))]

    def __str__(self) -> str:
        return self.name


class InstalledModel(models.Model):
    """A model as last seen on a host. Ollama is the truth; this is what the pages show without asking it."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="models")
    name = models.CharField(max_length=400)
    digest = models.CharField(max_length=100)
    size = models.BigIntegerField(default=0)
    family = models.CharField(max_length=80, blank=True)
    parameter_size = models.CharField(max_length=20, blank=True)
    quantization = models.CharField(max_length=20, blank=True)
    capabilities = models.JSONField(default=list)
    context_length = models.PositiveIntegerField(default=0)
    loaded = models.BooleanField(default=False)
    # While it is loaded: bytes on the GPU and in all, the context in use, and when it leaves without questions.
    vram = models.BigIntegerField(default=0, db_default=0)
    memory = models.BigIntegerField(default=0, db_default=0)
    context_used = models.PositiveIntegerField(default=0, db_default=0)
    expires_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(name="one_row_per_model_and_host", fields=["host", "name"])]

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"


class Prefill(models.Model):
    """Whether a model goes on where a half-written answer stops. Asked once per digest, then remembered."""

    digest = models.CharField(max_length=100, primary_key=True)
    honoured = models.BooleanField()
    probed_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.digest[:12]}: {self.honoured}"


class Usage(models.Model):
    """One row per run, through whichever door it came."""

    class Door(models.TextChoices):
        BROWSER = "browser"
        API = "api"
        BACKGROUND = "background"

    class Outcome(models.TextChoices):
        DONE = "done"
        STOPPED = "stopped"
        FAILED = "failed"
        INTERRUPTED = "interrupted"

    run = models.UUIDField(unique=True)
    door = models.CharField(max_length=10, choices=Door.choices)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="usage")
    token = models.ForeignKey(AccessToken, on_delete=models.SET_NULL, null=True, db_index=False, related_name="usage")
    host = models.CharField(max_length=80, blank=True)
    model = models.CharField(max_length=400)
    prompt_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    queue_ms = models.FloatField(default=0)
    load_ms = models.FloatField(default=0)
    first_piece_ms = models.FloatField(null=True)
    total_ms = models.FloatField(default=0)
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "at"]),
            models.Index(fields=["at"]),
            models.Index(name="usage_of_a_token", fields=["token", "at"], condition=models.Q(token__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.model}: {self.output_tokens} tokens, {self.outcome}"


class WaitingLine(models.Model):
    """What is kept of the line of one model on one host; see ``line.py``. Its turns are rows of their own."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="lines")
    model = models.CharField(max_length=400)
    reached = models.BigIntegerField(default=0)
    newest = models.JSONField(default=dict)
    usual_s = models.FloatField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(name="one_line_per_model_and_host", fields=["host", "model"])]

    def __str__(self) -> str:
        return f"line for {self.model} on {self.host}"


class TurnQuerySet(models.QuerySet["Turn"]):
    def alive(self) -> Self:
        """Of processes that run."""
        return self.filter(lease_expires__gte=Now())


class Turn(models.Model):
    """A request that waits in a line, or holds one of its slots."""

    id = models.UUIDField(primary_key=True)
    line = models.ForeignKey(WaitingLine, on_delete=models.CASCADE, related_name="turns")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="turns")
    token = models.ForeignKey(AccessToken, on_delete=models.SET_NULL, null=True, db_index=False, related_name="turns")
    door = models.CharField(max_length=10, choices=Usage.Door.choices)
    rank = models.SmallIntegerField()
    round = models.BigIntegerField()
    joined_at = models.DateTimeField()
    admitted_at = models.DateTimeField(null=True)
    removed = models.BooleanField(default=False)  # an administrator ends it
    owner = models.UUIDField()  # the process in which it waits
    lease_expires = models.DateTimeField()

    objects: ClassVar[TurnQuerySet] = TurnQuerySet.as_manager()  # type: ignore[assignment]  # as_manager types

    class Meta:
        indexes = [models.Index(fields=["owner"], name="turns_of_a_process")]

    def __str__(self) -> str:
        return f"turn {self.id} in the {self.line}"


class LateRequests(models.Model):
    """When somebody, or one of their tokens, asked in the last minute; kept of those who have a limit.

    Whoever decides whether they may ask again holds this row, so that two processes cannot both let in the last one.
    """

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+")
    token = models.ForeignKey(AccessToken, on_delete=models.CASCADE, null=True, db_index=False, related_name="+")
    at = models.JSONField(default=list)  # seconds, the earliest first

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_row_per_quota", fields=["person", "token"], nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return f"requests of {self.token or self.person}"


class ModelAccess(models.Model):
    """Who may use a model, on whatever host. Without a row everybody may. ``key`` is the shortest name."""

    class Audience(models.TextChoices):
        EVERYONE = "everyone"
        GROUPS = "groups"
        ADMINISTRATORS = "administrators"

    key = models.CharField(max_length=400, unique=True)
    audience = models.CharField(max_length=14, choices=Audience.choices, default=Audience.EVERYONE)
    groups: "models.ManyToManyField[Group, models.Model]" = models.ManyToManyField(Group, related_name="+")

    def __str__(self) -> str:
        return f"{self.key}: {self.audience}"


class DefaultModel(models.Model):
    """What somebody talks with who has not chosen yet: of a group, or (without one) of the portal."""

    key = models.CharField(max_length=400)
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_default_per_group", fields=["group"], nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return f"{self.group or 'everyone'}: {self.key}"


class ModelPolicy(models.Model):
    """How a model is asked, whoever asks: what only operators set, and what holds where nobody says otherwise."""

    key = models.CharField(max_length=400, unique=True)
    num_ctx = models.PositiveIntegerField(null=True)
    num_gpu = models.IntegerField(null=True)
    main_gpu = models.IntegerField(null=True)
    keep_alive = models.CharField(max_length=20, blank=True)
    options = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return f"policy of {self.key}"
