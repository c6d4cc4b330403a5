"""A portal that may die, a practice host that misbehaves on request, and what must hold afterwards."""

import json
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.portal import FINAL, Portal, Visitor
from webui.practice import PracticeHost


@pytest.fixture
async def practice():
    """As fast as it can unless a test slows it down."""
    async with PracticeHost(faults=True, slots=8) as host:
        yield host


@pytest.fixture(scope="session")
def prepared():
    """A data directory in which everything is made: the database, its tables, the static files."""
    with public_directory() as place:
        portal = Portal(place, "http://127.0.0.1:9")
        portal.wait_until_ready()
        assert portal.terminate() == 0
        yield place


@pytest.fixture
def data(prepared):
    """A data directory that several portals of one test share, one after the other."""
    with public_directory() as place:
        subprocess.run(["cp", "-a", f"{prepared}/.", place], check=True)
        yield place


@contextmanager
def public_directory():
    """PostgreSQL runs under an account of its own when we are root, and must be able to get there."""
    place = Path(tempfile.mkdtemp(prefix="teahouse-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture
async def start(data, practice):
    """``await start()`` starts a serving process; each is gone when the test is over."""
    portals = []

    async def start(**settings: str) -> Portal:
        portal = Portal(data, practice.url, **settings)
        portals.append(portal)
        return await portal.ready()

    yield start
    for portal in portals:
        if portal.process.poll() is None:
            portal.terminate()


@pytest.fixture
async def portal(start):
    return await start()


@pytest.fixture
async def visit():
    """``await visit(portal)``: Alice, signed in."""
    visitors = []

    async def visit(portal: Portal) -> Visitor:
        visitor = Visitor(portal)
        visitors.append(visitor)
        return await visitor.sign_in()

    yield visit
    for visitor in visitors:
        await visitor.http.aclose()


@pytest.fixture
async def alice(portal, visit):
    return await visit(portal)


@pytest.fixture
def database(portal):
    with portal.database() as connection:
        yield connection


@pytest.fixture
def assert_consistent(practice):
    """What must hold after every fault."""

    def check(portal: Portal) -> None:
        with portal.database() as database:
            _questions_are_stored_once(database)
            _answers_have_ended(database)
            _counting_has_no_gaps(database)
            _usage_is_counted_once(database)
        _hosts_are_left_alone(practice)
        _logs_hold_no_content(portal)

    return check


def _questions_are_stored_once(database) -> None:
    twice = database.execute(
        "select client_key from chat_message where client_key is not null "
        "group by conversation_id, client_key having count(*) > 1"
    ).fetchall()
    assert twice == []


def _answers_have_ended(database) -> None:
    stuck = database.execute(
        "select r.id, r.state, m.state from chat_run r join chat_message m on m.id = r.answer_id "
        "where r.state in ('queued', 'loading', 'running') and (r.lease_expires is null or r.lease_expires < now())"
    ).fetchall()
    assert stuck == []
    unlike = database.execute(
        "select m.id, m.state from chat_message m where m.role = 'assistant' and not m.state = any(%s) "
        "and not exists (select 1 from chat_run r where r.answer_id = m.id "
        "and r.state in ('queued', 'loading', 'running'))",
        [list(FINAL)],
    ).fetchall()
    assert unlike == []


def _counting_has_no_gaps(database) -> None:
    """The counting model numbers its pieces: what is stored must count without gap or repetition."""
    for (text,) in database.execute("select text from chat_message where model like 'practice-counting%'"):
        numbers = [int(word) for word in text.split()]
        complete = numbers[:-1]  # the last number may be cut
        assert complete == list(range(1, len(complete) + 1)), text


def _usage_is_counted_once(database) -> None:
    odd = database.execute(
        "select r.id from chat_run r left join inference_usage u on u.run = r.id "
        "where r.ended_at is not null group by r.id having count(u.id) <> 1"
    ).fetchall()
    assert odd == []


def _hosts_are_left_alone(practice: PracticeHost) -> None:
    open_ = [request for request in practice.requests if request.endpoint == "/api/chat" and request.ended is None]
    assert open_ == []


def _logs_hold_no_content(portal: Portal) -> None:
    """Questions of these tests carry a marker that must never reach a log."""
    assert "SECRET-WORD" not in portal.log
    for line in portal.log.splitlines():
        if line.startswith("{"):
            json.loads(line)
