"""Somebody presses Stop."""

import asyncio
import random
import time

import pytest

from tests.faults.portal import answer_in, until_state, until_text

pytestmark = [pytest.mark.server, pytest.mark.slow]

AT_ONCE = 8
STOPS = 200
UPSTREAM_CLOSED_S = 1.0


async def test_the_request_at_the_host_ends_within_a_second_of_a_stop(
    portal, practice, alice, database, assert_consistent, figure
):
    """F50, in mid-answer: 200 of them, some at the same moment."""
    chance = random.Random(1)
    practice.speed = 50
    took = []
    for _ in range(STOPS // AT_ONCE):
        pauses = [chance.uniform(0, 0.5) for _ in range(AT_ONCE)]
        took += await asyncio.gather(*(stopped_after(pause, alice, practice, database) for pause in pauses))
    took.sort()

    figure("stops", str(len(took)))
    figure("p50", f"{1000 * took[len(took) // 2]:.0f} ms")
    figure("p99", f"{1000 * took[int(0.99 * len(took))]:.0f} ms")
    assert took[int(0.99 * len(took))] <= UPSTREAM_CLOSED_S
    await assert_consistent(portal)


async def stopped_after(pause: float, alice, practice, database) -> float:
    """How long after Stop the request is gone, of an answer that has begun."""
    known = len(practice.requests)
    # More tabs would have this process read their pages, and not look at the clock meanwhile.
    conversation = await alice.start(f"SECRET-WORD count to 2000 for {pause}", "practice-counting", tabs=1)
    await until_text(database, conversation, 1)
    (request,) = [each for each in practice.requests[known:] if str(pause) in each.body["messages"][-1]["content"]]
    await asyncio.sleep(pause)
    pressed = time.monotonic()
    await alice.stop(conversation)
    await practice.wait_for(lambda: request.ended)
    await until_state(database, conversation, "stopped")
    return request.ended - pressed


async def test_a_stop_that_meets_the_end_leaves_one_of_the_two(portal, practice, alice, database, assert_consistent):
    """F49: what it is called, the button agrees with, and it is counted once."""
    chance = random.Random(2)
    practice.speed = 200
    opened = [alice_stops(chance.uniform(0.05, 0.25), alice, database) for _ in range(100)]
    states = []
    while opened:
        states += await asyncio.gather(*opened[:5])
        del opened[:5]

    assert set(states) == {"stopped", "done"}
    await assert_consistent(portal)


async def alice_stops(pause: float, alice, database) -> str:
    conversation = await alice.start("SECRET-WORD count to 30", "practice-counting")
    await asyncio.sleep(pause)
    await alice.stop(conversation)
    await until_state(database, conversation, "stopped", "done")
    return answer_in(database, conversation)[0]
