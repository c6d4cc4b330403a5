"""The socket of an administrator's page. It only tells; every act is a POST."""

import asyncio
import json
import logging
from contextlib import ExitStack
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from models_admin import live
from webui.accounts import session_watch
from webui.text import compact

log = logging.getLogger(__name__)


class AdminConsumer(AsyncWebsocketConsumer):
    """Follows the jobs and the models."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """However it ends, nothing of it remains."""
        self._tasks: list[asyncio.Task[None]] = []
        self._until_closed = ExitStack()
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._until_closed.close()
            for task in self._tasks:
                task.cancel()

    async def connect(self) -> None:
        user = self.scope["user"]
        if not user.is_admin:
            log.warning("user %s is no administrator and asked for %s", user.pk, self.scope["path"])
            await self.close()
            return
        await self.accept()
        self._until_closed.enter_context(session_watch.watched(self.scope["session_key"], self._sign_out))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = _parsed(text_data)
        if "there" in message:
            await self.base_send({"type": "websocket.send", "text": "{}"})
        language = _language_asked(message)
        if language and not self._tasks:
            watcher = live.Watcher(self.scope["user"].pk, language)
            self._until_closed.enter_context(live.watching(watcher))
            self._tasks.append(asyncio.create_task(self._tell(watcher)))

    async def _tell(self, watcher: live.Watcher) -> None:
        while message := await watcher.next_message():
            await self.base_send({"type": "websocket.send", "text": compact(message)})
        await self.close(code=live.CLOSE_FORBIDDEN)

    def _sign_out(self) -> None:
        self._tasks.append(asyncio.create_task(self.close(code=live.CLOSE_SIGNED_OUT)))


def _parsed(text: str | None) -> dict[str, Any]:
    """What a page says; empty where it is nothing of the kind."""
    try:
        message = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _language_asked(message: dict[str, Any]) -> str | None:
    """Of the page's first message; everything else it may say means nothing here."""
    if "watch" not in message:
        return None
    known = [language for language, _ in settings.LANGUAGES]
    return message["lang"] if message.get("lang") in known else settings.LANGUAGE_CODE
