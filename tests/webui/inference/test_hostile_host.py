"""A host that lies: whatever it says is cut to size, put on one line and shown as words."""

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient

from tests.hostile_host import ATTACK, ODD, HostileHost
from tests.test_hostile_words import structure, words
from webui.inference.check import check
from webui.inference.hosts import refresh_once
from webui.inference.models import Host, InstalledModel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def no_connection_stays_open():
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def roots(async_client, root) -> AsyncClient:
    await async_client.aforce_login(root)
    return async_client


async def test_the_check_of_a_host_that_lies_has_the_structure_of_any_other(roots):
    """S15."""

    async def shown(said: str) -> str:
        async with HostileHost(said) as hostile:
            return (await roots.get("/setup/host/check/", {"url": hostile.url})).content.decode()

    plain, attacked = await shown("plain"), await shown(ATTACK)

    assert structure(attacked) == structure(plain)
    assert ATTACK in words(attacked)


async def test_what_is_seen_of_a_host_that_talks_without_end_is_short():
    """S15."""
    async with HostileHost("long " * 100_000) as hostile:
        found = await check(hostile.url)

    assert max(len(step.fact) for step in found.steps) < 3000


async def test_what_is_kept_of_a_host_that_lies_is_one_line_each(root):
    """S15, S17, S53."""
    async with HostileHost(f"a{ODD}b") as hostile:
        host = await Host.objects.acreate(name="hostile", base_url=hostile.url)
        await refresh_once(host)

    await host.arefresh_from_db()
    model = await InstalledModel.objects.aget()
    kept = [host.version, model.name, model.family, model.parameter_size, model.digest, *model.capabilities]
    assert {text for text in kept if text != "completion"} == {"a\ufffd\ufffd[2J \ufffdb"}
