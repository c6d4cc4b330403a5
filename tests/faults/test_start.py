"""What the portal finds at its start is not as it left it."""

import hashlib
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import consistency
from tests.faults.conftest import Shared
from tests.faults.portal import Portal, until_state, until_text

pytestmark = [pytest.mark.server, pytest.mark.slow]

MISCONFIGURED = 78
UNKNOWN_ACCOUNT = 54_321


@pytest.fixture
def refused(data):
    """``await refused()``: what a portal says that does not start on the data."""

    async def refused(**settings: str) -> str:
        portal = Portal(data, "http://127.0.0.1:9", **settings)
        assert await portal.ended() == MISCONFIGURED
        return portal.log

    return refused


def contents(root: Path) -> dict[str, tuple[int, str]]:
    """Of every file, whose it is and what is in it."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(root)): (path.stat().st_uid, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
    }


async def test_data_of_another_postgresql_are_named_and_left_alone(data, refused):
    """F68"""
    (data / "postgres" / "pgdata" / "PG_VERSION").write_text("17\n")
    before = contents(data / "postgres")
    said = await refused()

    assert "pgdata was made by PostgreSQL 17, and this portal brings 18. Nothing was changed" in said
    assert "Traceback" not in said
    assert contents(data / "postgres") == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second account")
async def test_data_of_an_account_that_nobody_knows_are_named_and_left_alone(data, refused):
    """F68, as in a container on a volume of another machine."""
    for path in [data / "postgres", *(data / "postgres").rglob("*")]:
        os.chown(path, UNKNOWN_ACCOUNT, UNKNOWN_ACCOUNT)
    before = contents(data / "postgres")
    said = await refused()

    assert f"belongs to account number {UNKNOWN_ACCOUNT}, which this machine does not know" in said
    assert "Traceback" not in said
    assert contents(data / "postgres") == before


async def test_a_setting_that_makes_no_sense_is_named(refused):
    """F68, of the environment."""
    assert await refused(OLLAMA_SLOTS="many") == "OLLAMA_SLOTS=many: write a whole number from 1 up.\n"


@pytest.fixture
async def own(data, practice):
    """A portal that has its PostgreSQL to itself, with its bystander."""
    shared = Shared(Portal(data, practice.url, running=False), None)
    await shared.as_usual()
    yield shared
    if shared.portal.is_running:
        await shared.portal.end()


@contextmanager
def stranger(account: int):
    """A process of the account that owns the data, with a number that was PostgreSQL's before."""
    with subprocess.Popen(["/bin/sleep", "60"], user=account, group=account) as process:
        yield process
        assert process.poll() is None, "it was nobody's to end"
        process.kill()


async def test_a_start_after_a_power_cut_finds_its_way_by_itself(own, practice, visit):
    """F67: everything was killed, and what it left names another process now."""
    portal = own.portal
    alice = await visit(portal, own.alices_cookies)
    practice.speed = 100
    conversation = await alice.start("SECRET-WORD count to 300", "practice-counting")
    with portal.database() as database:
        await until_text(database, conversation, 200)
    root = portal.data / "postgres"
    files = [root / "pgdata" / "postmaster.pid", root / ".s.PGSQL.5432.lock"]
    left = [file.read_text() for file in files]
    portal.kill()
    os.kill(int(left[0].splitlines()[0]), signal.SIGKILL)
    practice.speed = None
    with stranger(root.stat().st_uid) as process:
        for file, text in zip(files, left, strict=True):
            file.write_text(text.replace(text.splitlines()[0], str(process.pid), 1))
            assert (root / ".s.PGSQL.5432").is_socket()
        await portal.start_again()
        with portal.database() as database:
            text = await until_state(database, conversation, "done")

    assert text.split() == [str(number) for number in range(1, 301)]
    await consistency.check(portal, practice, visit.visitors, own.bystander)
