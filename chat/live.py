"""What pages are told while they are open. The only module that knows the messages of the socket.

Parts are rendered once per language, never per viewer, with the same templates as the page, so that a stale
page plus what it was told equals a fresh page. To a page (JSON):

``{"part": html}``                    elements with ``hx-swap-oob`` for htmx; ``say`` is for screen readers
``{"added": message, "part": html}``  new turns that end with this answer, for a page that does not show it yet
``{"m": message, "state", "part"}``   an answer entered another phase or ended
``{"r": run, "t": track, "n": [from, to], "k": keep, "h": html, "z": frozen}``
                                      a live answer grew: of the open region's HTML keep the first ``k``
                                      UTF-16 units and append ``h``; its first ``z`` units are frozen from now
                                      on. Track 0 is the answer, 1 the thinking; from, to count code points
``{"r": run, "t": track, "snap": {"f": frozen, "o": open}, "n": to}``   a live answer as a whole
``{"go": url}``                       leave this page

From a page: ``{"watch": conversation or null, "lang", "seen": version, "list": stamp, "saving": whether it says that
saving is delayed}``, ``{"ack": characters}``, ``{"resync": run}``, ``{"there": true}``, which is answered by ``{}``.
Nothing is written over the socket.
"""

from concurrent.futures import Future
from functools import partial
from uuid import UUID

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from chat import hub, sidebar
from chat.models import Conversation, Message, Run, State
from chat.runs.growing import Phase
from chat.teller import tell_now, tell_soon
from chat.thread import Turn, new_turns, thread_of, turn_of
from webui.accounts.models import User

_saving_is_delayed = False  # whether what is written waits for the database; of this process

CLOSE_SIGNED_OUT = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_GONE = 4404
CLOSE_TOO_SLOW = 4008
CLOSE_RESTART = 4012


def turns_added(question: Message, run: Run) -> None:
    """A question and its answer at the end of the branch that is shown. At once: the answer's text comes after it."""
    tell_now(hub.conversation_topic(run.conversation_id), partial(_added_message, question, run))


def thread_changed(conversation: UUID) -> None:
    """Another branch is shown, or turns were replaced. At once, as above."""
    tell_now(hub.conversation_topic(conversation), partial(thread_message, conversation))


def answer_changed(conversation: UUID, message: UUID) -> None:
    """Somebody stopped an answer, or lets it go on. At once, as above."""
    tell_now(hub.conversation_topic(conversation), partial(answer_message, message))


def answer_progressed(conversation: UUID, message: UUID) -> Future[None] | None:
    """An answer entered another phase, or ended. The future is done when the pages were told."""
    return tell_soon(hub.conversation_topic(conversation), partial(answer_message, message))


def titled(conversation: UUID) -> None:
    tell_soon(hub.conversation_topic(conversation), partial(_title_message, conversation))


def gone(conversation: UUID) -> None:
    """The conversation was deleted; pages that show it leave."""
    tell_soon(hub.conversation_topic(conversation), partial(_gone_message, conversation))


def list_changed(person: int) -> None:
    """The person's list of conversations reads differently."""
    tell_soon(hub.person_topic(person), partial(_list_message_of, person))


def saving_changed(is_delayed: bool) -> None:  # noqa: FBT001  a callback
    """The database is away, or back. At once: what is told soon waits for it."""
    global _saving_is_delayed  # noqa: PLW0603  of this process
    _saving_is_delayed = is_delayed
    tell_now(hub.EVERYBODY, partial(_saving_message))


def saving_is_delayed() -> bool:
    return _saving_is_delayed


def saving_messages(seen: object) -> list[dict[str, object]]:
    """For a page that says so if ``seen``: nothing, or how it is."""
    return [] if bool(seen) == _saving_is_delayed else [_saving_message()]


def _saving_message() -> dict[str, object]:
    return {"part": render_to_string("chat/_saving.html", {"saving_is_delayed": _saving_is_delayed, "oob": True})}


def _added_message(question: Message, run: Run) -> dict[str, object]:
    context = {"turns": new_turns(question, run), "conversation": run.conversation, "answering": True}
    return {"added": str(run.answer_id), "part": render_to_string("chat/live/turns_added.html", context)}


def thread_message(conversation: UUID) -> dict[str, object]:
    """Everything that a page shows of a conversation, as a part."""
    shown = Conversation.objects.get(pk=conversation)
    thread = thread_of(shown)
    context = {
        "turns": thread.turns,
        "earlier": thread.earlier,
        "conversation": shown,
        "answering": thread.answering,
    }
    return {"part": render_to_string("chat/live/thread.html", context)}


def answer_message(message: UUID) -> dict[str, object]:
    """The parts of an answer that depend on its state; its text comes in frames."""
    answer = Message.objects.select_related("conversation", "author").get(pk=message)
    turn = turn_of(answer)
    answering = turn.live or answer.conversation.runs.live().exists()
    context = {"turn": turn, "conversation": answer.conversation, "answering": answering}
    return {
        "m": str(message),
        "state": turn.state,
        "lang": turn.lang,
        "run": str(turn.run) if turn.run else None,
        "v": answer.conversation.version,
        "part": render_to_string("chat/live/answer.html", context),
        "say": _said_of(turn),
    }


def _title_message(conversation: UUID) -> dict[str, object]:
    shown = Conversation.objects.get(pk=conversation)
    return {"part": render_to_string("chat/live/title.html", {"conversation": shown})}


def _gone_message(conversation: UUID) -> dict[str, object]:
    return {"go": after_deleting(conversation)}


def after_deleting(conversation: UUID) -> str:
    """The page that offers to take the deletion back."""
    return f"{reverse('chat:new')}?deleted={conversation}"


def list_messages(person: User, seen: object) -> list[dict[str, object]]:
    """For a page that shows the list with stamp ``seen``: nothing, or the list."""
    rows = sidebar.first_rows(person)
    return [] if rows.stamp == seen else [_list_message(rows)]


def conversation_messages(conversation: Conversation, seen: object) -> list[dict[str, object]]:
    """For a page that shows version ``seen``: the thread when that is old, else how a live answer stands."""
    if seen != str(conversation.version):
        return [thread_message(conversation.pk)]
    run = conversation.runs.live().first()
    if run is None:
        return []
    message = answer_message(run.answer_id)
    # It may have ended between the two queries; then no frame brings the rest of its text any more.
    return [message] if message["run"] else [thread_message(conversation.pk)]


def _list_message_of(person: int) -> dict[str, object]:
    return _list_message(sidebar.first_rows(User.objects.get(pk=person)))


def _list_message(rows: sidebar.Sidebar) -> dict[str, object]:
    return {"part": render_to_string("chat/live/sidebar.html", {"sidebar": rows})}


def _said_of(turn: Turn) -> str:
    """One short sentence for people who listen; each phase is said once."""
    model = turn.model
    match turn.state:
        case Phase.THINKING:
            return gettext("%(model)s is thinking") % {"model": model}
        case Phase.WRITING:
            return gettext("%(model)s is answering") % {"model": model}
        case State.DONE:
            words = len(turn.text.split())
            return ngettext("Answer finished, %(words)s word", "Answer finished, %(words)s words", words) % {
                "words": words
            }
        case State.STOPPED:
            return gettext("Stopped")
        case _:
            return ""
