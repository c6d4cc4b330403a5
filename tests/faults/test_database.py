"""The database goes away, is slow, full or of another time."""

import asyncio
import json
import random
import resource
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.faults.portal import MIB, PATIENCE_S, add_token, until_state, until_text

pytestmark = [pytest.mark.server, pytest.mark.slow]

DELAYED = "Saving is delayed. Nothing is lost"
AT_ONCE_S = 5


def numbers(last: int) -> list[str]:
    return [str(number) for number in range(1, last + 1)]


async def test_an_answer_goes_on_while_the_database_is_away_and_is_stored_afterwards(
    portal, practice, alice, database, postgres, assert_consistent
):
    """F08"""
    practice.speed = 50
    conversation = await alice.start("SECRET-WORD count to 400", "practice-counting")
    await until_text(database, conversation, 40)
    tab = alice.tabs[0]
    await asyncio.to_thread(postgres.stop)
    await tab.until(lambda tab: DELAYED in tab.text("saving"), within_s=3)
    seen = len(tab.text())
    refused = await alice.ask(conversation, "SECRET-WORD again?", "practice")
    await tab.until(lambda tab: len(tab.text()) > seen)
    await asyncio.to_thread(postgres.start)
    await tab.until(lambda tab: not tab.text("saving"), within_s=3)
    with portal.database() as back:
        text = await until_state(back, conversation, "done")

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "5"
    assert "The database cannot do this at the moment" in refused.text
    assert text.split() == numbers(400)
    await assert_consistent(portal)
    assert tab.close_codes == []


async def test_a_script_hears_all_of_its_answer_while_the_database_is_away(portal, practice, database, postgres):
    """F08"""
    practice.speed = 50
    headers = {"Authorization": f"Bearer {add_token(database, 'alice')}"}
    body = {"model": "practice-counting", "messages": [{"role": "user", "content": "count to 100"}]}
    script = httpx.AsyncClient(base_url=portal.url, headers=headers, timeout=PATIENCE_S)
    async with script, script.stream("POST", "/api/chat", json=body) as answer:
        lines = answer.aiter_lines()
        heard = [await anext(lines)]
        await asyncio.to_thread(postgres.stop)
        heard += [line async for line in lines]
        refused = await script.post("/api/chat", json=body)

    assert "".join(json.loads(line)["message"]["content"] for line in heard).split() == numbers(100)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json() == {"error": "the portal cannot reach its database"}


async def test_after_a_minute_without_database_everything_is_found_again_at_once(
    portal, practice, alice, database, postgres, assert_consistent, figure
):
    """F09"""
    practice.speed = 20
    in_midst = await alice.start("SECRET-WORD count to 1600", "practice-counting")
    ended = await alice.start("SECRET-WORD count to 400", "practice-counting")
    for conversation in (in_midst, ended):
        await until_text(database, conversation, 20)
    await asyncio.to_thread(postgres.stop)
    asked = time.monotonic()
    refused = await alice.http.get("/")
    refused_s = time.monotonic() - asked
    await asyncio.sleep(60 - refused_s)
    await asyncio.to_thread(postgres.start)
    back_at = time.monotonic()
    while (await alice.http.get("/")).status_code != 200:
        await asyncio.sleep(0.1)
    back_s = time.monotonic() - back_at
    practice.speed = None
    with portal.database() as back:
        texts = [await until_state(back, conversation, "done") for conversation in (in_midst, ended)]

    figure("a page was refused after", f"{refused_s:.1f} s")
    figure("served again after", f"{back_s:.1f} s")
    assert refused.status_code == 503
    assert max(refused_s, back_s) <= AT_ONCE_S
    assert [text.split() for text in texts] == [numbers(1600), numbers(400)]
    await assert_consistent(portal)


async def test_what_cannot_be_kept_in_memory_ends_the_answer_and_says_why(
    portal, practice, alice, database, postgres, assert_consistent
):
    """F09, above the limit: the text up to it is stored when the database is back."""
    practice.speed = 20
    conversation = await alice.start("SECRET-WORD count to 1600000", "fault-flood")
    await until_text(database, conversation, 1)
    await asyncio.to_thread(postgres.stop)
    await alice.tabs[0].until(lambda tab: DELAYED in tab.text("saving"), within_s=3)
    practice.speed = None
    await practice.wait_for(lambda: practice.requests[-1].ended, within_s=20)
    await asyncio.to_thread(postgres.start)
    with portal.database() as back:
        text = await until_state(back, conversation, "failed")

    assert len(text) > 3_500_000
    await alice.tabs[0].until(lambda tab: tab.state == "failed")
    shown = alice.tabs[0].text()
    assert "The answer could not be saved any more The text above is kept. The database was away" in shown
    await assert_consistent(portal)


async def test_nobody_notices_that_connections_to_the_database_are_cut(
    portal, practice, alice, database, assert_consistent
):
    """F10"""
    practice.speed = 50
    conversation = await alice.start("SECRET-WORD count to 300", "practice-counting")
    await until_text(database, conversation, 40)
    tab = alice.tabs[0]
    for _ in range(3):
        database.execute("select pg_terminate_backend(pid) from pg_stat_activity "
                         "where pid <> pg_backend_pid() and backend_type = 'client backend'")  # fmt: skip
        pages = await asyncio.gather(*(alice.http.get(f"/c/{conversation}/") for _ in range(8)))
        assert {page.status_code for page in pages} == {200}
        await asyncio.sleep(0.5)
    text = await until_state(database, conversation, "done")

    assert text.split() == numbers(300)
    assert tab.close_codes == []
    assert not [told for told in tab.said if DELAYED in told.get("part", "")]
    await assert_consistent(portal)


