"""Who is next: one fair line per host and model. Pure; time comes in as an argument, in seconds.

Start-time fair queuing: every request is in a round, and nobody has two requests in the same round. So
somebody with twenty requests delays another's single one by at most one of theirs. Before that comes the
class: a person who looks at a page goes before a script, a script before the portal's own work; but a
minute of waiting lifts a request by a class, so that nobody waits for ever.
"""

from dataclasses import dataclass, field
from uuid import UUID

LIFTED_AFTER_S = 60.0
FRONT = -1  # the class of what an administrator moved to the front

# How much of the estimate the latest answer weighs; an answer's length varies a lot, so change slowly.
LATEST_WEIGHT = 0.2


@dataclass(slots=True)
class Ticket:
    """One request in a line: it waits until it is admitted, and then holds a slot."""

    id: UUID
    person: int
    rank: int = 0  # its class: 0 goes first
    joined: float = 0.0
    round: int = 0
    admitted: float | None = None


@dataclass(slots=True)
class Line:
    """The requests that wait for, or hold, the slots of one model on one host."""

    slots: int
    tickets: dict[UUID, Ticket] = field(default_factory=dict)
    reached: int = 0  # the latest round somebody was admitted from
    newest: dict[int, int] = field(default_factory=dict)  # person: the round of their newest request, while it counts
    usual_s: float | None = None  # how long somebody holds a slot

    def join(self, ticket: Ticket) -> None:
        """Stand in the present round, or in the first one without a request of the same person."""
        ticket.round = max(self.reached, self.newest.get(ticket.person, -1) + 1)
        self.newest[ticket.person] = ticket.round
        self.tickets[ticket.id] = ticket

    def leave(self, id_: UUID, now: float) -> None:
        """Give the slot back, or walk away while waiting. Leaving twice does nothing."""
        ticket = self.tickets.pop(id_, None)
        if ticket is None:
            return
        if ticket.admitted is not None:
            self._learn(now - ticket.admitted)
        elif self.newest.get(ticket.person) == ticket.round:  # whoever was not served does not pay
            self.newest[ticket.person] -= 1

    def move_to_front(self, id_: UUID) -> None:
        self.tickets[id_].rank = FRONT

    def admit(self, now: float) -> list[Ticket]:
        """Fill the free slots. Returns who holds one from now on."""
        free = max(0, self.slots - sum(ticket.admitted is not None for ticket in self.tickets.values()))
        admitted = self.in_order(now)[:free]
        for ticket in admitted:
            ticket.admitted = now
            self.reached = max(self.reached, ticket.round)
        self.newest = {person: round_ for person, round_ in self.newest.items() if round_ >= self.reached}
        return admitted

    def in_order(self, now: float) -> list[Ticket]:
        """The waiting ones, as they would be admitted."""
        waiting = [ticket for ticket in self.tickets.values() if ticket.admitted is None]
        return sorted(waiting, key=lambda ticket: (_class(ticket, now), ticket.round, ticket.joined, ticket.id))

    def about(self, place: int) -> float | None:
        """Seconds until the turn of ``place`` (1 is next), judging by how long answers took lately."""
        return None if self.usual_s is None else self.usual_s * place / self.slots

    def _learn(self, seconds: float) -> None:
        usual = self.usual_s
        self.usual_s = seconds if usual is None else usual + LATEST_WEIGHT * (seconds - usual)


def _class(ticket: Ticket, now: float) -> int:
    lifted = int((now - ticket.joined) / LIFTED_AFTER_S)
    return min(ticket.rank, max(0, ticket.rank - lifted))
