"""The socket by which a browser brings a file to a host: in pieces, and never more than a few of them in memory.

The body of a request would be read to its end before anybody sees it. From a page (JSON, then bytes):
``{"host": id, "digest": "sha256:…", "size": bytes, "lang"}``, and after ``{"go": true}`` the file, at most ``WINDOW``
bytes ahead of what was acknowledged; whoever sends more is cut off. To a page: ``{"go"}``, ``{"got": bytes}``, and in
the end ``{"done": true}`` (at once, when the host has the file already) or ``{"failed": sentence}``.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from html import unescape
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import strip_tags

from models_admin.jobs.troubles import trouble_of
from models_admin.live import CLOSE_SIGNED_OUT, CLOSE_TOO_SLOW
from webui.accounts import session_watch
from webui.accounts.addresses import address_in
from webui.accounts.audit import record_for
from webui.db import read_db, run_db
from webui.inference.clients import client_of
from webui.inference.models import Host
from webui.ollama import OllamaError
from webui.text import compact

log = logging.getLogger(__name__)

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MAGIC = b"GGUF"
LARGEST = 2**40
WINDOW = 1024 * 1024
CLOSE_ERROR = 1011  # RFC 6455


class UploadConsumer(AsyncWebsocketConsumer):
    """One file of one administrator."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """However it ends, the host does not wait for the rest."""
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._ahead = 0  # bytes that came and are not acknowledged
        self._uploading: asyncio.Task[None] | None = None
        self._until_closed = ExitStack()
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._until_closed.close()
            if self._uploading:
                self._uploading.cancel()

    async def connect(self) -> None:
        user = self.scope["user"]
        if not user.is_admin:
            log.warning("user %s is no administrator and asked for %s", user.pk, self.scope["path"])
            await self.close()
            return
        await self.accept()
        self._until_closed.enter_context(session_watch.watched(self.scope["session_key"], self._sign_out))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Never waits for the host: that the page has gone is told here, too."""
        if bytes_data and self._uploading:
            await self._take(bytes_data)
        elif text_data is not None and self._uploading is None:
            self._uploading = asyncio.create_task(self._upload(_asked(text_data)))
            self._uploading.add_done_callback(self._over)

    async def _take(self, piece: bytes) -> None:
        self._ahead += len(piece)
        if self._ahead > WINDOW:
            await self.close(code=CLOSE_TOO_SLOW)
        else:
            self._pieces.put_nowait(piece)

    async def _upload(self, asked: "dict[str, Any] | None") -> None:
        host = await read_db(Host.objects.filter(enabled=True, pk=asked["host"]).first) if asked else None
        if asked is None or host is None:
            await self._end({"failed": ""})
            return
        client = client_of(host)
        try:
            if not await client.has_blob(asked["digest"]):
                await self._say({"go": True})
                await client.upload_blob(asked["digest"], self._file(asked["size"]))
                await run_db(_record, self.scope, host, asked)
            await self._end({"done": True})
        except OllamaError as error:
            await self._end({"failed": _sentence(error, host, asked["lang"])})
        except NotGGUF:
            await self._end({"failed": _not_gguf(asked["lang"])})

    async def _file(self, size: int) -> AsyncIterator[bytes]:
        """The pieces as they come, up to the size that was announced."""
        got = 0
        while got < size:
            piece = await self._pieces.get()
            if got == 0 and not piece.startswith(MAGIC):
                raise NotGGUF
            yield piece[: size - got]
            self._ahead -= len(piece)
            got = min(got + len(piece), size)
            await self._say({"got": got})

    async def _say(self, message: dict[str, object]) -> None:
        await self.base_send({"type": "websocket.send", "text": compact(message)})

    async def _end(self, message: dict[str, object]) -> None:
        await self._say(message)
        await self.close()

    def _over(self, uploading: asyncio.Task[None]) -> None:
        """A page does not wait for an upload that met an error of ours."""
        if not uploading.cancelled() and (error := uploading.exception()):
            log.error("an upload ended in an error", exc_info=error)
            self._uploading = asyncio.create_task(self.close(code=CLOSE_ERROR))

    def _sign_out(self) -> None:
        if self._uploading:
            self._uploading.cancel()
        self._uploading = asyncio.create_task(self.close(code=CLOSE_SIGNED_OUT))


class NotGGUF(Exception):
    """The file begins otherwise."""


def _asked(text: str) -> dict[str, Any] | None:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    host, digest, size = message.get("host"), message.get("digest"), message.get("size")
    if type(host) is not int or type(size) is not int or not 0 < size <= LARGEST or not 0 < host < 2**31:
        return None
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        return None
    known = [language for language, _ in settings.LANGUAGES]
    language = message.get("lang") if message.get("lang") in known else settings.LANGUAGE_CODE
    return {"host": host, "digest": digest, "size": size, "lang": language}


def _sentence(error: OllamaError, host: Host, language: str) -> str:
    """Words, not markup: the page shows them as they are."""
    with translation.override(language):
        context = {"job": {"error": trouble_of(error), "host_name": host.name}}
        return unescape(strip_tags(render_to_string("models_admin/jobs/_trouble.html", context))).strip()


def _not_gguf(language: str) -> str:
    with translation.override(language):
        return translation.gettext("This is not a GGUF file.")


def _record(scope: dict[str, Any], host: Host, asked: dict[str, Any]) -> None:
    after = {"host": host.name, "bytes": asked["size"]}
    record_for(scope["user"], "file_uploaded", asked["digest"], after=after, address=address_in(scope))
