"""Every write to a conversation: one function per thing a person can do."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from chat import live
from chat.models import Conversation, Draft, Message, Run, State
from chat.runs import driver, state
from chat.titles import title_from
from chat.tree import newest_leaf
from webui import faults
from webui.accounts.models import User


class AlreadyAnswering(Exception):
    """A conversation answers one question at a time."""


class NothingToContinue(Exception):
    """The answer is complete, or still being written."""


def start(*, owner: User, text: str, model: str, think: bool | None, client_key: UUID) -> Conversation:
    """Open a conversation with its first question. The key becomes its id: a repeated key opens it once."""
    try:
        return _start(owner=owner, text=text, model=model, think=think, client_key=client_key)
    except IntegrityError as error:
        if _constraint(error) != "chat_conversation_pkey":
            raise
        return Conversation.objects.owned_by(owner).get(pk=client_key)


@transaction.atomic
def _start(*, owner: User, text: str, model: str, think: bool | None, client_key: UUID) -> Conversation:
    conversation = Conversation(pk=client_key, owner=owner, title=title_from(text), model=model)
    conversation.save(force_insert=True)
    _ask(conversation=conversation, author=owner, text=text, model=model, think=think, client_key=client_key)
    Draft.objects.filter(user=owner, conversation=None).delete()
    _tell(partial(live.list_changed, owner.pk), driver.wake)
    return conversation


def ask(
    *, conversation: Conversation, author: User, text: str, model: str, think: bool | None, client_key: UUID
) -> Message:
    """Store a question, queue its answer, show both to everyone watching. A repeated key changes nothing."""
    try:
        return _ask_and_show(
            conversation=conversation,
            author=author,
            text=text,
            model=model,
            think=think,
            client_key=client_key,
        )
    except IntegrityError as error:
        if _constraint(error) != "one_message_per_client_key":
            raise
        return conversation.messages.get(client_key=client_key)


@transaction.atomic
def _ask_and_show(
    *, conversation: Conversation, author: User, text: str, model: str, think: bool | None, client_key: UUID
) -> Message:
    question, run = _ask(
        conversation=conversation, author=author, text=text, model=model, think=think, client_key=client_key
    )
    Draft.objects.filter(user=author, conversation=conversation).delete()
    _tell(
        partial(live.turns_added, question, run),
        driver.wake,
        partial(live.list_changed, conversation.owner_id),
    )
    return question


@transaction.atomic
def edit(*, question: Message, author: User, text: str, model: str, client_key: UUID) -> Message:
    """Send a question again in other words, as another version beside the first."""
    conversation = question.conversation
    if earlier := conversation.messages.filter(client_key=client_key).first():
        return earlier
    version, _ = _ask(
        conversation=conversation,
        author=author,
        text=text,
        model=model,
        think=_thinking_choice(conversation),
        client_key=client_key,
        parent=question.parent,
        beside=True,
    )
    _tell(partial(live.thread_changed, conversation.pk), driver.wake)
    return version


@transaction.atomic
def answer_again(*, answer: Message, asker: User, model: str = "") -> Message:
    """Write another version of an answer beside it."""
    conversation = answer.conversation
    model = model or conversation.model or answer.model
    another = _queue_answer(
        conversation=conversation,
        question=_question_of(answer),
        asker=asker,
        model=model,
        think=_thinking_choice(conversation),
    )
    _touch(conversation, head=another.answer)
    _tell(partial(live.thread_changed, conversation.pk), driver.wake)
    return another.answer


@transaction.atomic
def go_on(*, answer: Message, asker: User, automatic: bool = False) -> Run:
    """Let an unfinished answer go on where its text stops."""
    cut_off = answer.state == State.DONE and answer.stats.get("done_reason") == "length"
    if answer.is_question or not (cut_off or answer.state in {State.STOPPED, State.FAILED, State.INTERRUPTED}):
        raise NothingToContinue
    run = _queue_run(
        conversation=answer.conversation,
        answer=answer,
        asker=asker,
        model=answer.model,
        think=_thinking_choice(answer.conversation),
        continues=bool(answer.text),
        automatic=automatic,
    )
    kept = {"thinking": answer.thinking if answer.text else ""}
    stats = {**answer.stats, "continued": True, **({"resumed": True} if automatic else {})}
    no_error = {"error": "", "error_detail": "", "error_until": None}
    Message.objects.filter(pk=answer.pk).update(state=State.QUEUED, stats=stats, **no_error, **kept)
    _touch(answer.conversation)
    _tell(partial(live.answer_changed, answer.conversation_id, answer.pk), driver.wake)
    return run


def stop(*, conversation: Conversation) -> None:
    """Stop the answer that is being written, or waits for its turn; its text stays."""
    run = conversation.runs.live().select_related("answer").first()
    if run is None:
        return
    state.ask_to_stop(run)
    if state.stop_unclaimed(run):
        live.answer_changed(conversation.pk, run.answer_id)
    else:
        driver.stop(run.pk)


@transaction.atomic
def show_version(*, message: Message) -> None:
    """Show the branch that this version of a message leads to."""
    _touch(message.conversation, head=newest_leaf(message))
    _tell(partial(live.thread_changed, message.conversation_id))


@transaction.atomic
def rename(*, conversation: Conversation, title: str) -> None:
    Conversation.objects.filter(pk=conversation.pk).update(title=title, version=F("version") + 1)
    _tell(partial(live.titled, conversation.pk), partial(live.list_changed, conversation.owner_id))


@transaction.atomic
def delete(*, conversation: Conversation) -> None:
    """Take a conversation out of sight; it can be restored for a while."""
    stop(conversation=conversation)
    Conversation.objects.filter(pk=conversation.pk).update(deleted_at=timezone.now())
    _tell(partial(live.gone, conversation.pk), partial(live.list_changed, conversation.owner_id))


@transaction.atomic
def restore(*, conversation: Conversation) -> None:
    Conversation.objects.filter(pk=conversation.pk).update(deleted_at=None)
    _tell(partial(live.list_changed, conversation.owner_id))


def save_draft(*, user: User, conversation: Conversation | None, text: str) -> None:
    """Keep what is typed and not sent; nothing typed keeps nothing."""
    if text.strip():
        Draft.objects.update_or_create(user=user, conversation=conversation, defaults={"text": text})
    else:
        Draft.objects.filter(user=user, conversation=conversation).delete()


def _ask(
    *,
    conversation: Conversation,
    author: User,
    text: str,
    model: str,
    think: bool | None,
    client_key: UUID,
    parent: Message | None = None,
    beside: bool = False,
) -> tuple[Message, Run]:
    question = conversation.messages.create(
        role=Message.Role.USER,
        author=author,
        text=text,
        client_key=client_key,
        parent=parent if beside else conversation.head,
    )
    run = _queue_answer(conversation=conversation, question=question, asker=author, model=model, think=think)
    options = {**conversation.options, "think": think}
    _touch(conversation, head=run.answer, model=model, options=options)
    transaction.on_commit(partial(faults.here, "after_prompt_commit"))
    return question, run


def _queue_answer(
    *, conversation: Conversation, question: Message | None, asker: User, model: str, think: bool | None
) -> Run:
    answer = conversation.messages.create(role=Message.Role.ASSISTANT, parent=question, model=model, state=State.QUEUED)
    return _queue_run(conversation=conversation, answer=answer, asker=asker, model=model, think=think)


def _queue_run(*, conversation: Conversation, **facts: object) -> Run:
    try:
        return conversation.runs.create(**facts)
    except IntegrityError as error:
        if _constraint(error) != "one_live_run_per_conversation":
            raise
        raise AlreadyAnswering from error


def _touch(conversation: Conversation, **changes: object) -> None:
    """Change a conversation so that every page notices."""
    for name, value in changes.items():
        setattr(conversation, name, value)
    Conversation.objects.filter(pk=conversation.pk).update(
        version=F("version") + 1, updated_at=timezone.now(), **changes
    )


def _question_of(answer: Message) -> Message:
    if answer.parent is None or answer.is_question:
        raise NothingToContinue
    return answer.parent


def _thinking_choice(conversation: Conversation) -> bool | None:
    think = conversation.options.get("think")
    return think if isinstance(think, bool) else None


def _constraint(error: IntegrityError) -> str | None:
    """The name of the constraint that refused."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None)


def _tell(*tellings: Callable[[], None]) -> None:
    """Tell the pages, and the driver when there is a run for it, in this order and once the change is stored."""
    for telling in tellings:
        transaction.on_commit(telling)
