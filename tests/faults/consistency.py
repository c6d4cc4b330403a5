"""What must hold after every fault: the invariants I1 to I8."""

import asyncio
import json
import time
from collections.abc import Iterable

import psycopg

from tests.faults.portal import FINAL, PASSWORD, PATIENCE_S, Portal
from tests.faults.visitor import Visitor
from webui.practice import PracticeHost
from webui.practice.host import Request
from webui.practice.scripts import script_for

LIVE = ("queued", "loading", "running")
LEFT_ALONE_S = 2.0
ADDING = "^fault-(badutf|nul|nel|surr|xss)"  # models that say more than their script
MARKER = "SECRET-WORD"  # in every question of these tests

# Everything of a person, as text. They do nothing in these tests, so nothing of theirs may change.
THEIRS = """
    select 'person', u::text from accounts_user u where u.id = %(id)s
    union all select 'conversation', c::text from chat_conversation c where c.owner_id = %(id)s
    union all select 'message', m::text from chat_message m join chat_conversation c on c.id = m.conversation_id
        where c.owner_id = %(id)s
    union all select 'run', r::text from chat_run r where r.asker_id = %(id)s
    union all select 'draft', d::text from chat_draft d where d.user_id = %(id)s
    union all select 'usage', u::text from inference_usage u where u.user_id = %(id)s
    order by 1, 2
"""


async def check(portal: Portal, practice: PracticeHost, visitors: Iterable[Visitor], bystander: list[tuple]) -> None:
    """Every invariant, on the portal as it is now."""
    with portal.database() as database:
        await _nothing_is_on_its_way(database)
        _questions_are_stored_once(database)
        _answers_have_ended(database)
        _texts_are_what_was_sent(database)
        _usage_is_counted_once(database)
        await _hosts_are_left_alone(database, practice)
        _nobody_else_is_touched(database, bystander)
    await _pages_show_what_a_reload_shows(portal, visitors)
    _logs_hold_no_content(portal, visitors)


async def _nothing_is_on_its_way(database: psycopg.Connection) -> None:
    """What continues by itself may still be doing so."""
    deadline = time.monotonic() + PATIENCE_S
    while database.execute("select 1 from chat_run where state = any(%s)", [list(LIVE)]).fetchall():
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(0.05)


def _questions_are_stored_once(database: psycopg.Connection) -> None:
    """I1."""
    twice = database.execute(
        "select client_key from chat_message where client_key is not null "
        "group by conversation_id, client_key having count(*) > 1"
    ).fetchall()
    assert twice == []


def _answers_have_ended(database: psycopg.Connection) -> None:
    """I2, and I4's one transition: a run and its answer agree, and nothing lives without a lease."""
    stuck = database.execute(
        "select id, state from chat_run where state = any(%s) and (lease_expires is null or lease_expires < now())",
        [list(LIVE)],
    ).fetchall()
    assert stuck == []
    unlike = database.execute(
        """
        select m.id, m.state, (select array_agg(r.state) from chat_run r where r.answer_id = m.id)
        from chat_message m where m.role = 'assistant' and (
            not m.state = any(%(final)s) and not exists (
                select 1 from chat_run r where r.answer_id = m.id and r.state = any(%(live)s))
            or m.state = any(%(final)s) and m.state <> (
                select r.state from chat_run r where r.answer_id = m.id order by r.id desc limit 1))
        """,
        {"final": list(FINAL), "live": list(LIVE)},
    ).fetchall()
    assert unlike == []
    assert database.execute("select count(*) from chat_runpiece p join chat_run r on r.id = p.run_id "
                            "where r.state = any(%s)", [list(FINAL)]).fetchone() == (0,)  # fmt: skip


def _texts_are_what_was_sent(database: psycopg.Connection) -> None:
    """I3: what is stored is a prefix of what the model says, and all of it where it is done."""
    answers = database.execute(
        """
        select m.state, m.model, m.text, q.text from chat_message m join chat_message q on q.id = m.parent_id
        where m.role = 'assistant' and m.model ~ '^(practice|fault)' and not m.model ~ %s
        """,
        [ADDING],
    )
    for state, model, text, question in answers:
        asked = [{"role": "user", "content": question}]
        whole = "".join(script_for(model, asked, think=None, continues=False).text)
        assert whole.startswith(text), (model, state, text)
        assert state != "done" or text == whole, (model, text)


def _usage_is_counted_once(database: psycopg.Connection) -> None:
    """I4."""
    odd = database.execute(
        "select r.id, count(u.id) from chat_run r left join inference_usage u on u.run = r.id "
        "group by r.id having count(u.id) <> (r.ended_at is not null)::int"
    ).fetchall()
    assert odd == []


async def _hosts_are_left_alone(database: psycopg.Connection, practice: PracticeHost) -> None:
    """I5: no request outlives its run by more than two seconds, and none is left over."""
    runs = database.execute(
        """
        select q.text, extract(epoch from r.requested_at)::float, extract(epoch from r.ended_at)::float
        from chat_run r join chat_message m on m.id = r.answer_id join chat_message q on q.id = m.parent_id
        order by r.requested_at
        """
    ).fetchall()
    since_epoch = time.time() - time.monotonic()
    for request in practice.requests:
        if request.endpoint != "/api/chat":
            continue
        ended = _end_of_its_run(request, runs, since_epoch)
        while request.ended is None and ended is not None and time.time() < ended + LEFT_ALONE_S:
            await asyncio.sleep(0.02)
        assert request.ended is not None, "a request is left at the host"
        assert ended is None or request.ended + since_epoch <= ended + LEFT_ALONE_S


def _end_of_its_run(request: Request, runs: list[tuple], since_epoch: float) -> float | None:
    """When the run ended for which this was asked; None for a probe, or where the run goes on."""
    question = next(m["content"] for m in reversed(request.body["messages"]) if m["role"] == "user")
    began = request.started + since_epoch
    ends = [ended for text, requested, ended in runs if text == question and requested <= began]
    return ends[-1] if ends else None


def _nobody_else_is_touched(database: psycopg.Connection, bystander: list[tuple]) -> None:
    """I7."""
    assert bystander, "there is nobody who could be touched"
    assert everything_of("bob", database) == bystander


def everything_of(username: str, database: psycopg.Connection) -> list[tuple]:
    person = database.execute("select id from accounts_user where username = %s", [username]).fetchone()
    return database.execute(THEIRS, {"id": person[0]}).fetchall() if person else []


async def _pages_show_what_a_reload_shows(portal: Portal, visitors: Iterable[Visitor]) -> None:
    """I6: a page that was open all the time equals a fresh one."""
    for visitor in visitors:
        for tab in visitor.tabs if visitor.portal is portal else []:
            await tab.same_as_reload()


def _logs_hold_no_content(portal: Portal, visitors: Iterable[Visitor]) -> None:
    """I8: no question, answer, password or session, in the portal's log or in PostgreSQL's."""
    database_log = portal.data / "postgres" / "postgres.log"
    secrets = [MARKER, PASSWORD, *(visitor.session_key for visitor in visitors if "session" in visitor.http.cookies)]
    for log in (portal.log, database_log.read_text(errors="replace") if database_log.exists() else ""):
        for secret in secrets:
            assert secret not in log, next(line for line in log.splitlines() if secret in line)
    for line in portal.log.splitlines():
        if line.startswith("{"):
            json.loads(line)
