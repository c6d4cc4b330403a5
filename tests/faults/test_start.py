"""What the portal finds at its start is not as it left it."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.faults.portal import Portal

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
