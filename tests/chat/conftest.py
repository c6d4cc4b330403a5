"""Conversations that live: a page that follows, and a practice model that answers."""

import asyncio
import uuid
from contextlib import asynccontextmanager

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient
from django.urls import reverse

from chat import hub
from chat.consumers import bring_up_to_date
from chat.viewer import Viewer
from tests.pages import Page

LIVE = {"queued", "loading", "reading", "thinking", "writing"}


class Watcher:
    """A signed-in page of a conversation, without a browser or a server: it takes what its viewer is sent."""

    def __init__(self, client: AsyncClient, conversation) -> None:
        self.client = client
        self.conversation = conversation
        self.messages: list[str] = []
        self.arrived = asyncio.Condition()
        self.page: Page | None = None

    async def load(self) -> Page:
        url = reverse("chat:conversation", kwargs={"pk": self.conversation.pk})
        return Page((await self.client.get(url)).content.decode())

    async def send(self, text: str) -> None:
        async with self.arrived:
            self.messages.append(text)
            self.page.take(text)
            self.arrived.notify_all()

    async def until(self, condition) -> None:
        """Wait until the page looks as wanted."""
        async with asyncio.timeout(10), self.arrived:
            await self.arrived.wait_for(lambda: condition(self.page))

    async def until_state(self, message, *states: str) -> None:
        def reached(page: Page) -> bool:
            article = page.find(f"m-{message}")
            return article is not None and article.get("data-state") in states and _agrees(page, article)

        await self.until(reached)

    async def same_as_reload(self) -> None:
        """The page equals a fresh one in everything the socket may change."""
        fresh = await self.load()
        for part in ("thread", "composer", "side-list"):
            assert self.page.shown(part) == fresh.shown(part)


def _agrees(page: Page, article) -> bool:
    """The list of conversations is told of an ending last."""
    return article.get("data-state") in LIVE or "Answer in progress" not in page.shown("side-list")


@pytest.fixture
async def signed_in(async_client):
    async def sign_in(user) -> AsyncClient:
        await async_client.aforce_login(user)
        return async_client

    yield sign_in
    # Views and services ran on the thread of synchronous code; its connection would outlive the test database.
    await sync_to_async(connections.close_all)()


@pytest.fixture
def watching(signed_in):
    """``async with watching(conversation, user) as watcher``: an open page that follows the conversation."""

    @asynccontextmanager
    async def watch(conversation, user, *, language="en"):
        watcher = Watcher(await signed_in(user), conversation)
        watcher.page = await watcher.load()
        viewer = Viewer(language=language, send=watcher.send)
        topics = [hub.conversation_topic(conversation.pk), hub.person_topic(user.pk)]
        for topic in topics:
            hub.join(viewer, topic)
        seen = {
            "seen": watcher.page.element("thread").get("data-stamp"),
            "list": watcher.page.element("side-list").get("data-stamp"),
        }
        await bring_up_to_date(viewer, user, conversation.pk, seen)
        pump = asyncio.create_task(viewer.pump())
        try:
            yield watcher
        finally:
            pump.cancel()
            for topic in topics:
                hub.leave(viewer, topic)

    return watch


@pytest.fixture
def act():
    """``await act(services.ask, conversation=..., ...)``: a service, as a view would call it."""

    async def act(service, **facts):
        return await sync_to_async(service)(**facts)

    return act


@pytest.fixture
def question(conversation, alice):
    """The arguments of ``services.ask`` for a model and a text."""

    def question(text="What is tea?", model="practice:latest", think=None):
        return {
            "conversation": conversation,
            "author": alice,
            "text": text,
            "model": model,
            "think": think,
            "client_key": uuid.uuid4(),
        }

    return question


@pytest.fixture
def held_ledger(transactional_db):
    """``async with held_ledger() as somebody_waits``: no ending can be stored; await that one would be."""
    parameters = connections["default"].get_connection_params()
    place = {name: parameters[name] for name in ("host", "port", "user", "password", "dbname") if name in parameters}
    waiting = "select count(*) from pg_locks where relation = 'inference_usage'::regclass and not granted"

    @asynccontextmanager
    async def held_ledger():
        async with await psycopg.AsyncConnection.connect(**place) as other:
            await other.execute("lock table inference_usage in share mode")

            async def somebody_waits() -> None:
                async with asyncio.timeout(10):
                    while (await (await other.execute(waiting)).fetchone()) == (0,):
                        await asyncio.sleep(0.01)

            yield somebody_waits

    return held_ledger
