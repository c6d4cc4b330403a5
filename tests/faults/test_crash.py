"""The serving process dies, at the worst moments, or is asked to end."""

import asyncio
import contextlib
import resource
import signal
import socket
import time

import httpx
import pytest

from tests.faults.portal import answer_in, expire_leases, until_state, until_text

pytestmark = [pytest.mark.server]

DRAIN_S = 10
RESTARTING = 4012


async def test_kill_in_mid_answer_keeps_the_text_and_goes_on_by_itself(
    practice, portal, alice, database, assert_consistent
):
    """F01"""
    practice.speed = 100
    conversation = await alice.start("SECRET-WORD count to 300", "practice-counting")
    before = await until_text(database, conversation, 200)
    portal.kill()
    sent = practice.requests[-1].pieces_sent
    recorded = answer_in(database, conversation)[1]
    practice.speed = None
    expire_leases(database)
    await portal.start_again()
    text = await until_state(database, conversation, "done")

    assert recorded.startswith(before)
    assert sent - len(recorded.split()) <= 0.25 * 100 + 10
    assert text.split() == [str(number) for number in range(1, 301)]
    await assert_consistent(portal)


async def test_an_answer_that_cannot_go_on_by_itself_is_interrupted_and_offers_to_continue(
    practice, portal, alice, database, assert_consistent
):
    """F01, of a model that starts over instead of going on."""
    practice.speed = 100
    conversation = await alice.start("SECRET-WORD count to 500", "practice-no-prefill")
    before = await until_text(database, conversation, 40)
    portal.kill()
    expire_leases(database)
    await portal.start_again()
    text = await until_state(database, conversation, "interrupted")

    assert text.startswith(before)
    await assert_consistent(portal)
    assert "The answer was interrupted. What was written is kept. Continue" in alice.tabs[0].text()
    assert None in alice.tabs[0].close_codes or 1006 in alice.tabs[0].close_codes


async def test_kill_between_storing_the_question_and_asking_the_model(portal, alice, database, assert_consistent):
    """F02"""
    await portal.start_again(FAULT="after_prompt_commit")
    key = "0d5c7a1e-0000-4000-8000-00000000f02f"
    with pytest.raises(httpx.TransportError):
        await alice.start("SECRET-WORD why?", "practice", key)
    assert await portal.ended() == 70
    await portal.start_again()
    again = await alice.start("SECRET-WORD why?", "practice", key)
    await until_state(database, key, "done")

    assert again == key
    roles = database.execute("select role from chat_message where conversation_id = %s order by id", [key]).fetchall()
    assert roles == [("user",), ("assistant",)]
    await assert_consistent(portal)


async def test_kill_before_the_end_is_stored_loses_nothing_already_recorded(
    portal, alice, practice, database, assert_consistent
):
    """F03"""
    await portal.start_again(FAULT="before_final_write")
    practice.speed = 100
    conversation = await alice.start("SECRET-WORD count to 60", "practice-counting")
    assert await portal.ended() == 70
    recorded = answer_in(database, conversation)[1]
    expire_leases(database)
    await portal.start_again()
    text = await until_state(database, conversation, "done")

    assert len(recorded.split()) >= 60 - 0.25 * 100 - 10
    assert text.split() == [str(number) for number in range(1, 61)]
    await assert_consistent(portal)


@pytest.mark.slow
async def test_a_stop_that_nobody_can_follow_any_more_holds_when_the_lease_ends(
    practice, portal, alice, database, assert_consistent
):
    """F51: the process that wrote the answer is dead when somebody presses Stop."""
    practice.speed = 100
    conversation = await alice.start("SECRET-WORD count to 500", "practice-counting")
    await until_text(database, conversation, 40)
    portal.kill()
    await portal.start_again()
    await alice.stop(conversation)
    expire_leases(database)
    await until_state(database, conversation, "interrupted", "stopped")

    await assert_consistent(portal)
    assert answer_in(database, conversation)[0] in {"interrupted", "stopped"}
    assert not [request for request in practice.requests if request.ended is None]


