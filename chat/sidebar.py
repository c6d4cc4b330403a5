"""A person's list of conversations, by how long ago they were last touched."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import blake2s
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from chat.models import Conversation, ConversationQuerySet, Run
from webui.accounts.models import User
from webui.text import language_of

ROWS = 50


@dataclass(frozen=True, slots=True)
class Row:
    id: UUID
    title: str
    live: bool
    lang: str


@dataclass(frozen=True, slots=True)
class Group:
    """``key``: today, yesterday, week, month or older."""

    key: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Sidebar:
    """``more`` is where the next rows begin, if there are any: give it to ``rows_before``."""

    groups: list[Group]
    more: str | None

    @property
    def stamp(self) -> str:
        """Differs when what is shown differs."""
        return blake2s(repr(self.groups).encode(), digest_size=8).hexdigest()


def first_rows(person: User) -> Sidebar:
    """The newest conversations. One query."""
    return _sidebar(Conversation.objects.visible_to(person))


def rows_before(person: User, cursor: str) -> Sidebar:
    """The conversations after those already shown. Raises ValueError for a cursor that is none of ours."""
    moment, _, pk = cursor.partition("_")
    at, id_ = datetime.fromisoformat(moment), UUID(pk)
    if at.utcoffset() != timedelta():  # we write them in UTC; PostgreSQL does not take every offset that Python does
        raise ValueError(cursor)
    older = Q(updated_at__lt=at) | Q(updated_at=at, pk__lt=id_)
    return _sidebar(Conversation.objects.visible_to(person).filter(older))


def _sidebar(conversations: ConversationQuerySet) -> Sidebar:
    live = Run.objects.live().filter(conversation=OuterRef("pk"))
    found = list(
        conversations.annotate(live=Exists(live))
        .order_by("-updated_at", "-pk")
        .only("pk", "title", "updated_at")[: ROWS + 1]
    )
    shown = found[:ROWS]
    more = f"{shown[-1].updated_at.isoformat()}_{shown[-1].pk}" if len(found) > ROWS else None
    return Sidebar(_grouped(shown), more)


def _grouped(conversations: list[Conversation]) -> list[Group]:
    today = timezone.localdate()
    groups: dict[str, list[Row]] = {}
    for conversation in conversations:
        key = _age(timezone.localdate(conversation.updated_at), today)
        row = Row(conversation.pk, conversation.title, conversation.live, language_of(conversation.title))  # type: ignore[attr-defined]
        groups.setdefault(key, []).append(row)
    return [Group(key, rows) for key, rows in groups.items()]


def _age(day: date, today: date) -> str:
    if day >= today:
        return "today"
    if day == today - timedelta(days=1):
        return "yesterday"
    if day > today - timedelta(days=8):
        return "week"
    return "month" if day > today - timedelta(days=31) else "older"
