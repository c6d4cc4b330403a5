"""A pull is in the middle when the portal dies or is asked to end."""

import asyncio

import pytest

pytestmark = [pytest.mark.server]

ENDED = ("done", "failed", "cancelled")


async def until_job(database, pk: int, condition) -> tuple:
    """State, bytes and error of a job, once it is so."""
    async with asyncio.timeout(30):
        while True:
            row = database.execute(
                "select state, completed, error from models_admin_job where id = %s", [pk]
            ).fetchone()
            if condition(row):
                return row
            await asyncio.sleep(0.05)


def newest_job(database) -> int:
    return database.execute("select max(id) from models_admin_job").fetchone()[0]


async def half_way(database, alice) -> int:
    host = database.execute("select id from inference_host").fetchone()[0]
    await alice.post("/models/pull/", model="fault-pull-gate", host=str(host))
    pk = newest_job(database)
    await until_job(database, pk, lambda row: row[1] > 0)
    return pk


async def test_a_killed_portal_goes_on_with_its_pulls(practice, portal, alice, database):
    """F01, F41."""
    pk = await half_way(database, alice)
    portal.kill()
    database.execute("update models_admin_job set lease_expires = now() where id = %s", [pk])  # ten seconds later
    await portal.start_again()
    practice.release()
    state, completed, error = await until_job(database, pk, lambda row: row[0] in ENDED)

    assert (state, completed > 12_000_000, error) == ("done", True, "")


async def test_a_portal_that_is_asked_to_end_hands_its_pulls_over(practice, portal, alice, database):
    """F04, F41."""
    pk = await half_way(database, alice)
    assert await portal.end() == 0
    handed = database.execute("select state, owner, completed > 0 from models_admin_job where id = %s", [pk]).fetchone()
    await portal.start_again()
    practice.release()
    state, _, _ = await until_job(database, pk, lambda row: row[0] in ENDED)

    assert handed == ("queued", None, True)
    assert state == "done"
