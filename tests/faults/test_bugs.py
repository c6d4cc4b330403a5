"""Errors of ours, where everybody's answers depend on us."""

import asyncio
import re

import pytest

from tests.faults.portal import until_state

pytestmark = [pytest.mark.server, pytest.mark.slow]


ENDED_RUNS = "select 1 from chat_run where conversation_id = %s and state = 'interrupted'"


async def test_a_bug_in_mid_answer_ends_it_with_a_number_that_the_log_knows(portal, alice, database, assert_consistent):
    """F63"""
    await portal.start_again(FAULT="in_mid_answer:raise")
    conversation = await alice.start("SECRET-WORD count to 60", "practice-counting")
    await until_state(database, conversation, "failed")
    await alice.tabs[0].until(lambda tab: tab.state == "failed")

    shown = alice.tabs[0].text()
    found = re.search(r"Something broke on the server The text above is kept\. Number of the error: (\w+)", shown)
    assert portal.log.count(f"error {found[1]} in run") == 1
    await assert_consistent(portal)


async def test_a_bug_where_an_ending_is_stored_leaves_no_answer_stuck(portal, alice, database, assert_consistent):
    """F63: nobody renews its lease any more, so a sweep ends it, and lets it go on."""
    await portal.start_again(FAULT="before_final_write:raise")
    conversation = await alice.start("SECRET-WORD count to 60", "practice-counting")
    async with asyncio.timeout(20):
        while not database.execute(ENDED_RUNS, [conversation]).fetchall():
            await asyncio.sleep(0.1)
    await portal.start_again()
    text = await until_state(database, conversation, "done")

    assert text.split() == [str(number) for number in range(1, 61)]
    await assert_consistent(portal)


async def test_a_loop_that_stands_still_for_three_seconds_loses_nothing(
    portal, practice, alice, database, assert_consistent
):
    """F64: leases outlive it, sockets too, and the log names the place."""
    await portal.start_again(FAULT="in_mid_answer:block")
    practice.speed = 50
    conversation = await alice.start("SECRET-WORD count to 300", "practice-counting")
    text = await until_state(database, conversation, "done")

    assert text.split() == [str(number) for number in range(1, 301)]
    assert alice.tabs[0].close_codes == []
    runs = database.execute("select count(*) from chat_run where conversation_id = %s", [conversation])
    assert runs.fetchone() == (1,)
    assert re.search(r"the loop stands still.*in _block", portal.log)
    await assert_consistent(portal)
