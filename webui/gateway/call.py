"""One request of a script, and the way back to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from webui.accounts.models import AccessToken
from webui.gateway import bodies
from webui.gateway.refusals import Refused
from webui.http import SECURITY_HEADERS

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
MayUse = Callable[[str], bool]  # the model of a name

JSON, LINES, EVENTS, TEXT = (
    "application/json; charset=utf-8",
    "application/x-ndjson",
    "text/event-stream",
    "text/plain",
)
BODY_LIMIT = 64 * 1024 * 1024  # the server's own limit is lower
# Of an answer that a script does not read, so much is kept, and so long; then it is cut off. The host is read on.
WAITING_LIMIT = 128 * 1024
WAITING_S = 5.0


class Gone(Exception):
    """The script left, or does not read what it asked for."""


class Call:
    """``path`` is the one of Ollama's, whatever stands before it.

    ``token``, and what may be used with it, are set when it is known to be good.
    """

    token: AccessToken
    may_use: MayUse

    def __init__(self, scope: Message, receive: Receive, send: Send, path: str) -> None:
        self.scope = scope
        self.path = path
        self.verb: str = scope["method"]
        self.notes: dict[str, str] = {}  # headers of the answer
        self.content_type = ""  # of the answer, once it has begun
        self._receive = receive
        self._send = send
        self._is_read = asyncio.Event()
        self._waiting = bytearray()
        self._filled, self._emptied = asyncio.Event(), asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._is_over = False

    # What it says

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            more = message.get("more_body", False)
            yield message.get("body", b"")
        self._is_read.set()

    async def body(self) -> bodies.Object:
        """The object in the body. Raises Refused."""
        raw = bytearray()
        async for chunk in self.chunks():
            raw += chunk
            if len(raw) > BODY_LIMIT:
                raise Refused(413, "the request is too large")
        return bodies.parse(bytes(raw))

    async def left(self) -> None:
        """Return when the script hangs up."""
        await self._is_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    # What it is told

    async def answer(self, status: int, content: bytes = b"", content_type: str = "", **headers: str) -> None:
        """A whole answer."""
        length = {"Content-Length": str(len(content))}
        await self._begin(status, {**length, **headers, **({"Content-Type": content_type} if content_type else {})})
        await self._send({"type": "http.response.body", "body": b"" if self.verb == "HEAD" else content})
        self._is_over = True

    async def tell(self, found: object) -> None:
        await self.answer(200, json.dumps(found).encode(), JSON)

    async def refuse(self, refused: Refused) -> None:
        """In Ollama's form, or OpenAI's; in the middle of an answer as its last line."""
        if self.content_type:
            await self.write(_last_line(self.content_type, str(refused)))
            await self.end()
        elif refused.plain:
            await self.answer(refused.status, str(refused).encode(), TEXT, Allow=refused.allow)
        else:
            said = _as_openai(str(refused), refused.status) if self.path.startswith("/v1/") else {"error": str(refused)}
            retry = {"Retry-After": str(refused.retry_s)} if refused.retry_s else {}
            await self.answer(refused.status, json.dumps(said).encode(), JSON, **retry)

    async def begin(self, content_type: str) -> None:
        """An answer that comes bit by bit."""
        self.content_type = content_type
        await self._begin(200, {"Content-Type": content_type})
        self._sending = asyncio.create_task(self._send_waiting())

    async def write(self, content: bytes) -> None:
        """Let it wait until it is sent. Raises Gone when too much waits for too long."""
        self._waiting += content
        self._filled.set()
        if len(self._waiting) > WAITING_LIMIT:
            self._emptied.clear()
            try:
                async with asyncio.timeout(WAITING_S):
                    await self._emptied.wait()
            except TimeoutError as error:
                raise Gone from error

    async def end(self) -> None:
        """Everything was written."""
        self._is_over = True
        self._filled.set()
        if self._sending:
            await self._sending

    async def close(self) -> None:
        """Nothing is sent any more."""
        if self._sending:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        ours = {**SECURITY_HEADERS, "Cache-Control": "no-store", **self.notes, **headers}
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in ours.items() if value]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def _send_waiting(self) -> None:
        while self._waiting or not self._is_over:
            self._filled.clear()
            content, self._waiting = bytes(self._waiting), bytearray()
            if content:
                await self._send({"type": "http.response.body", "body": content, "more_body": True})
            self._emptied.set()
            if not self._waiting and not self._is_over:
                await self._filled.wait()
        await self._send({"type": "http.response.body", "body": b""})


def _last_line(content_type: str, words: str) -> bytes:
    line = json.dumps({"error": words} if content_type != EVENTS else _as_openai(words, 500))
    return f"data: {line}\n\n".encode() if content_type == EVENTS else f"{line}\n".encode()


def _as_openai(words: str, status: int) -> Message:
    match status:
        case 404:
            kind = "not_found_error"
        case 429:
            kind = "rate_limit_error"
        case _ if status >= 500:  # noqa: PLR2004
            kind = "api_error"
        case _:
            kind = "invalid_request_error"
    return {"error": {"message": words, "type": kind, "param": None, "code": None}}
