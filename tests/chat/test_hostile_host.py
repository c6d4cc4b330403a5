"""A question to a host that lies."""

import asyncio

import pytest
from django.utils import timezone

from chat import services
from chat.models import State
from tests.hostile_host import ATTACK, ODD, HostileHost
from webui.inference.models import Host, InstalledModel

pytestmark = pytest.mark.django_db(transaction=True)


async def test_an_error_of_a_host_is_kept_short_and_clean(root, alice, driver, conversation, act, question):
    """S16. Otherwise PostgreSQL refuses it, and the answer never ends."""
    async with HostileHost(f"broken {ODD} {ATTACK} " + "x" * 1000) as hostile:
        host = await Host.objects.acreate(name="hostile", base_url=hostile.url, health=Host.Health.WELL)
        await InstalledModel.objects.acreate(
            host=host, name="m", capabilities=["completion"], loaded=True, seen_at=timezone.now()
        )
        await act(services.ask, **question(model="m"))
        answer = await conversation.messages.alatest("created_at")
        async with asyncio.timeout(10):
            while answer.state != State.FAILED:
                await asyncio.sleep(0.02)
                await answer.arefresh_from_db()

    assert answer.error_detail.startswith("broken \ufffd\ufffd[2J\r\n")
    assert len(answer.error_detail) == 500
