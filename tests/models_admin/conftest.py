"""An administrator's pages, and jobs that a practice host does."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient

from models_admin.jobs import services
from models_admin.jobs.driver import JobDriver
from models_admin.models import LIVE_STATES, Job
from webui.accounts.models import User
from webui.inference.clients import close_clients


@pytest.fixture
def mara(root) -> User:
    """Another administrator."""
    return User.objects.create_user("mara", "correct horse battery", display_name="Mara", is_admin=True)


@pytest.fixture
async def roots(async_client, root) -> AsyncClient:
    await async_client.aforce_login(root)
    yield async_client
    await close_clients()
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def jobs_driver(practice_models):
    """This process does jobs, on the test's own loop."""
    driver = JobDriver()
    driver.open()
    yield driver
    await driver.close()
    await close_clients()
    await sync_to_async(connections.close_all)()


@pytest.fixture
def start(root, practice_models):
    """``await start("practice-small")``: root has the practice host pull it, or do something else with it."""

    async def start(model: str, kind: str = "pull", **wish) -> Job:
        wish = {"by": root, "host": practice_models, **wish}
        return await sync_to_async(services.start)(kind=kind, model=model, **wish)

    return start


@pytest.fixture
def until():
    """``await until(job, condition)``: the row, once it is so."""

    async def until(job: Job, condition) -> Job:
        async with asyncio.timeout(10):
            while True:
                row = await Job.objects.select_related("host", "started_by", "cancelled_by").aget(pk=job.pk)
                if condition(row):
                    return row
                await asyncio.sleep(0.02)

    return until


@pytest.fixture
def until_over(until):
    async def until_over(job: Job) -> Job:
        return await until(job, lambda row: row.state not in LIVE_STATES)

    return until_over
