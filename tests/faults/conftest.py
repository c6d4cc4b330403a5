"""A portal that may die, a practice host that misbehaves on request, and what must hold afterwards.

One portal serves all tests: whoever kills it or starts it with other settings leaves it so, and the next test
starts it again. Its data stay, so what one test left behind is checked after the next one, too.
"""

import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import consistency
from tests.faults.portal import Portal, Postgres, free_port
from tests.faults.visitor import Visitor
from webui.embedded.runner import Server
from webui.practice import PracticeHost

ROW = re.compile(r"\bF\d\d\b")


def pytest_collection_modifyitems(items):
    """The rows of the fault table that a test's docstring names: ``-k F08`` chooses by them."""
    for item in items:
        rows = ROW.findall(getattr(item.function, "__doc__", None) or "")
        item.extra_keyword_matches.update(rows)
        item.user_properties += [("row", row) for row in rows]


def pytest_terminal_summary(terminalreporter):
    """Row by row: how it went, how long it took, and the figures it found."""
    lines = []
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            told = getattr(report, "user_properties", [])
            figures = "; ".join(f"{name} {value}" for name, value in told if name != "row")
            name = report.nodeid.rpartition("::")[2]
            lines += [
                f"{row}  {outcome:7} {report.duration:6.1f} s  {name}{f': {figures}' if figures else ''}"
                for key, row in told
                if key == "row" and report.when == ("setup" if outcome == "skipped" else "call")
            ]
    if lines and terminalreporter.config.option.markexpr != "not slow":
        terminalreporter.section("rows of the fault table")
        for line in sorted(lines):
            terminalreporter.line(line)


@pytest.fixture
def figure(record_property):
    """``figure("stop p99", "0.2 s")``: shown with the row."""
    return record_property


@pytest.fixture(scope="session")
def practice_port():
    return free_port()


@pytest.fixture
async def practice(practice_port):
    """As fast as it can unless a test slows it down."""
    async with PracticeHost(port=practice_port, faults=True, slots=32) as host:
        yield host


@pytest.fixture(scope="session")
def shared(practice_port):
    """The portal of all tests, not started yet, and what its tests remember of it.

    Its PostgreSQL is ours, so that it does not end with a portal that ends in order.
    """
    with public_directory() as place:
        database = Server(place / "postgres")
        database.start()
        portal = Portal(place, f"http://127.0.0.1:{practice_port}", running=False)
        yield Shared(portal, Postgres(database))
        if portal.is_running:
            portal.terminate()
        database.release()


class Shared:
    def __init__(self, portal: Portal, postgres: Postgres) -> None:
        self.portal = portal
        self.postgres = postgres
        self.alices_cookies = None
        self.bystander: list[tuple] = []

    async def as_usual(self) -> Portal:
        """Running, with the usual settings."""
        if not self.portal.is_running or self.portal.settings:
            await self.portal.start_again()
        if not self.bystander:
            await self._settle_bob()
        return self.portal

    async def _settle_bob(self) -> None:
        """Bob has a conversation and a draft, and does nothing from then on."""
        alice, bob = Visitor(self.portal), Visitor(self.portal)
        await alice.sign_in()
        await alice.post("/people/", username="bob", password="bob drinks green tea")
        await bob.sign_in("bob", "bob drinks green tea")
        conversation = await bob.start("Bob's own SECRET-WORD?", "practice")
        await bob.post(f"/c/{conversation}/draft/", text="not sent yet")
        await bob.tabs[0].until(lambda tab: tab.state == "done")
        for visitor in (alice, bob):
            await visitor.leave()
        self.alices_cookies = alice.http.cookies
        with self.portal.database() as database:
            self.bystander = consistency.everything_of("bob", database)


@pytest.fixture
async def portal(shared, practice):
    return await shared.as_usual()


@pytest.fixture
async def visit():
    """``await visit(portal)``: Alice, signed in anew."""
    visitors = []

    async def visit(portal: Portal, cookies=None) -> Visitor:
        visitor = Visitor(portal, cookies)
        visitors.append(visitor)
        return visitor if cookies else await visitor.sign_in()

    visit.visitors = visitors
    yield visit
    for visitor in visitors:
        await visitor.leave()


@pytest.fixture
async def alice(portal, visit, shared):
    """Signed in since the portal was set up."""
    return await visit(portal, shared.alices_cookies)


@pytest.fixture
def database(portal):
    with portal.database() as connection:
        yield connection


@pytest.fixture
def postgres(shared):
    """To be stopped and started; it runs again after the test."""
    yield shared.postgres
    shared.postgres.start()


@pytest.fixture
def slots(database):
    """``slots(1)``: how many answers of a model the host gives at once, for this test."""
    yield lambda count: database.execute("update inference_host set slots = %s", [count])
    database.execute("update inference_host set slots = 8")


@pytest.fixture
def assert_consistent(practice, visit, shared):
    """What must hold after every fault."""

    async def assert_consistent(portal: Portal) -> None:
        await consistency.check(portal, practice, visit.visitors, shared.bystander)

    return assert_consistent


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
    """A prepared data directory of one's own, for what must not happen to the shared one."""
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
