"""A pull is in the middle when the portal dies or is asked to end."""

import asyncio
import hashlib
import json

import httpx
import pytest

from tests.faults.portal import Portal

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


@pytest.mark.slow
async def test_a_script_follows_a_pull_through_whichever_process(practice, practice_port, portal, alice, database):
    """F01, F41. It asked another process than the one that pulls, which then dies: its own goes on with it."""
    token = {"Authorization": f"Bearer {managing_token(database)}"}
    pk = await half_way(database, alice)
    other = await Portal(portal.data, f"http://127.0.0.1:{practice_port}").ready()
    async with httpx.AsyncClient(base_url=other.url, headers=token, timeout=30) as script:
        asking = script.stream("POST", "/api/pull", json={"model": "fault-pull-gate"})
        async with asking as answer:
            lines = answer.aiter_lines()
            first = json.loads(await anext(lines))
            portal.kill()
            database.execute("update models_admin_job set lease_expires = now() where id = %s", [pk])
            practice.release()
            rest = [json.loads(line) async for line in lines]
    assert await other.end() == 0

    assert first["status"] == "pulling"
    assert 0 < first["completed"] < first["total"]
    assert rest[-1] == {"status": "success"}
    assert newest_job(database) == pk


def managing_token(database) -> str:
    secret = "th_of-an-administrator"
    database.execute(
        "insert into accounts_accesstoken (user_id, name, prefix, digest, scope, allowed, created_at) "
        "select id, 'script', 'th_of-a', %s, 'admin', '[]', now() from accounts_user where username = 'alice'",
        [hashlib.sha256(secret.encode()).hexdigest()],
    )
    return secret
