"""People do what they do at the worst moment: from two devices, in mid-answer, with a laptop that sleeps."""

import asyncio
import re
import socket
import time
import uuid

import pytest

from tests.faults.portal import answer_in, until_state, until_text
from tests.faults.proxy import FaultProxy

pytestmark = [pytest.mark.server, pytest.mark.slow]

LET_GO_S = 17
TOO_SLOW, ABNORMAL = 4008, 1006
BUSY = "Wait for the answer, or stop it first."


def numbers(last: int) -> list[str]:
    return [str(number) for number in range(1, last + 1)]


def questions_in(database, conversation: str) -> list[str]:
    asked = database.execute(
        "select text from chat_message where conversation_id = %s and role = 'user' order by id", [conversation]
    )
    return [text for (text,) in asked]


async def test_two_thousand_words_at_once_are_complete_and_in_order(portal, alice, database, assert_consistent):
    """F18"""
    conversation = await alice.start("SECRET-WORD", "fault-fast")
    text = await until_state(database, conversation, "done")
    await alice.tabs[0].until(lambda tab: tab.state == "done")

    assert text.split() == numbers(2000)
    assert " ".join(numbers(2000)) in alice.tabs[0].text()
    await assert_consistent(portal)


async def test_an_answer_of_two_megabytes_is_recorded_by_appending(
    portal, practice, alice, database, assert_consistent, figure
):
    """F35"""
    practice.speed = 10
    before = database.execute("select pg_current_wal_lsn()").fetchone()[0]
    conversation = await alice.start("SECRET-WORD count to 330000", "fault-flood")
    text = await until_state(database, conversation, "done")
    written = database.execute("select pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", [before]).fetchone()[0]

    figure("written", f"{written / len(text):.1f} bytes for each of the text")
    assert len(text) > 2_000_000
    assert written < 4 * len(text)
    await alice.tabs[0].until(lambda tab: tab.state == "done")
    await assert_consistent(portal)


async def test_who_reads_too_slowly_is_let_go_and_slows_nobody(
    portal, practice, alice, database, assert_consistent, figure
):
    """F37: a peer with a small window, that takes nothing."""
    practice.speed = 200
    opened = await alice.start("SECRET-WORD first", "fault-flood")
    await until_state(database, opened, "done")
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.settimeout(10)
        peer.connect(("127.0.0.1", portal.port))
        async with alice.socket(opened, sock=peer, ping_interval=None) as lazy:
            lazy.transport.pause_reading()
            asked = time.monotonic()
            await alice.ask(opened, "SECRET-WORD count to 60000", "fault-flood")
            await until_state(database, opened, "done", within_s=10)
            took = time.monotonic() - asked
            await asyncio.sleep(LET_GO_S)
            lazy.transport.resume_reading()
            await asyncio.wait_for(lazy.wait_closed(), 5)
            assert lazy.close_code in {TOO_SLOW, ABNORMAL}
    text = answer_in(database, opened)[1]

    figure("done after", f"{took:.1f} s")
    assert text.split() == numbers(60000)
    await assert_consistent(portal)


async def test_a_laptop_that_slept_catches_up_within_two_seconds(
    portal, practice, alice, database, assert_consistent, figure
):
    """F45: nobody was told that the connection is of no use."""
    practice.speed = 20
    conversation = await alice.start("SECRET-WORD count to 1600", "practice-counting")
    async with FaultProxy(("127.0.0.1", portal.port)) as wire:
        tab = await alice.open(conversation, port=wire.port)
        await tab.until(lambda tab: len(tab.text()) > 200)
        wire.freeze()
        await asyncio.sleep(60)
        wire.thaw()
        woke = time.monotonic()
        said = (await until_text(database, conversation, 1)).split()[-2]
        await tab.until(lambda tab: f" {said} " in tab.text())
        took = time.monotonic() - woke
        figure("caught up after", f"{took:.1f} s")
        assert took <= 2
        practice.speed = None
        await until_state(database, conversation, "done")
        await tab.until(lambda tab: tab.state == "done")
        await assert_consistent(portal)


async def test_two_devices_that_ask_at_once_are_answered_one_by_one(
    portal, practice, alice, visit, shared, database, assert_consistent
):
    """F47, F46: one is asked, the other is told to wait, and both see the same."""
    practice.speed = 50
    phone = await visit(portal, shared.alices_cookies)
    conversation = await alice.start("SECRET-WORD first", "practice-counting")
    await until_state(database, conversation, "done")
    there = await phone.open(conversation)
    answers = await asyncio.gather(
        *(device.ask(conversation, f"SECRET-WORD count to 6{n}", "practice-counting")
          for n, device in enumerate([alice, phone]))
    )  # fmt: skip
    await there.until(lambda tab: tab.state == "writing")
    both = [await device.page(conversation) for device in (alice, phone)]
    await until_state(database, conversation, "done")

    assert sorted(answer.status_code for answer in answers) == [200, 302]
    assert BUSY in next(answer.text for answer in answers if answer.status_code == 200)
    assert all('name="stop"' in page or "/stop/" in page for page in both)
    assert len(questions_in(database, conversation)) == 2
    await assert_consistent(portal)


