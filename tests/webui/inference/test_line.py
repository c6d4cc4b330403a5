"""Whose turn it is."""

from hypothesis import given
from hypothesis import strategies as st

from webui.inference.line import Line


def line_with(*tickets: tuple[str, int], slots: int = 1) -> Line[str]:
    line: Line[str] = Line(slots)
    for ticket, person in tickets:
        line.join(ticket, person)
    return line


def everybody(line: Line[str]) -> list[str]:
    """The order in which the waiting are admitted when each leaves at once."""
    order = []
    while admitted := line.admit(now=0):
        order += admitted
        for ticket in admitted:
            line.leave(ticket, now=1)
    return order


def test_people_take_turns():
    line = line_with(("a1", 1), ("a2", 1), ("a3", 1), ("b1", 2), ("c1", 3), ("b2", 2))

    assert everybody(line) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_only_as_many_are_admitted_as_there_are_slots():
    line = line_with(("a1", 1), ("b1", 2), ("c1", 3), slots=2)

    assert line.admit(now=0) == ["a1", "b1"]
    assert line.admit(now=0) == []


def test_whoever_walks_away_while_waiting_is_not_admitted():
    line = line_with(("a1", 1), ("b1", 2))
    line.leave("a1", now=0)

    assert everybody(line) == ["b1"]


def test_leaving_twice_frees_one_slot():
    line = line_with(("a1", 1), ("b1", 2), ("c1", 3))
    line.admit(now=0)
    line.leave("a1", now=1)
    line.leave("a1", now=1)

    assert line.admit(now=1) == ["b1"]


def test_the_estimate_follows_how_long_answers_took():
    line = line_with(("a1", 1), ("b1", 2), slots=1)
    assert line.about(1) is None

    line.admit(now=0)
    line.leave("a1", now=10)

    assert line.about(1) == 10
    assert line.about(2) == 20


@given(st.lists(st.integers(1, 4), max_size=40), st.integers(1, 3))
def test_nobody_waits_for_more_than_one_request_of_anybody_else(people, slots):
    line: Line[int] = Line(slots)
    for ticket, person in enumerate(people):
        line.join(ticket, person)

    order = everybody(line)

    assert sorted(order) == list(range(len(people)))
    for person in set(people):
        first = next(at for at, ticket in enumerate(order) if people[ticket] == person)
        before = [people[ticket] for ticket in order[:first]]
        assert all(before.count(other) <= 1 for other in set(before))


@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "admit"]), st.integers(0, 9)), max_size=80))
def test_never_more_hold_a_slot_than_there_are(steps):
    line: Line[int] = Line(2)
    holding: set[int] = set()
    known: set[int] = set()
    for step, ticket in steps:
        if step == "join" and ticket not in known:
            line.join(ticket, ticket % 3)
            known.add(ticket)
        elif step == "leave":
            line.leave(ticket, now=1)
            holding.discard(ticket)
            known.discard(ticket)
        elif step == "admit":
            holding |= set(line.admit(now=0))
        assert len(holding) <= 2
