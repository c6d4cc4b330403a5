"""The tree of a conversation's messages: its branches and versions."""

from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from chat.models import Conversation, Message


@dataclass(frozen=True, slots=True)
class Versions:
    """Where a message stands among the versions with the same parent."""

    number: int
    count: int
    previous: UUID | None
    next: UUID | None


class Tree:
    """Ids only: light enough to be read whole for a conversation of any length. One query."""

    def __init__(self, conversation: UUID) -> None:
        self._parent: dict[UUID, UUID | None] = {}
        self._children: dict[UUID | None, list[UUID]] = defaultdict(list)
        rows = Message.objects.filter(conversation=conversation).order_by("pk").values_list("pk", "parent_id")
        for message, parent in rows:
            self._parent[message] = parent
            self._children[parent].append(message)

    def path_to(self, head: UUID | None) -> list[UUID]:
        """From the first message to ``head``."""
        path = []
        while head is not None:
            path.append(head)
            head = self._parent.get(head)
        return path[::-1]

    def versions_of(self, message: UUID) -> Versions | None:
        """None when there is only one."""
        all_ = self._children[self._parent.get(message)]
        if len(all_) < 2:  # noqa: PLR2004
            return None
        at = all_.index(message)
        return Versions(
            number=at + 1,
            count=len(all_),
            previous=all_[at - 1] if at > 0 else None,
            next=all_[at + 1] if at + 1 < len(all_) else None,
        )

    def newest_leaf(self, message: UUID) -> UUID:
        """Follow the newest version of everything below ``message``."""
        while below := self._children.get(message):
            message = below[-1]
        return message


def newest_leaf(message: Message) -> Message:
    """The end of the branch that ``message`` leads to."""
    leaf = Tree(message.conversation_id).newest_leaf(message.pk)
    return Message.objects.get(pk=leaf)


def path_of(conversation: Conversation, head: UUID) -> list[Message]:
    """The whole messages from the first to ``head``. Two queries."""
    ids = Tree(conversation.pk).path_to(head)
    found = Message.objects.in_bulk(ids)
    return [found[id_] for id_ in ids]
