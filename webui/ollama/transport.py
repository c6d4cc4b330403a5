"""HTTP/1.1 to a host, behind httpx's transport interface.

httpx's own transport sets timers and runs a general parser for each piece of a stream; at thirty pieces a second
and person that is most of what a portal does (docs/benchmarks.md). This one speaks what Ollama and the proxies
before it speak, and raises httpx's errors.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache

import httpx

from .connection import Connection, Origin
from .framing import Body, Head, ToTheEnd, body_of

KEPT = 20  # idle connections to one host
KEPT_S = 30.0

# What a request that was sent on a kept connection meets when the host has closed that meanwhile.
CLOSED_MEANWHILE = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


Resolve = Callable[[str], Awaitable[str]]


class Transport(httpx.AsyncBaseTransport):
    """Keeps idle connections for the next request.

    Of httpx's timeouts it knows ``connect``, ``write``, ``read`` (between two arrivals) and one more, ``head``:
    until the answer begins.

    ``resolve`` gives the address to connect to, from ``scheme://host:port``; it may refuse with an OSError.
    """

    def __init__(self, *, verify: bool = True, authority: str | None = None, resolve: Resolve | None = None) -> None:
        self._verify = verify
        self._authority = authority
        self._resolve = resolve
        self._idle: dict[Origin, list[Connection]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        kept = self._kept(_origin_of(request.url))
        if kept is None:
            return await self._answer(await self._connect(request), request)
        try:
            return await self._answer(kept, request)
        except CLOSED_MEANWHILE:
            if kept.was_heard or not isinstance(request.stream, httpx.ByteStream):
                raise
            return await self._answer(await self._connect(request), request)

    async def aclose(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()

    def keep(self, connection: Connection) -> None:
        """For the next request to the same host."""
        idle = self._idle.setdefault(connection.origin, [])
        if connection.is_reusable and len(idle) < KEPT:
            connection.idle_since = time.monotonic()
            idle.append(connection)
        else:
            connection.abort()

    def _kept(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin, [])
        while idle:
            connection = idle.pop()
            if connection.is_reusable and time.monotonic() - connection.idle_since < KEPT_S:
                return connection
            connection.abort()
        return None

    async def _connect(self, request: httpx.Request) -> Connection:
        origin = scheme, host, port = _origin_of(request.url)
        secured = _ssl_context(verify=self._verify, authority=self._authority) if scheme == "https" else None
        try:
            async with asyncio.timeout(_limits_of(request).get("connect")):
                address = await self._resolve(f"{scheme}://{host}:{port}") if self._resolve else host
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(origin), address, port, ssl=secured, server_hostname=host if secured else None
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except (OSError, ssl.SSLError, UnicodeError) as error:
            raise httpx.ConnectError(str(error)) from error
        return connection

    async def _answer(self, connection: Connection, request: httpx.Request) -> httpx.Response:
        limits = _limits_of(request)
        try:
            await connection.send(request, limits.get("write"))
            head = await connection.head(limits.get("head", limits.get("read")))
            body = body_of(head, request.method)
        except BaseException:
            connection.abort()
            raise
        stream = _Stream(self, connection, head, body, limits.get("read"))
        return httpx.Response(head.status, headers=head.headers, stream=stream)


class _Stream(httpx.AsyncByteStream):
    """The body of one answer. Closing it before its end closes the connection: that stops the host."""

    def __init__(
        self, transport: Transport, connection: Connection, head: Head, body: Body, limit_s: float | None
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._head = head
        self._body = body
        self._limit_s = limit_s
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        connection, body = self._connection, self._body
        while True:
            if content := body.take(connection.buffer):
                yield content
            elif body.is_whole or (connection.is_closed and isinstance(body, ToTheEnd)):
                return
            else:
                await connection.more(self._limit_s)

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._body.is_whole and self._head.keeps:
            self._transport.keep(self._connection)
        else:
            self._connection.abort()


@cache
def _ssl_context(*, verify: bool, authority: str | None) -> ssl.SSLContext:
    """One for all hosts: reading the certificates takes a while."""
    context = httpx.create_ssl_context(verify=verify, trust_env=False)
    if authority:
        context.load_verify_locations(cadata=authority)
    return context


def _origin_of(url: httpx.URL) -> Origin:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _limits_of(request: httpx.Request) -> dict[str, float | None]:
    limits: dict[str, float | None] = request.extensions.get("timeout", {})
    return limits
