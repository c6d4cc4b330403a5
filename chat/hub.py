"""Who looks at what in this process, and the live answers it drives. Delivers directly, on the event loop."""

import asyncio
from collections import defaultdict
from uuid import UUID

from chat.runs.growing import GrowingAnswer
from chat.viewer import Viewer

Topic = tuple[str, object]  # ("conversation", its id), ("person", their id) or EVERYBODY

EVERYBODY: Topic = ("everybody", None)  # who has a page of this process open

_loop: asyncio.AbstractEventLoop | None = None
_viewers: dict[Topic, set[Viewer]] = defaultdict(set)
_answers: dict[UUID, GrowingAnswer] = {}


def open_on(loop: asyncio.AbstractEventLoop) -> None:
    """Deliver on this loop from now on."""
    global _loop  # noqa: PLW0603  one loop per process
    _loop = loop


def conversation_topic(conversation: UUID) -> Topic:
    return "conversation", conversation


def person_topic(person: int) -> Topic:
    return "person", person


def join(viewer: Viewer, topic: Topic) -> None:
    _viewers[topic].add(viewer)


def leave(viewer: Viewer, topic: Topic) -> None:
    _viewers[topic].discard(viewer)
    if not _viewers[topic]:
        del _viewers[topic]


def languages(topic: Topic) -> set[str]:
    """The languages in which somebody looks at the topic. From any thread."""
    return {viewer.language for viewer in tuple(_viewers.get(topic, ()))}


def tell(topic: Topic, messages: dict[str, str]) -> None:
    """Tell everybody who looks at the topic, each in their language. From any thread."""
    if _loop and messages and not _loop.is_closed():
        _loop.call_soon_threadsafe(_deliver, topic, messages)


def _deliver(topic: Topic, messages: dict[str, str]) -> None:
    for viewer in _viewers.get(topic, ()):
        if message := messages.get(viewer.language):
            viewer.tell(message)


def begin(answer: GrowingAnswer) -> None:
    """A live answer starts in this process; whoever looks at its conversation follows it."""
    topic = conversation_topic(answer.conversation)

    def grew() -> None:
        for viewer in _viewers.get(topic, ()):
            viewer.notice(answer)

    answer.grew = grew
    _answers[answer.run] = answer
    grew()


def end(answer: GrowingAnswer) -> None:
    _answers.pop(answer.run, None)


def answer_of(run: UUID) -> GrowingAnswer | None:
    """The live answer of a run this process drives. From any thread."""
    return _answers.get(run)


def answers_in(conversation: UUID) -> list[GrowingAnswer]:
    return [answer for answer in _answers.values() if answer.conversation == conversation]
