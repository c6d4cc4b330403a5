"""Whose turn it is."""

import itertools
import random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from webui.inference.line import LIFTED_AFTER_S, Line, Ticket

PAGE, SCRIPT, BACKGROUND = range(3)


def ticket(number: int, person: int, *, rank: int = PAGE, joined: float = 0) -> Ticket:
    return Ticket(UUID(int=number), person, rank, joined)


def line_with(*people: int, slots: int = 1) -> Line:
    """A line where these people asked in this order."""
    line = Line(slots)
    for number, person in enumerate(people):
        line.join(ticket(number, person, joined=number / 1000))
    return line


def served(line: Line, now: float = 1) -> list[Ticket]:
    """The order in which the waiting are admitted when each leaves at once."""
    order = []
    while admitted := line.admit(now):
        order += admitted
        for each in admitted:
            line.leave(each.id, now)
    return order


def people(tickets: list[Ticket]) -> list[int]:
    return [each.person for each in tickets]


def test_people_take_turns():
    assert people(served(line_with(1, 1, 2, 3, 2, 1))) == [1, 2, 3, 1, 2, 1]


def test_twenty_requests_delay_anothers_single_one_by_one_of_them():
    line = line_with(*[1] * 20)
    line.admit(now=0)
    line.join(ticket(100, 2, joined=5))

    assert people(line.in_order(now=6))[0] == 2


def test_whoever_comes_back_after_each_answer_does_not_pass_those_who_wait():
    line = line_with(1, 1, 1)
    order = []
    for number in range(100, 104):
        line.join(ticket(number, 2, joined=number))
        (admitted,) = line.admit(now=number)
        order.append(admitted.person)
        line.leave(admitted.id, now=number)

    assert order == [1, 2, 1, 2]


def test_only_as_many_are_admitted_as_there_are_slots():
    line = line_with(1, 2, 3, slots=2)

    assert people(line.admit(now=0)) == [1, 2]
    assert line.admit(now=0) == []


def test_fewer_slots_than_are_held_admit_nobody():
    line = line_with(1, 2, 3, slots=2)
    line.admit(now=0)
    line.slots = 1

    line.leave(UUID(int=0), now=1)

    assert line.admit(now=1) == []


def test_whoever_walks_away_while_waiting_is_not_admitted():
    line = line_with(1, 2)
    line.leave(UUID(int=0), now=0)

    assert people(served(line)) == [2]


def test_whoever_walks_away_and_asks_again_stands_where_they_stood():
    line = line_with(1, 2, 2, 3)
    line.leave(UUID(int=2), now=0)
    line.join(ticket(9, 2, joined=1))

    assert people(served(line)) == [1, 2, 3, 2]


def test_leaving_twice_frees_one_slot():
    line = line_with(1, 2, 3)
    line.admit(now=0)
    line.leave(UUID(int=0), now=1)
    line.leave(UUID(int=0), now=1)

    assert people(line.admit(now=1)) == [2]


def test_pages_go_before_scripts_and_scripts_before_the_portals_own_work():
    line = Line(slots=1)
    for number, rank in enumerate((BACKGROUND, SCRIPT, PAGE)):
        line.join(ticket(number, number, rank=rank))

    assert [each.rank for each in served(line)] == [PAGE, SCRIPT, BACKGROUND]


def test_a_minute_of_waiting_lifts_a_request_by_a_class():
    line = Line(slots=1)
    line.join(ticket(1, 1, rank=SCRIPT, joined=0))
    line.join(ticket(2, 2, rank=PAGE, joined=LIFTED_AFTER_S - 1))

    assert people(line.in_order(now=LIFTED_AFTER_S - 1)) == [2, 1]
    assert people(line.in_order(now=LIFTED_AFTER_S)) == [1, 2]


def test_waiting_lifts_nobody_over_the_first_class():
    line = line_with(*[1] * 20)
    line.admit(now=0)
    late = 100 * LIFTED_AFTER_S
    line.join(ticket(100, 2, joined=late))

    assert people(line.in_order(now=late))[0] == 2


def test_what_was_moved_to_the_front_is_next():
    line = line_with(1, 2, 3, 3)
    line.move_to_front(UUID(int=3))

    assert served(line)[0].id == UUID(int=3)


def test_the_estimate_follows_how_long_answers_took():
    line = line_with(1, 2)
    assert line.about(1) is None

    line.admit(now=0)
    line.leave(UUID(int=0), now=10)

    assert line.about(1) == 10
    assert line.about(2) == 20


@given(st.lists(st.integers(1, 4), max_size=40), st.integers(1, 3))
def test_nobody_waits_for_more_than_one_request_of_anybody_else(asked, slots):
    order = people(served(line_with(*asked, slots=slots)))

    assert sorted(order) == sorted(asked)
    for person in set(asked):
        before = order[: order.index(person)]
        assert all(before.count(other) <= 1 for other in set(before))


@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "admit"]), st.integers(0, 9)), max_size=80))
def test_never_more_hold_a_slot_than_there_are(steps):
    line = Line(slots=2)
    for now, (step, number) in enumerate(steps):
        if step == "join" and UUID(int=number) not in line.tickets:
            line.join(ticket(number, number % 3, joined=now))
        elif step == "leave":
            line.leave(UUID(int=number), now=now)
        elif step == "admit":
            line.admit(now=now)
        assert sum(each.admitted is not None for each in line.tickets.values()) <= 2


def test_nobody_starves_in_a_thousand_random_schedules():
    """Six people of all classes ask again as soon as they were answered, and more at random moments."""
    for seed in range(1000):
        longest_wait = _longest_wait(random.Random(seed))
        # Two lifts, then six people with at most two requests each go before, of 10 s at most.
        assert longest_wait <= 2 * LIFTED_AFTER_S + 6 * 2 * 10, f"seed {seed}"


def _longest_wait(chance: random.Random) -> float:
    line, now, longest, numbers = Line(slots=1), 0.0, 0.0, itertools.count()
    ranks = [chance.choice((PAGE, SCRIPT, BACKGROUND)) for _ in range(6)]
    ends: dict[UUID, float] = {}
    for _ in range(80):
        for person, rank in enumerate(ranks):
            open_ = sum(each.person == person for each in line.tickets.values())
            if open_ == 0 or (open_ < 2 and chance.random() < 0.3):
                line.join(ticket(next(numbers), person, rank=rank, joined=now))
        for each in line.admit(now):
            longest = max(longest, now - each.joined)
            ends[each.id] = now + chance.uniform(1, 10)
        now = min(ends.values())
        for id_ in [id_ for id_, end in ends.items() if end <= now]:
            line.leave(id_, now)
            del ends[id_]
    return max([longest, *(now - each.joined for each in line.in_order(now))])
