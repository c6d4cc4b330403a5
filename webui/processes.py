"""What runs beside the pages in every serving process: the drivers of runs and jobs, the watch over the hosts, the
end of old usage.
"""

import asyncio
import threading

from chat.runs.driver import Driver
from chat.runs.sweep import go_on, sweep
from models_admin.jobs.driver import JobDriver
from webui.inference import door
from webui.inference.clients import close_clients
from webui.inference.hosts import run_practice_host_if_chosen, watch_hosts
from webui.inference.retention import forget_old_usage
from webui.watchdog import watch_loop

_driver: Driver | None = None
_jobs: JobDriver | None = None
_stopping: asyncio.Event | None = None
_watchdog: threading.Event | None = None
_watches: list[asyncio.Task[None]] = []


async def start() -> None:
    """Begin the background work on the running loop."""
    global _driver, _jobs, _stopping, _watchdog  # noqa: PLW0603  one set per process
    _stopping = asyncio.Event()
    _watchdog = watch_loop()
    _driver = Driver(sweep=sweep, go_on=go_on)
    _driver.open()
    _jobs = JobDriver()
    _jobs.open()
    for watch in (watch_hosts, run_practice_host_if_chosen, forget_old_usage):
        _watches.append(asyncio.create_task(watch(_stopping)))


async def stop(grace_s: float) -> None:
    """End it: running answers may finish within ``grace_s`` seconds, the rest is handed over."""
    if _driver and _jobs and _stopping and _watchdog:
        await _jobs.close()
        await _driver.close(grace_s)
        _stopping.set()
        await asyncio.gather(*_watches, return_exceptions=True)
        await door.turns.close()
        await close_clients()
        _watchdog.set()