async def test_an_answer_that_grows_can_neither_be_asked_again_nor_its_question_changed(
    portal, practice, alice, database, assert_consistent
):
    """F53"""
    practice.speed = 50
    conversation = await alice.start("SECRET-WORD count to 150", "practice-counting")
    await until_text(database, conversation, 20)
    messages = database.execute("select id from chat_message where conversation_id = %s order by id", [conversation])
    (question,), (answer,) = messages
    changed = await alice.post(
        f"/c/{conversation}/m/{question}/edit/", text="SECRET-WORD other", client_key=str(uuid.uuid4())
    )
    again = await alice.post(f"/c/{conversation}/m/{answer}/again/")
    text = await until_state(database, conversation, "done")

    assert BUSY in changed.text
    assert again.status_code in {200, 302, 409}
    assert text.split() == numbers(150)
    assert questions_in(database, conversation) == ["SECRET-WORD count to 150"]
    assert database.execute(
        "select count(*) from chat_message where conversation_id = %s", [conversation]
    ).fetchone() == (2,)
    await assert_consistent(portal)


async def test_whose_session_ends_is_sent_to_the_door_and_their_answer_goes_on(
    portal, practice, visit, database, assert_consistent
):
    """F54: the draft is there when they are back."""
    alice = await visit(portal)
    practice.speed = 50
    conversation = await alice.start("SECRET-WORD count to 400", "practice-counting")
    await until_text(database, conversation, 20)
    await alice.post(f"/c/{conversation}/draft/", text="SECRET-WORD not sent yet")
    tab = alice.tabs[0]
    ended = time.monotonic()
    database.execute("delete from django_session where session_key = %s", [alice.session_key])
    await tab.until(lambda tab: tab.went_to)
    took = time.monotonic() - ended
    text = await until_state(database, conversation, "done")

    assert took <= 5
    assert tab.went_to == "/sign-in/"
    assert text.split() == numbers(400)
    assert (await alice.http.get(f"/c/{conversation}/")).headers["location"].startswith("/sign-in/?next=")
    back = await visit(portal)
    assert "SECRET-WORD not sent yet" in await back.page(conversation)
    await assert_consistent(portal)


async def test_a_question_may_be_a_megabyte_and_what_is_too_much_is_refused_with_the_limit(
    portal, alice, database, assert_consistent
):
    """F60"""
    long = "SECRET-WORD " + "茶" * 300_000
    conversation = await alice.start(long, "practice")
    await until_state(database, conversation, "done")
    refused = await alice.ask(conversation, "x" * (6 * 1024 * 1024 + 1), "practice")

    assert questions_in(database, conversation) == [long]
    assert refused.status_code == 413
    assert "6 MB" in refused.text
    await assert_consistent(portal)


@pytest.mark.parametrize(
    "text",
    [
        "SECRET-WORD مرحبا بالعالم",
        "SECRET-WORD \u202eevil\u202c \u2066x\u2069",
        "SECRET-WORD a\u200bb\u200dc\ufeffd",
        "SECRET-WORD Z" + "\u0301" * 500,
        "SECRET-WORD 👩‍👩‍👧‍👦 🏳️‍🌈",
        "SECRET-WORD " + "x" * 300,
        "SECRET-WORD 1\r\n2\t3",
    ],
    ids=["rtl", "bidi", "zero-width", "marks", "family", "long-word", "breaks"],
)
async def test_odd_text_is_stored_as_it_was_written(portal, alice, database, assert_consistent, text):
    """F61"""
    conversation = await alice.start(text, "practice")
    await until_state(database, conversation, "done")

    assert questions_in(database, conversation) == [text.replace("\r\n", "\n")]
    assert re.search(r'<div class="prose[^>]* dir="auto"[^>]*>\s*<p>SECRET-WORD', await alice.page(conversation))
    await assert_consistent(portal)


async def test_a_question_of_blanks_is_refused(portal, alice, database):
    """F61"""
    before = database.execute("select count(*) from chat_message").fetchone()
    refused = await alice.post("/c/", text=" \u3000\n ", model="practice", client_key=str(uuid.uuid4()))

    assert refused.status_code == 200
    assert database.execute("select count(*) from chat_message").fetchone() == before