@pytest.mark.slow
async def test_a_dead_process_is_noticed_by_its_lease_within_fifteen_seconds(
    practice, portal, alice, database, assert_consistent
):
    """F01, with nobody's help."""
    practice.speed = 50
    conversation = await alice.start("SECRET-WORD count to 500", "practice-no-prefill")
    await until_text(database, conversation, 40)
    portal.kill()
    died = time.monotonic()
    await portal.start_again()
    await until_state(database, conversation, "interrupted")

    assert time.monotonic() - died <= 15
    await assert_consistent(portal)


@pytest.mark.slow
async def test_under_twenty_streams_the_portal_ends_in_time_and_every_answer_is_complete(
    portal, practice, alice, database, slots, assert_consistent, figure
):
    """F04: what ends within the drain time ends there, and the rest is handed over."""
    slots(20)
    practice.speed = 20
    lengths = [80 if number % 2 else 400 for number in range(20)]
    conversations = [await alice.start(f"SECRET-WORD count to {length}", "practice-counting") for length in lengths]
    for conversation in conversations:
        await until_text(database, conversation, 30)
    began = time.monotonic()
    assert await portal.end() == 0
    took = time.monotonic() - began
    drained = [answer_in(database, conversation)[0] == "done" for conversation in conversations]
    practice.speed = None
    await portal.start_again()

    figure("ended after", f"{took:.1f} s")
    assert took <= DRAIN_S + 2
    assert drained == [length == 80 for length in lengths]
    for conversation, length in zip(conversations, lengths, strict=True):
        text = await until_state(database, conversation, "done")
        assert text.split() == [str(number) for number in range(1, length + 1)]
    await assert_consistent(portal)
    assert {tab.close_codes[0] for tab in alice.tabs} == {RESTARTING}


async def test_answers_that_end_while_the_portal_drains_are_complete(
    portal, practice, alice, database, assert_consistent
):
    """F04, of answers that need less than the drain time."""
    practice.speed = 100
    conversation = await alice.start("SECRET-WORD count to 100", "practice-counting")
    await until_text(database, conversation, 10)
    assert await portal.end() == 0
    assert answer_in(database, conversation)[0] == "done"
    await portal.start_again()

    await assert_consistent(portal)


@pytest.mark.slow
async def test_an_upload_that_is_half_sent_does_not_keep_the_portal_from_ending(
    portal, practice, alice, database, assert_consistent
):
    """F05"""
    practice.speed = 20
    conversation = await alice.start("SECRET-WORD count to 60", "practice-counting")
    await until_text(database, conversation, 10)
    with socket.create_connection(("127.0.0.1", portal.port)) as peer:
        peer.sendall(
            f"POST /c/ HTTP/1.1\r\nHost: localhost:{portal.port}\r\nContent-Length: 9000\r\n\r\ntext=".encode()
        )
        began = time.monotonic()
        assert await portal.end() == 0
        assert time.monotonic() - began <= DRAIN_S + 2
    assert answer_in(database, conversation)[0] == "done"
    await portal.start_again()
    await assert_consistent(portal)


@pytest.mark.slow
async def test_asking_twice_to_end_and_then_killing_is_a_crash_like_any_other(
    portal, practice, alice, database, assert_consistent
):
    """F06"""
    practice.speed = 20
    conversation = await alice.start("SECRET-WORD count to 400", "practice-counting")
    await until_text(database, conversation, 30)
    for _ in range(2):
        portal.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
    assert portal.is_running
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(4):
            await portal.ended()
    portal.kill()
    practice.speed = None
    await portal.start_again()
    text = await until_state(database, conversation, "done")

    assert text.split() == [str(number) for number in range(1, 401)]
    await assert_consistent(portal)


@pytest.mark.slow
async def test_a_log_that_cannot_grow_keeps_nobody_from_an_answer(portal, alice, database, assert_consistent):
    """F15: of what the portal itself writes into files there is nothing else."""
    limit = resource.prlimit(portal.process.pid, resource.RLIMIT_FSIZE)
    written = portal.log_path.stat().st_size
    resource.prlimit(portal.process.pid, resource.RLIMIT_FSIZE, (written, limit[1]))
    conversation = await alice.start("SECRET-WORD hello?", "practice")
    await until_state(database, conversation, "done")
    resource.prlimit(portal.process.pid, resource.RLIMIT_FSIZE, limit)

    assert portal.is_running
    await assert_consistent(portal)
