"""Who is next: one fair line per host and model. Pure; time comes in as an argument.

Every person has a queue of their own and the people take turns, so somebody with twenty requests delays
another's single one by at most one of theirs.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Ticket = TypeVar("Ticket")

# How much of the estimate the latest answer weighs; an answer's length varies a lot, so change slowly.
LATEST_WEIGHT = 0.2


@dataclass(slots=True)
class Line(Generic[Ticket]):
    """People waiting for, and requests holding, the slots of one model on one host."""

    slots: int
    _waiting: "OrderedDict[int, deque[Ticket]]" = field(default_factory=OrderedDict)
    _holding: dict[Ticket, float] = field(default_factory=dict)
    _usual_seconds: float | None = None

    def join(self, ticket: Ticket, person: int) -> None:
        """Stand at the end of one's own queue; someone new stands behind everybody else."""
        self._waiting.setdefault(person, deque()).append(ticket)

    def leave(self, ticket: Ticket, now: float) -> None:
        """Give the slot back, or walk away while waiting. Leaving twice does nothing."""
        began = self._holding.pop(ticket, None)
        if began is not None:
            self._learn(now - began)
            return
        for person, queue in list(self._waiting.items()):
            if ticket in queue:
                queue.remove(ticket)
            if not queue:
                del self._waiting[person]

    def admit(self, now: float) -> list[Ticket]:
        """Fill the free slots, one request of each person in turn. Returns who holds a slot from now on."""
        admitted = []
        while self._waiting and len(self._holding) < self.slots:
            person, queue = self._waiting.popitem(last=False)
            ticket = queue.popleft()
            if queue:
                self._waiting[person] = queue
            self._holding[ticket] = now
            admitted.append(ticket)
        return admitted

    def about(self, place: int) -> float | None:
        """Seconds until the turn of ``place`` (1 is next), judging by how long answers took lately."""
        return None if self._usual_seconds is None else self._usual_seconds * place / self.slots

    def __len__(self) -> int:
        """How many hold a slot or wait for one."""
        return len(self._holding) + sum(map(len, self._waiting.values()))

    def in_order(self) -> list[Ticket]:
        """The waiting tickets in the order they would be admitted."""
        queues = [list(queue) for queue in self._waiting.values()]
        rounds = max(map(len, queues), default=0)
        return [queue[turn] for turn in range(rounds) for queue in queues if turn < len(queue)]

    def _learn(self, seconds: float) -> None:
        usual = self._usual_seconds
        self._usual_seconds = seconds if usual is None else usual + LATEST_WEIGHT * (seconds - usual)
