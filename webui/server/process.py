"""The life of a serving process: start, serve, drain, end."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

from .guarded import GuardedServer  # before Twisted's reactor, which it chooses

from twisted.internet import reactor  # isort: skip

from .life import CannotListen, Headers, Starter, Stopper
from .limits import Limits

log = logging.getLogger("webui.server")


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
    """Serve the ASGI application at ``host:port`` until SIGTERM or SIGINT, then drain.

    ``on_start`` run in order before ``on_ready``; what one raises ends the process and comes out here.
    ``on_drain`` is called before, ``on_stop`` run together after the last connection was accepted; each is
    told how many seconds the work may go on before it must be put away. ``headers`` go with the answers
    that do not come from the application. Raises CannotListen.
    """
    server = GuardedServer(application, endpoint(bind), limits or Limits(), headers)
    life = _Life(server, on_start=on_start, on_ready=on_ready, on_drain=on_drain, on_stop=on_stop)
    server.listen()
    if server.listen_failure:
        raise CannotListen(f"Cannot listen on {bind}: {server.listen_failure}")
    life.run()


def endpoint(bind: str) -> str:
    """Twisted's name for ``host:port``; an IPv6 address is written in brackets."""
    host, _, port = bind.rpartition(":")
    return f"tcp:port={int(port)}:interface={host.strip('[]').replace(':', chr(92) + ':')}"


class _Life:
    def __init__(
        self,
        server: GuardedServer,
        *,
        on_start: Sequence[Starter],
        on_ready: Callable[[], None],
        on_drain: Callable[[], None],
        on_stop: Sequence[Stopper],
    ) -> None:
        self.server = server
        self.on_start = on_start
        self.on_ready = on_ready
        self.on_drain = on_drain
        self.on_stop = on_stop
        self.loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
        self.asked_to_stop = asyncio.Event()

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Asking twice changes nothing: the end has its own deadline.
            self.loop.add_signal_handler(number, self.asked_to_stop.set)
        living = self.loop.create_task(self._live())
        reactor.run(installSignalHandlers=False)
        living.result()  # raises what a starter raised

    async def _live(self) -> None:
        try:
            await self._start()
            await self.asked_to_stop.wait()
            _exit_after(self.server.limits.exit_seconds)
        finally:
            try:
                await self._drain()
            finally:
                reactor.callLater(0, reactor.stop)

    async def _start(self) -> None:
        for start in self.on_start:
            await start()
        self.on_ready()

    async def _drain(self) -> None:
        limits = self.server.limits
        log.info("Stopping: waiting at most %d s for what is running", limits.drain_seconds)
        self.on_drain()
        await self.server.stop_listening()
        self.server.close_sockets()
        stopping = [stop(limits.drain_seconds - limits.put_away_seconds) for stop in self.on_stop]
        work = [asyncio.ensure_future(each) for each in (self.server.requests_finished(), *stopping)]
        done, _ = await asyncio.wait(work, timeout=limits.drain_seconds)
        for task in done:
            if error := task.exception():
                log.error("Stopping was not orderly", exc_info=error)
        await self._cancel_the_rest()

    async def _cancel_the_rest(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            log.info("Cancelling %d unfinished tasks", len(rest))
            await asyncio.wait(rest, timeout=self.server.limits.cancel_seconds)


def _exit_after(seconds: float) -> None:
    """End the process by then. Python waits at its exit for every thread, also for one that waits for ever."""
    last_resort = threading.Timer(seconds, os._exit, [0])
    last_resort.daemon = True
    last_resort.start()
