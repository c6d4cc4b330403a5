"""Database work from sockets and tasks.

The defaults of Channels and Django run every socket's queries on one thread of the process. ``run_db`` has
threads of its own and gives its connection back after each call.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, InternalError, OperationalError, close_old_connections, connection

log = logging.getLogger(__name__)

# What a query raises when PostgreSQL went away, restarts, refuses more connections, is too busy or cannot write.
DatabaseAway = (OperationalError, InterfaceError, InternalError)
AGAIN_S = 0.5

P = ParamSpec("P")
T = TypeVar("T")

_threads = ThreadPoolExecutor(max_workers=6, thread_name_prefix="run_db")


async def run_db(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run synchronous database work on a thread of its own and wait for it.

    A caller that is cancelled waits, too: no work goes on behind its back.
    """
    loop = asyncio.get_running_loop()
    working = loop.run_in_executor(_threads, partial(with_fresh_connection, partial(work, *args, **kwargs)))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise


async def read_db(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like ``run_db`` for work that writes nothing: a connection that broke meanwhile is retried once."""
    try:
        return await run_db(work, *args, **kwargs)
    except DatabaseAway:
        return await run_db(work, *args, **kwargs)


async def wait_db(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like ``run_db`` for work that may be done again, however long the database is away."""
    while True:
        try:
            return await run_db(work, *args, **kwargs)
        except DatabaseAway as error:
            log.warning("waiting for the database: %s", type(error.__cause__ or error).__name__)
            await asyncio.sleep(AGAIN_S)


def take_turns(lock: int) -> None:
    """From here to the end of its transaction one process at a time goes on. The same number is the same turn."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock])


def with_fresh_connection(work: Callable[[], T]) -> T:
    """For work on a thread that belongs to no request."""
    close_old_connections()
    try:
        return work()
    finally:
        # Only a thread that runs for ever returns its connection by itself; these are lent per call.
        if not connection.in_atomic_block:
            connection.close()
