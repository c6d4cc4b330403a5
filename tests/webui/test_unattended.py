"""An installation that nobody sits in front of sets itself up from its environment."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import authenticate
from django.db import connections

from webui.accounts import setup
from webui.accounts.models import User
from webui.inference.models import Host, InstalledModel
from webui.management.commands.serve import set_up_unattended

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
async def fresh(transactional_db, settings, tmp_path, monkeypatch, practice):
    """A portal nobody has set up, beside an Ollama host."""
    settings.DATA_DIR = tmp_path
    settings.OLLAMA_HOST = practice.url
    monkeypatch.setattr(setup, "_done", False)
    yield
    await sync_to_async(connections.close_all)()


async def start() -> None:
    """What a process does before it serves: on a thread without a loop."""

    def work() -> None:
        try:
            set_up_unattended()
        finally:
            connections.close_all()

    await asyncio.to_thread(work)


@pytest.fixture
def named(settings):
    settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD = "ops", PASSWORD


async def test_the_administrator_can_sign_in(named):
    await start()

    assert await sync_to_async(authenticate)(username="ops", password=PASSWORD) == await User.objects.aget(
        is_admin=True
    )


async def test_the_host_is_connected_with_its_models(named, practice):
    await start()

    assert [host.base_url async for host in Host.objects.all()] == [practice.url]
    assert await InstalledModel.objects.filter(name="practice:latest").aexists()


async def test_the_set_up_page_is_closed(named, async_client):
    await start()

    assert (await async_client.get("/setup/")).status_code == 404


async def test_a_second_start_changes_nothing(named):
    await start()
    password = (await User.objects.aget()).password
    await start()

    assert (await User.objects.aget()).password == password
    assert await Host.objects.acount() == 1


async def test_another_password_in_the_environment_does_not_replace_the_one_somebody_chose(named, settings):
    await start()
    settings.ADMIN_PASSWORD = "another horse battery"
    await start()

    assert (await User.objects.aget()).check_password(PASSWORD)


async def test_a_host_that_is_away_does_not_keep_the_portal_from_starting(named, practice):
    await practice.stop()
    await start()

    assert await User.objects.acount() == 1
    assert not await Host.objects.aexists()


async def test_without_a_named_administrator_a_person_is_waited_for(settings):
    settings.ADMIN_USERNAME = ""
    await start()

    assert not await User.objects.aexists()
    assert not await Host.objects.aexists()
