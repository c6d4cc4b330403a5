"""Conversations as a tree of messages, and the runs that write the answers."""

from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from webui.accounts.models import User
from webui.ids import uuid7


class State(models.TextChoices):
    """Where an answer, and the run that writes it, stands. Live up to ``running``, final from ``done``."""

    QUEUED = "queued"
    LOADING = "loading"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


LIVE_STATES = [State.QUEUED, State.LOADING, State.RUNNING]
FINAL_STATES = [State.DONE, State.STOPPED, State.FAILED, State.INTERRUPTED]


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def owned_by(self, user: User) -> Self:
        """Also the deleted ones, which their owner may still restore."""
        return self.filter(owner=user)

    def deleted_by(self, user: User) -> Self:
        return self.owned_by(user).exclude(deleted_at=None)

    def visible_to(self, user: User) -> Self:
        """Every read of a conversation starts here, in pages and in sockets alike."""
        return self.owned_by(user).filter(deleted_at=None)


class Conversation(models.Model):
    """A person's talk with models. ``head`` is the last message of the branch that is shown."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations")
    title = models.CharField(max_length=200)
    model = models.CharField(max_length=400, blank=True)
    options = models.JSONField(default=dict, blank=True)
    head = models.ForeignKey("Message", on_delete=models.SET_NULL, null=True, related_name="+")
    version = models.PositiveBigIntegerField(default=1)  # grows with every change a page would show
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[ConversationQuerySet] = ConversationQuerySet.as_manager()  # type: ignore[assignment]  # as_manager types

    class Meta:
        indexes = [
            models.Index(fields=["owner", "-updated_at", "-id"], condition=Q(deleted_at=None), name="a_persons_list"),
        ]

    def __str__(self) -> str:
        return self.title


class MessageQuerySet(models.QuerySet["Message"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(conversation__owner=user, conversation__deleted_at=None)


class Message(models.Model):
    """A question or an answer. Versions of the same message share a parent."""

    class Role(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="children")
    role = models.CharField(max_length=9, choices=Role.choices)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    text = models.TextField(blank=True)
    thinking = models.TextField(blank=True)
    model = models.CharField(max_length=400, blank=True)
    host = models.CharField(max_length=80, blank=True)
    practice = models.BooleanField(default=False)
    state = models.CharField(max_length=11, choices=State.choices, default=State.DONE)
    error = models.CharField(max_length=20, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    error_until = models.DateTimeField(null=True, blank=True)  # when it is worth while to try again
    stats = models.JSONField(default=dict, blank=True)
    client_key = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[MessageQuerySet] = MessageQuerySet.as_manager()  # type: ignore[assignment]  # as_manager types

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_message_per_client_key", fields=["conversation", "client_key"]),
            models.CheckConstraint(
                name="a_question_is_complete",
                condition=Q(role="assistant") | Q(role="user", state=State.DONE),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.id}"

    @property
    def is_question(self) -> bool:
        return self.role == self.Role.USER

    @property
    def siblings(self) -> models.QuerySet["Message"]:
        """All versions, this one included."""
        return Message.objects.filter(conversation=self.conversation_id, parent=self.parent_id, role=self.role)


class RunQuerySet(models.QuerySet["Run"]):
    def live(self) -> Self:
        return self.filter(state__in=LIVE_STATES)


class Run(models.Model):
    """One execution of a model that writes one answer. It goes on when every tab is closed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="runs")
    answer = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="runs")
    asker = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    model = models.CharField(max_length=400)
    think = models.BooleanField(null=True)
    state = models.CharField(max_length=11, choices=State.choices, default=State.QUEUED)
    stop_requested = models.BooleanField(default=False)
    continues = models.BooleanField(default=False)  # goes on where the answer's text stops
    automatic = models.BooleanField(default=False)  # queued by the portal itself after an interruption
    owner = models.UUIDField(null=True)  # the process that drives it
    lease_expires = models.DateTimeField(null=True)
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects: ClassVar[RunQuerySet] = RunQuerySet.as_manager()  # type: ignore[assignment]  # as_manager types

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_live_run_per_conversation",
                fields=["conversation"],
                condition=Q(state__in=LIVE_STATES),
            ),
            models.CheckConstraint(
                name="ended_at_is_set_when_it_ended",
                condition=Q(state__in=LIVE_STATES, ended_at=None) | Q(state__in=FINAL_STATES, ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="what_started_has_an_owner",
                condition=~Q(state__in=[State.LOADING, State.RUNNING])
                | Q(owner__isnull=False, lease_expires__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["requested_at"], name="runs_in_line", condition=Q(state__in=LIVE_STATES)),
        ]

    def __str__(self) -> str:
        return f"run {self.id}: {self.state}"


class RunPiece(models.Model):
    """New text of a live answer, appended by the recorder and folded into the message when the run ends."""

    class Kind(models.TextChoices):
        TEXT = "text"
        THINKING = "thinking"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="pieces")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    offset = models.PositiveIntegerField()  # code points of this kind that the answer had before
    text = models.TextField()
    tokens = models.PositiveIntegerField(default=1, db_default=1)  # as a model counts: each piece of it is one

    class Meta:
        constraints = [models.UniqueConstraint(name="pieces_do_not_overlap", fields=["run", "kind", "offset"])]

    def __str__(self) -> str:
        return f"{self.kind} at {self.offset}"


class Draft(models.Model):
    """What a person has typed and not sent, per conversation; without one, for a new conversation."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts")
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, null=True, related_name="drafts")
    text = models.TextField()
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_draft_per_place", fields=["user", "conversation"], nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"draft of {self.user_id}"
