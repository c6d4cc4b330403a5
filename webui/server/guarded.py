"""Daphne's server with our guards, its own log and an orderly end."""

import asyncio
import logging
from functools import partial
from typing import Any
from weakref import WeakSet

from daphne.server import Server  # first of all: it installs the reactor that everything else imports

from twisted.internet import reactor  # isort: skip
from twisted.internet.endpoints import serverFromString  # isort: skip
from twisted.logger import globalLogBeginner  # isort: skip

from .flow import unsent_bytes, wait_for_room
from .life import Headers
from .limits import Limits
from .requests import GuardedChannel, GuardedHTTPFactory, GuardedRequest
from .sockets import GuardedSocket, GuardedSocketFactory

access = logging.getLogger("webui.access")

RESTARTING = 4012
QUIET_PATHS = frozenset({"/healthz", "/readyz"})
LOOK_AGAIN_SECONDS = 0.05


class GuardedServer(Server):
    """Listens and answers; whoever runs it decides when it stops listening and when it is over."""

    def __init__(self, application: Any, endpoint: str, limits: Limits, headers: Headers) -> None:
        super().__init__(
            application,
            endpoints=[endpoint],
            ping_interval=limits.ping_every_seconds,
            ping_timeout=limits.ping_timeout_seconds,
            websocket_timeout=limits.socket_lifetime_seconds,
            server_name="",
        )
        self.limits = limits
        self.headers = list(headers)  # of the answers that do not come from the application
        self.draining = False
        self.listen_failure = ""
        self.ports: list[Any] = []
        self.connections: dict[Any, dict[str, Any]] = {}
        self.channels: WeakSet[GuardedChannel] = WeakSet()

    # -- listening

    def listen(self) -> None:
        """Accept connections from now on; ``listen_failure`` says why not."""
        globalLogBeginner.beginLoggingTo([lambda _: None], redirectStandardIO=False, discardBuffer=True)
        self.http_factory = GuardedHTTPFactory(self)
        self.ws_factory = GuardedSocketFactory(self, server="")
        self.ws_factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,  # the application checks origins, and answers strangers itself
            openHandshakeTimeout=self.websocket_handshake_timeout,
            maxMessagePayloadSize=0,
            maxFramePayloadSize=0,
        )
        reactor.callLater(1, self.application_checker)
        reactor.callLater(2, self.timeout_checker)
        for endpoint in self.endpoints:
            listening = serverFromString(reactor, endpoint).listen(self.http_factory)
            listening.addCallbacks(self.listen_success, self.listen_error)

    def listen_success(self, port: Any) -> None:
        self.ports.append(port)

    def listen_error(self, failure: Any) -> None:
        self.listen_failure = failure.getErrorMessage()

    # -- answering

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Daphne's own, but for a body that comes in pieces, and for an answer that is left before its end."""
        pieces = protocol.pieces if isinstance(protocol, GuardedRequest) else None
        if pieces is None:
            inbox = super().create_application(protocol, scope)
        else:
            inbox = pieces
            send = partial(self.handle_reply, protocol)
            answering = self.application({"asgi": {"version": "3.0"}, **scope}, pieces.get, send)
            self.connections[protocol]["application_instance"] = asyncio.ensure_future(answering)
        running = self.connections.get(protocol, {}).get("application_instance")
        if running and isinstance(protocol, GuardedRequest):
            running.add_done_callback(lambda _: protocol.left())
        return inbox

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """What an application's ``send`` does: hand the message over, then wait for a peer that lags."""
        await super().handle_reply(protocol, message)
        if protocol.transport is not None:
            await wait_for_room(protocol.transport, self.limits)

    def log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        """One line per answer and per socket's beginning and end. A query string may hold a search: cut."""
        path = details["path"].partition("?")[0]
        if protocol == "http" and path not in QUIET_PATHS:
            milliseconds = round(details["time_taken"] * 1000)
            told = (
                details["method"],
                path,
                details["status"],
                milliseconds,
                details["size"],
                details["client"],
            )
            access.info("%s %s %d %d ms %d bytes to %s", *told)
        elif action in {"connected", "disconnected", "rejected"}:
            access.info("socket %s %s from %s", path, action, details["client"])

    # -- ending

    async def stop_listening(self) -> None:
        self.draining = True
        for port in self.ports:
            await port.stopListening().asFuture(asyncio.get_running_loop())

    def close_sockets(self) -> None:
        """Ask every page to come back; by then another process, or this one anew, answers."""
        for protocol in list(self.connections):
            if isinstance(protocol, GuardedSocket):
                if protocol.state == protocol.STATE_OPEN:
                    protocol.serverClose(code=RESTARTING)
                elif protocol.state == protocol.STATE_CONNECTING:
                    protocol.serverReject()

    async def requests_finished(self) -> None:
        """Return when nothing is being answered and every answer has left; half-sent ones do not count."""
        while running := self._running_applications():
            await asyncio.wait(running)
        while any(unsent_bytes(channel.transport) for channel in self.channels):  # noqa: ASYNC110 -- no event
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def _running_applications(self) -> list[asyncio.Future[None]]:
        instances = (details.get("application_instance") for details in self.connections.values())
        return [instance for instance in instances if instance and not instance.done()]
