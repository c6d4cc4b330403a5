"""The socket of administrators: what their pages are told, how often, and who gets none."""

import asyncio
import json
from contextlib import asynccontextmanager, closing

import psycopg
import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import connection, connections
from django.test import AsyncClient
from django.utils import timezone

from models_admin import live
from models_admin.models import Job
from tests.chat.test_consumers import ORIGIN, connecting, session_of
from tests.pages import Page
from webui.accounts.sessions import end_all_sessions
from webui.inference.models import InstalledModel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def own_origin(settings):
    settings.ALLOWED_ORIGINS = [ORIGIN]
    yield
    await sync_to_async(connections.close_all)()


class Watched:
    """A page of an administrator that follows its socket."""

    def __init__(self, page: Page, socket: WebsocketCommunicator) -> None:
        self.page = page
        self.socket = socket
        self.arrivals: list[float] = []
        self.told: list[dict] = []

    async def hear(self) -> None:
        message = await self.socket.receive_from(timeout=5)
        self.arrivals.append(asyncio.get_running_loop().time())
        self.page.take(message)
        self.told.append(json.loads(message))

    async def hear_everything(self) -> None:
        while True:
            await self.hear()

    async def until(self, words: str) -> None:
        async with asyncio.timeout(10):
            while words not in " ".join(self.page.text("jobs").split()):
                await self.hear()


@pytest.fixture
def watching(async_client):
    """``async with watching(user) as page``: somebody who looks at the models."""

    @asynccontextmanager
    async def watch(user, language="en"):
        client = AsyncClient()
        await client.aforce_login(user)
        page = Page((await client.get("/models/")).content.decode())
        socket = connecting(await sync_to_async(session_of)(user), path="/ws/admin/")
        assert (await socket.connect())[0]
        await socket.send_to(text_data=json.dumps({"watch": None, "lang": language}))
        watched = Watched(page, socket)
        watched.client = client
        await watched.hear()
        try:
            yield watched
        finally:
            await socket.disconnect()

    return watch


async def test_every_administrator_sees_a_job_that_somebody_else_started(jobs_driver, start, root, mara, watching):
    async with watching(mara) as page:
        await start("fault-pull-gate")
        await page.until("fault-pull-gate to practice, started by Root")
        await page.until("of at least")


async def test_a_page_that_followed_a_job_equals_a_fresh_one(jobs_driver, practice, start, root, watching, until_over):
    async with watching(root) as page:
        job = await start("fault-pull-gate")
        await page.until("of at least")
        practice.release()
        await until_over(job)
        await page.until("Done")
        fresh = Page((await page.client.get("/models/")).content.decode())

        assert page.page.shown("jobs") == fresh.shown("jobs")


async def test_while_a_job_runs_only_its_figures_are_replaced(start, root, watching):
    """A button that is being pressed stays."""
    job = await start("qwen3:8b")
    await Job.objects.aupdate(state="running", phase="moving", total=1000, completed=1)
    async with watching(root) as page:
        button = page.page.element(f"job-{job.pk}-cancel")
        await Job.objects.aupdate(completed=500)
        await page.hear()

        assert page.page.element(f"job-{job.pk}-cancel") is button
        assert page.page.element(f"job-{job.pk}-bar").get("value") == "50"


async def _move() -> None:
    for completed in range(1, 60):
        await Job.objects.aupdate(state="running", phase="moving", total=10**9, completed=completed * 10**7)
        await asyncio.sleep(0.02)


async def test_a_page_is_told_at_most_four_times_a_second(start, root, watching):
    await start("qwen3:8b")
    async with watching(root) as page:
        hearing = asyncio.create_task(page.hear_everything())
        await _move()
        hearing.cancel()

        took = page.arrivals[-1] - page.arrivals[0]
        assert 3 <= len(page.arrivals) <= 4 * took + 2


async def test_a_page_is_told_in_its_language(start, root, watching):
    await start("qwen3:8b")
    async with watching(root, "zh-hans") as page:
        assert "started by" not in page.page.text("jobs")


async def test_an_ending_is_said_once_and_the_running_are_counted(start, root, watching):
    await start("qwen3:8b")
    async with watching(root) as page:
        await Job.objects.aupdate(state="failed", error="registry", ended_at=timezone.now())
        await page.hear()
        await Job.objects.aupdate(dismissed_at=timezone.now())
        await page.hear()

        assert [(told.get("running"), told.get("say")) for told in page.told] == [
            (1, None),
            (0, "qwen3:8b failed"),
            (0, None),
        ]


async def test_nothing_is_told_when_nothing_changed(start, root, watching):
    await start("qwen3:8b")
    async with watching(root) as page:
        assert await page.socket.receive_nothing(timeout=0.6)


async def test_a_page_hears_that_the_models_changed(practice_models, root, watching):
    async with watching(root) as page:
        await InstalledModel.objects.filter(name="practice:latest").aupdate(loaded=False)
        await page.hear()

        assert page.told[-1]["event"] == "models"


async def test_members_get_no_socket(alice, caplog):
    """S04."""
    socket = connecting(await sync_to_async(session_of)(alice), path="/ws/admin/")

    assert not (await socket.connect())[0]
    assert f"user {alice.pk} is no administrator" in caplog.text


async def test_who_is_no_administrator_any_more_hears_nothing_more(root, mara, watching):
    """S04."""
    async with watching(mara) as page:
        mara.is_admin = False
        await mara.asave()
        closed = await page.socket.receive_output(timeout=5)

        assert (closed["type"], closed["code"]) == ("websocket.close", live.CLOSE_FORBIDDEN)


async def test_who_signs_out_everywhere_hears_nothing_more(root, watching, monkeypatch):
    monkeypatch.setattr("webui.accounts.session_watch.LOOK_S", 0.05)
    async with watching(root) as page:
        await sync_to_async(end_all_sessions)(root)
        closed = await page.socket.receive_output(timeout=5)

        assert (closed["type"], closed["code"]) == ("websocket.close", live.CLOSE_SIGNED_OUT)


@pytest.mark.parametrize("said", ["[]", "nothing", '{"watch":null,"lang":[]}', '{"ack":"x"}', "[" * 100_000])
async def test_nonsense_on_the_socket_is_ignored(root, said):
    socket = connecting(await sync_to_async(session_of)(root), path="/ws/admin/")
    assert (await socket.connect())[0]
    await socket.send_to(text_data=said)
    await socket.send_to(text_data='{"watch":null,"lang":"en"}')

    assert "jobs" in json.loads(await socket.receive_from(timeout=5))
    await socket.disconnect()


async def test_who_comes_while_others_are_looked_after_is_not_taken_for_a_stranger(root, mara, practice_models):
    roots, maras = live.Watcher(root.pk, "en"), live.Watcher(mara.pk, "en")
    with closing(psycopg.connect(**connection.get_connection_params())) as other, live.watching(roots):
        await roots.next_message()
        other.execute("lock table accounts_user in access exclusive mode")
        await asyncio.sleep(2 * live.LOOK_S)  # a look has begun, and waits for the people
        with live.watching(maras):
            other.rollback()

            async with asyncio.timeout(5):
                assert await maras.next_message()
    assert maras.allowed


async def test_who_asks_whether_they_are_heard_is_answered(root):
    """F45."""
    opened = connecting(await sync_to_async(session_of)(root), path="/ws/admin/")
    await opened.connect()
    await opened.send_to(text_data='{"there":true}')

    assert await opened.receive_from(timeout=5) == "{}"
    await opened.disconnect()