async def test_what_waits_for_a_lock_is_refused_in_time_and_stored_not_at_all(
    portal, practice, alice, database, assert_consistent
):
    """F11: for others everything goes on."""
    practice.speed = 50
    conversation = await alice.start("SECRET-WORD count to 400", "practice-counting")
    await until_text(database, conversation, 40)
    other = await alice.start("SECRET-WORD short", "practice")
    await until_state(database, other, "done")
    with portal.database() as holder:
        holder.execute("begin")
        holder.execute("lock table chat_message in exclusive mode")
        asked = time.monotonic()
        refused = asyncio.create_task(alice.ask(other, "SECRET-WORD waits", "practice", str(uuid.uuid4())))
        seen = len(await until_text(database, conversation, 1))
        await until_text(database, conversation, seen + 40)
        page = await alice.http.get(f"/c/{other}/")
        refused = await refused
        took = time.monotonic() - asked
        holder.execute("rollback")
    text = await until_state(database, conversation, "done")

    assert page.status_code == 200
    assert refused.status_code == 503
    assert took <= 6
    assert text.split() == numbers(400)
    assert database.execute(
        "select count(*) from chat_message where conversation_id = %s and role = 'user'", [other]
    ).fetchone() == (1,)
    await assert_consistent(portal)


@pytest.fixture
async def clock(portal, tmp_path):
    """``clock(3600)``: the portal's clock is an hour fast from now on. The database's stays right."""
    file = tmp_path / "seconds"
    file.write_text("0")
    await portal.start_again(PYTHONPATH=str(Path(__file__).parent / "moved_clock"), MOVED_CLOCK=str(file))
    yield lambda seconds: file.write_text(str(seconds))
    with portal.database() as database:  # what is of the future would be counted by the tests that follow
        database.execute("update inference_usage set at = now() where at > now()")


async def test_a_clock_that_jumps_an_hour_changes_neither_sockets_nor_answers_nor_their_order(
    portal, practice, alice, database, clock, assert_consistent
):
    """F56: leases are counted by the database's clock."""
    practice.speed = 50
    conversation = await alice.start("SECRET-WORD count to 600", "practice-counting")
    await until_text(database, conversation, 40)
    for seconds in (3600, -3600, 0):
        clock(seconds)
        other = await alice.start(f"SECRET-WORD with {seconds}", "practice")
        await until_state(database, other, "done")
        await asyncio.sleep(3)
    text = await until_state(database, conversation, "done")

    assert text.split() == numbers(600)
    assert [tab.close_codes for tab in alice.tabs] == [[]] * 4
    asked = database.execute(
        "select text from chat_message where role = 'user' and text like 'SECRET-WORD with%' order by id desc limit 3"
    ).fetchall()
    assert [text for (text,) in asked] == [f"SECRET-WORD with {seconds}" for seconds in (0, -3600, 3600)]
    runs = database.execute("select count(*) from chat_run where conversation_id = %s", [conversation])
    assert runs.fetchone() == (1,)
    practice.requests[1:] = []  # the ends of the others are of a wrong clock
    await assert_consistent(portal)


async def test_without_a_free_connection_pages_are_refused_in_time(
    portal, practice, alice, database, assert_consistent, figure
):
    """F12: somebody else holds all that the server has."""
    practice.speed = 50
    conversation = await alice.start("SECRET-WORD count to 500", "practice-counting")
    await until_text(database, conversation, 40)
    with ExitStack() as hogs:
        with suppress(psycopg.OperationalError):
            while True:
                hogs.enter_context(portal.database())
        database.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
                         "and backend_type = 'client backend' and application_name = ''"
                         " and client_port = -1 and state = 'idle' and query <> ''")  # fmt: skip
        with suppress(psycopg.OperationalError):
            while True:
                hogs.enter_context(portal.database())
        asked = time.monotonic()
        refused = await alice.http.get("/")
        took = time.monotonic() - asked
    text = await until_state(database, conversation, "done")

    figure("refused after", f"{took:.1f} s")
    assert refused.status_code == 503
    assert took <= AT_ONCE_S
    assert text.split() == numbers(500)
    await assert_consistent(portal)


@contextmanager
def full_disk(postgres, size: int):
    """Inside the block no file of the database grows beyond so many bytes."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    postgres.stop()
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))  # the server inherits it
    try:
        postgres.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    yield
    postgres.stop()
    postgres.start()


async def test_a_full_disk_refuses_what_is_new_and_shows_what_is_there(
    portal, alice, database, postgres, assert_consistent
):
    """F13: no file may grow beyond those of the log of transactions."""
    conversation = await alice.start("SECRET-WORD first", "practice")
    await until_state(database, conversation, "done")
    chance = random.Random(1)
    with full_disk(postgres, 17 * MIB):
        while (await alice.http.get("/")).status_code != 200:
            await asyncio.sleep(0.1)
        status = 302
        while status == 302:
            key = str(uuid.uuid4())
            text = chance.randbytes(MIB // 3).hex()
            status = (await alice.post("/c/", text=text, model="practice", client_key=key)).status_code
        page = await alice.http.get(f"/c/{conversation}/")

    assert status == 503
    assert page.status_code == 200
    with portal.database() as back:
        stored = back.execute("select count(*) from chat_message where conversation_id = %s", [key])
        assert stored.fetchone() == (0,)
    await assert_consistent(portal)
