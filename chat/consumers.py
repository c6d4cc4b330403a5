"""The socket of one open page. It relays and decides nothing; every write is a POST."""

import asyncio
import json
import time
from collections import defaultdict
from contextlib import ExitStack
from typing import Any, ClassVar
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import translation

from chat import hub, live
from chat.models import Conversation
from chat.viewer import TooSlow, Viewer
from webui.accounts import session_watch
from webui.accounts.models import User
from webui.db import DatabaseAway, read_db
from webui.text import compact

SOCKETS_PER_PERSON = 20
MESSAGES_PER_S = 30


class PageConsumer(AsyncWebsocketConsumer):
    """Follows what its page shows: the person's list, and one conversation at a time."""

    _sockets: ClassVar[dict[int, int]] = defaultdict(int)

    user: User
    viewer: Viewer

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """However it ends, be it by an error of ours or of the database, nothing of it remains."""
        self.user = scope["user"]
        self._topics: list[hub.Topic] = []
        self._conversation: UUID | None = None
        self._budget = Budget(MESSAGES_PER_S)
        self._tasks: list[asyncio.Task[None]] = []
        self._until_closed = ExitStack()
        self.viewer = Viewer(language=settings.LANGUAGE_CODE, send=self._send)
        self._sockets[self.user.pk] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()

    async def connect(self) -> None:
        await self.accept()
        if self._sockets[self.user.pk] > SOCKETS_PER_PERSON:
            await self.close(code=live.CLOSE_TOO_SLOW)
            return
        self._until_closed.enter_context(session_watch.watched(self.scope["session_key"], self._sign_out))
        self._tasks.append(asyncio.create_task(self._pump()))

    def _end(self) -> None:
        self._sockets[self.user.pk] -= 1
        if not self._sockets[self.user.pk]:
            del self._sockets[self.user.pk]
        self._leave_all()
        self._until_closed.close()
        for task in self._tasks:
            task.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = _parsed(text_data)
        if message is None or not self._budget.allows(time.monotonic()):
            await self.close(code=live.CLOSE_TOO_SLOW)
        elif "ack" in message:
            self.viewer.acknowledge(message["ack"] if isinstance(message["ack"], int) else 0)
        elif "resync" in message:
            self._start_over(message["resync"])
        elif "there" in message:
            await self._send("{}")
        elif "watch" in message:
            try:
                await self._watch(message)
            except DatabaseAway:
                await self.close(code=live.CLOSE_RESTART)

    async def _watch(self, message: dict[str, Any]) -> None:
        self._leave_all()
        if message.get("lang") in [language for language, _ in settings.LANGUAGES]:
            self.viewer.language = message["lang"]
        wanted = _uuid(message.get("watch"))
        # A page that listened before we know that it may look would hear what happens in between.
        if wanted and not await read_db(_may_look, self.user, wanted):
            await self.close(code=live.CLOSE_GONE)
            return
        # First listen, then read: what happens in between is told twice rather than never.
        self._join(hub.EVERYBODY)
        self._join(hub.person_topic(self.user.pk))
        if wanted:
            self._join(hub.conversation_topic(wanted))
        if await bring_up_to_date(self.viewer, self.user, wanted, message):
            self._conversation = wanted
        else:
            self._leave_all()
            await self.close(code=live.CLOSE_GONE)

    def _start_over(self, run: object) -> None:
        answer = hub.answer_of(_uuid(run) or UUID(int=0))
        if answer and answer.conversation == self._conversation:
            self.viewer.start_over(answer)

    def _join(self, topic: hub.Topic) -> None:
        hub.join(self.viewer, topic)
        self._topics.append(topic)

    def _leave_all(self) -> None:
        self._conversation = None
        while self._topics:
            hub.leave(self.viewer, self._topics.pop())

    async def _send(self, text: str) -> None:
        await self.base_send({"type": "websocket.send", "text": text})

    async def _pump(self) -> None:
        try:
            await self.viewer.pump()
        except TooSlow:
            await self.close(code=live.CLOSE_TOO_SLOW)

    def _sign_out(self) -> None:
        self._tasks.append(asyncio.create_task(self.close(code=live.CLOSE_SIGNED_OUT)))


class Budget:
    """So many messages a second, with a burst of two seconds' worth."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left = 2 * per_s
        self._at = time.monotonic()

    def allows(self, now: float) -> bool:
        self._left = min(2 * self._per_s, self._left + (now - self._at) * self._per_s)
        self._at = now
        self._left -= 1
        return self._left >= 0


async def bring_up_to_date(viewer: Viewer, user: User, conversation: UUID | None, page: dict[str, Any]) -> bool:
    """Tell a page that has just joined what it missed; False when it may not look at the conversation."""
    while True:
        viewer.forget()
        tellings = viewer.tellings
        missed = await read_db(_missed, user, conversation, page, viewer.language)
        # What was told while we read is in no known order with what we read: then read again.
        if viewer.tellings == tellings:
            break
    for part in missed or []:
        viewer.tell(part)
    for answer in hub.answers_in(conversation) if conversation and missed is not None else []:
        viewer.start_over(answer)
    return missed is not None


def _may_look(user: User, conversation: UUID) -> bool:
    return Conversation.objects.visible_to(user).filter(pk=conversation).exists()


def _missed(user: User, conversation: UUID | None, page: dict[str, Any], language: str) -> list[str] | None:
    """Messages for a page that shows ``seen``, ``list`` and ``saving``; None when it may not look."""
    with translation.override(language):
        told = live.saving_messages(page.get("saving")) + live.list_messages(user, page.get("list"))
        if conversation:
            found = Conversation.objects.visible_to(user).filter(pk=conversation).first()
            if found is None:
                return None
            told += live.conversation_messages(found, page.get("seen"))
        return [compact(message) for message in told]


def _parsed(text: str | None) -> dict[str, Any] | None:
    try:
        message = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
