"""The same life under uvicorn, which needs less processor time per frame and waits for slow readers by itself.

It knows no deadlines for headers and bodies, so it belongs behind a proxy that does.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from .life import CannotListen, Headers, Starter, Stopper
from .limits import Limits

access = logging.getLogger("webui.access")

Scope = dict[str, Any]
TOO_LARGE = 413
LINGER_SECONDS = 3


def serve(
    application: Any,
    bind: str,
    *,
    on_start: Sequence[Starter] = (),
    on_ready: Callable[[], None] = lambda: None,
    on_drain: Callable[[], None] = lambda: None,
    on_stop: Sequence[Stopper] = (),
    limits: Limits | None = None,
    headers: Headers = (),
) -> None:
    """Like ``webui.server.serve``."""
    limits = limits or Limits()
    host, _, port = bind.rpartition(":")
    config = uvicorn.Config(
        _Guard(application, limits, headers),
        host=host.strip("[]"),
        port=int(port),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws_max_size=limits.message_bytes,
        ws_max_queue=limits.inbox_messages,
        ws_ping_interval=limits.ping_every_seconds,
        ws_ping_timeout=limits.ping_timeout_seconds,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=int(limits.drain_seconds),
    )
    server = _Server(config, on_start=on_start, on_ready=on_ready, on_drain=on_drain, on_stop=on_stop, limits=limits)
    try:
        listening = config.bind_socket()
    except SystemExit as error:
        raise CannotListen(f"Cannot listen on {bind}") from error
    server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """Starts our work before it says that it is ready, and ends it while it drains."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_start: Sequence[Starter],
        on_ready: Callable[[], None],
        on_drain: Callable[[], None],
        on_stop: Sequence[Stopper],
        limits: Limits,
    ) -> None:
        super().__init__(config)
        self._on_start = on_start
        self._on_ready = on_ready
        self._on_drain = on_drain
        self._on_stop = on_stop
        self._grace_s = limits.drain_seconds - limits.put_away_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for start in self._on_start:
            await start()
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_drain()
        stopping = [stop(self._grace_s) for stop in self._on_stop]
        await asyncio.gather(super().shutdown(sockets), *stopping)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn raises the signal again at its end; we end in order, with 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


class _Guard:
    """Refuses bodies that are too large, and writes the access log without what follows the path."""

    def __init__(self, application: Any, limits: Limits, headers: Headers) -> None:
        self._application = application
        self._limit = limits.body_bytes
        self._in_pieces = limits.in_pieces
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers]

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if self._in_pieces(scope["method"], scope["path"]):
            await self._hand_on(scope, receive, send)
            return
        body = _Body(receive, self._limit)
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")

        async def answer(message: Scope) -> None:
            if message["type"] == "http.response.start":
                access.info("%s %s %d", scope["method"], scope["path"], message["status"])
            if not body.is_too_large:
                await send(message)

        if int(announced) <= self._limit:
            await self._application(scope, body.receive, answer)
        if int(announced) > self._limit or body.is_too_large:
            await self._refuse(scope, receive, send)

    async def _hand_on(self, scope: Scope, receive: Any, send: Any) -> None:
        """A body of any length. An answer may come before its end; then nobody takes the rest."""
        body = _Body(receive, sys.maxsize)

        async def answer(message: Scope) -> None:
            if message["type"] == "http.response.start":
                access.info("%s %s %d", scope["method"], scope["path"], message["status"])
                ours = [] if body.is_whole else [(b"connection", b"close")]
                message = message | {"headers": [*message["headers"], *ours]}
            elif not message.get("more_body") and not body.is_whole:
                await send(message | {"more_body": True})
                await _listen_on(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._application(scope, body.receive, answer)

    async def _refuse(self, scope: Scope, receive: Any, send: Any) -> None:
        access.info("%s %s %d", scope["method"], scope["path"], TOO_LARGE)
        sentence = f"This is more than the {self._limit // (1024 * 1024)} MB that one request may carry.\n"
        ours = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": TOO_LARGE, "headers": [*self._headers, *ours]})
        await send({"type": "http.response.body", "body": sentence.encode(), "more_body": True})
        await _listen_on(receive)
        await send({"type": "http.response.body", "body": b""})


async def _listen_on(receive: Any) -> None:
    """A client reads our answer only when it is done sending: we listen a little longer, and keep nothing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body"):
                pass


class _Body:
    """Counts a body while it arrives. For the application one that is too large is a client that left."""

    def __init__(self, receive: Any, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._size = 0
        self.is_whole = False

    @property
    def is_too_large(self) -> bool:
        return self._size > self._limit

    async def receive(self) -> Scope:
        message: Scope = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self.is_whole = not message.get("more_body", False)
        return {"type": "http.disconnect"} if self.is_too_large else message
