"""The portal with its API on a port, a practice host behind it, and the tokens of the cast."""

import asyncio
import socket
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import uvicorn
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone
from uvicorn.server import ServerState

from models_admin.jobs.driver import JobDriver
from tests.conftest import install
from tests.webui.practice.wire import Answer, ask
from webui.accounts import tokens
from webui.accounts.models import User
from webui.asgi import application
from webui.inference import door
from webui.inference.clients import close_clients
from webui.inference.models import Host, InstalledModel
from webui.inference.turns import Turns

MORE_MODELS = [
    *("practice-tools:latest", "practice-tools-early:latest", "practice-vision:latest", "practice-embed:latest"),
    *("practice-counting:latest", "fault-gate:latest", "fault-nel:latest", "fault-miderr:latest", "fault-fast:latest"),
]


class Portal:
    """``ask`` as somebody with a token; ``url`` for clients."""

    def __init__(self, url: str, host: Host) -> None:
        self.url = url
        self.host = host

    @property
    def address(self) -> tuple[str, int]:
        place = urlsplit(self.url)
        return place.hostname, place.port

    async def ask(self, verb: str, path: str, body: object = None, *, token: str = "", **headers: str) -> Answer:
        given = {"Authorization": f"Bearer {token}"} if token else {}
        return await ask(self.url, verb, path, body, **given, **headers)


@pytest.fixture
async def portal(practice, transactional_db, monkeypatch):
    monkeypatch.setattr(door, "turns", Turns())  # of this test's loop
    async with serving() as url:
        yield Portal(url, await sync_to_async(with_all_models)(practice.url))
    await door.turns.close()
    await close_clients()
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def jobs(portal):
    """This process does jobs, on the test's own loop."""
    driver = JobDriver()
    driver.open()
    yield driver
    await driver.close()


@asynccontextmanager
async def serving():
    """The application on a port, inside of the test's loop. Uvicorn's own way to begin and to end takes its time."""
    config = uvicorn.Config(application, lifespan="off", ws="none", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)  # else megabytes wait in the kernel
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        while state.tasks:  # they end by themselves, as clients have gone
            async with asyncio.timeout(5):
                await asyncio.wait(state.tasks)


def with_all_models(url: str) -> Host:
    host = install(url)
    Host.objects.filter(pk=host.pk).update(version="0.33.0")
    for name in MORE_MODELS:
        InstalledModel.objects.create(host=host, name=name, digest=name, loaded=True, seen_at=timezone.now())
    return host


def token_for(user: User, **more) -> str:
    return tokens.make(user=user, name="script", **more)[1]


@pytest.fixture
async def token(portal, alice) -> str:
    """Alice's, for using models."""
    return await sync_to_async(token_for)(alice)


@pytest.fixture
async def admin_token(portal, root) -> str:
    """Root's, for managing models."""
    return await sync_to_async(token_for)(root, scope="admin")
