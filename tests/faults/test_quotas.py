"""Limits in two processes of the portal that share one database."""

import asyncio
import hashlib

import pytest

from tests.faults.conftest import public_directory
from tests.faults.portal import Portal
from tests.webui.gateway.test_native import MESSAGES
from tests.webui.practice.wire import connection, read_head, request_bytes

SECRET = "th_for-a-race"
TOKEN = """
    insert into accounts_accesstoken (user_id, name, prefix, digest, scope, allowed, created_at)
    select id, 'race', 'th_for-', %s, 'use', '[]', now() from accounts_user where username = 'alice'
"""


@pytest.fixture
async def portals(practice):
    with public_directory() as place:
        portals = [await Portal(place, practice.url).ready() for _ in range(2)]
        with portals[0].database() as database:
            database.execute(TOKEN, [hashlib.sha256(SECRET.encode()).hexdigest()])
        yield portals
        for portal in portals:
            await portal.end()


@pytest.mark.slow
async def test_of_twenty_requests_to_two_processes_exactly_five_are_let_in(portals):
    """Q2."""
    found = {}
    for limit in ("at_once", "per_minute"):
        with portals[0].database() as database:
            database.execute("update accounts_user set at_once = null, per_minute = null")
            database.execute(f"update accounts_user set {limit} = 5")
        found[limit] = sorted(await statuses(portals))

    assert found == dict.fromkeys(found, [200] * 5 + [429] * 15)


async def statuses(portals: list[Portal]) -> list[int]:
    """Of twenty requests at once, ten to each."""
    body = {"model": "fault-gate", "messages": MESSAGES}
    request = request_bytes("POST", "/api/chat", body, Authorization=f"Bearer {SECRET}")

    async def ask(portal: Portal) -> int:
        async with connection(portal.url) as (reader, writer):
            writer.write(request)
            status, _ = await read_head(reader)
            answered.append(status)
            if len(answered) == 20:
                all_answered.set()
            await all_answered.wait()
            return status

    answered: list[int] = []
    all_answered = asyncio.Event()
    async with asyncio.timeout(20):
        return await asyncio.gather(*(ask(portal) for portal in portals for _ in range(10)))
