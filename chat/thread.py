"""What a page shows of a conversation: its turns, ready for the templates."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import get_language

from chat import hub
from chat.markdown import GrowingMarkdown, render
from chat.models import LIVE_STATES, Conversation, Message, Run, State
from chat.runs import state
from chat.runs.growing import Phase, Progress
from chat.tree import Tree, Versions
from chat.words import labels_in, prefix_of
from webui.inference.quotas import REFUSALS
from webui.text import language_of

TURNS_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Stats:
    """Ollama's own counters of an answer, and our clock. Seconds."""

    tokens: int
    tokens_per_s: float | None
    first_s: float | None
    queue_s: float | None
    where: str

    @classmethod
    def of(cls, message: Message) -> "Stats | None":
        counted = message.stats
        if not counted.get("tokens"):
            return None
        return cls(
            tokens=counted["tokens"],
            tokens_per_s=counted.get("tokens_per_s"),
            first_s=counted.get("first_s"),
            queue_s=counted.get("queue_s"),
            where=message.host,
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """One message with everything its templates ask for. ``state`` is a phase while the answer is live."""

    id: UUID
    conversation: UUID
    role: str
    state: str
    text: str
    at: datetime
    author: str
    model: str = ""
    host: str = ""
    practice: bool = False
    lang: str = ""
    error: str = ""
    error_detail: str = ""
    error_until: datetime | None = None
    stats: Stats | None = None
    versions: Versions | None = None
    run: UUID | None = None
    place: int | None = None
    about_s: float | None = None
    busy: bool = False
    since: datetime | None = None
    silent_since: datetime | None = None
    thought_s: float | None = None
    frozen_html: str = ""
    open_html: str = ""
    thinking_frozen_html: str = ""
    thinking_open_html: str = ""
    at_offset: int = 0
    thinking_at: int = 0
    resumed: bool = False
    can_continue: bool = False
    is_last: bool = False

    @property
    def live(self) -> bool:
        return self.run is not None

    @property
    def met_limit(self) -> bool:
        return self.error in REFUSALS

    @property
    def html(self) -> str:
        return self.frozen_html + self.open_html

    @property
    def thinking_html(self) -> str:
        return self.thinking_frozen_html + self.thinking_open_html


@dataclass(frozen=True, slots=True)
class Thread:
    """The turns of the branch that is shown; ``earlier`` is the first shown one when there are more above."""

    conversation: Conversation
    turns: list[Turn]
    earlier: UUID | None

    @property
    def answering(self) -> bool:
        return any(turn.live for turn in self.turns)


def thread_of(conversation: Conversation, *, before: UUID | None = None) -> Thread:
    """The last turns, or those before a message. Four queries, however long the conversation is."""
    tree = Tree(conversation.pk)
    path = tree.path_to(conversation.head_id)
    if before in path:
        path = path[: path.index(before)]
    shown = path[-TURNS_SHOWN:]
    turns = _turns(conversation, shown, tree, last=conversation.head_id)
    return Thread(conversation, turns, shown[0] if len(path) > len(shown) else None)


def turn_of(message: Message) -> Turn:
    """One message as it stands now."""
    conversation = message.conversation
    run = conversation.runs.live().select_related("answer").first() if message.state in LIVE_STATES else None
    if run is None and message.state in LIVE_STATES:  # it ended between the two queries
        message.refresh_from_db()
    versions = Tree(conversation.pk).versions_of(message.pk)
    return _turn(message, run, versions, is_last=message.pk == conversation.head_id)


def new_turns(question: Message, run: Run) -> list[Turn]:
    """A question just stored, and its answer that waits. No query."""
    waiting = {"state": Phase.QUEUED, "run": run.pk, "since": run.requested_at}
    return [_turn(question, None, None, is_last=False), _turn(run.answer, None, None, is_last=True, waiting=waiting)]


def _turns(conversation: Conversation, ids: list[UUID], tree: Tree, *, last: UUID | None) -> list[Turn]:
    messages, run = _read(conversation, ids)
    return [_turn(messages[id_], run, tree.versions_of(id_), is_last=id_ == last) for id_ in ids]


def _read(conversation: Conversation, ids: list[UUID]) -> tuple[dict[UUID, Message], Run | None]:
    """The messages, and the run that writes one of them, if any."""
    messages = Message.objects.select_related("author").in_bulk(ids)
    if not any(message.state in LIVE_STATES for message in messages.values()):
        return messages, None
    run = conversation.runs.live().select_related("answer").first()
    if run is None:  # it ended between the two queries
        messages = Message.objects.select_related("author").in_bulk(ids)
    return messages, run


def _turn(
    message: Message,
    run: Run | None,
    versions: Versions | None,
    *,
    is_last: bool,
    waiting: dict[str, Any] | None = None,
) -> Turn:
    if run and run.answer_id == message.pk:
        grown = _growing(message, run)
    elif message.is_question:
        grown = {"lang": language_of(message.text)}
    else:
        grown = waiting or _finished(message)
    return Turn(
        id=message.pk,
        conversation=message.conversation_id,
        role=message.role,
        text=message.text,
        at=message.created_at,
        author=message.author.name if message.author else "",
        model=message.model,
        versions=versions,
        is_last=is_last,
        resumed=bool(message.stats.get("resumed")),
        **{"state": message.state, "host": message.host, "practice": message.practice, **grown},
    )


def _finished(message: Message) -> dict[str, Any]:
    labels = labels_in(get_language() or "en")
    cut_off = message.state == State.DONE and message.stats.get("done_reason") == "length"
    return {
        "state": message.state if message.state not in LIVE_STATES else Phase.QUEUED,
        "frozen_html": render(message.text, labels=labels, prefix=prefix_of(message.pk)),
        "thinking_frozen_html": render(message.thinking, labels=labels, prefix=prefix_of(message.pk, thinking=True)),
        "thought_s": message.stats.get("thought_s"),
        "lang": language_of(message.text),
        "error": message.error,
        "error_detail": message.error_detail,
        "error_until": message.error_until,
        "stats": Stats.of(message),
        "can_continue": cut_off or message.state in {State.STOPPED, State.FAILED, State.INTERRUPTED},
    }


def _growing(message: Message, run: Run) -> dict[str, Any]:
    """The text so far comes from the process that drives the run, or else from the record."""
    answer = hub.answer_of(run.pk)
    text, thinking = (answer.text, answer.thinking) if answer else state.wrote(run)
    progress = answer.progress if answer else _recorded_progress(run, text, thinking)
    labels = labels_in(get_language() or "en")
    grown = GrowingMarkdown(labels=labels, prefix=prefix_of(message.pk), text=text)
    thought = GrowingMarkdown(labels=labels, prefix=prefix_of(message.pk, thinking=True), text=thinking)
    grown.flush()
    thought.flush()
    return {
        "state": progress.phase,
        "run": run.pk,
        "place": progress.place,
        "about_s": progress.about_s,
        "busy": progress.busy,
        "since": progress.since,
        "silent_since": progress.silent_since,
        "host": progress.host or message.host,
        "practice": progress.practice or message.practice,
        "thought_s": progress.thought_s,
        "frozen_html": grown.frozen_html,
        "open_html": grown.open_html,
        "thinking_frozen_html": thought.frozen_html,
        "thinking_open_html": thought.open_html,
        "at_offset": len(text),
        "thinking_at": len(thinking),
        "lang": language_of(text),
    }


def _recorded_progress(run: Run, text: str, thinking: str) -> Progress:
    """What the rows say of a run another process drives, or none does yet."""
    if run.state == State.QUEUED:
        return Progress(Phase.QUEUED, run.requested_at)
    if run.state == State.LOADING:
        return Progress(Phase.LOADING, run.started_at)
    if text:
        return Progress(Phase.WRITING, run.started_at)
    return Progress(Phase.THINKING if thinking else Phase.READING, run.started_at)
