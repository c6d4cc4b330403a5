"""Two who want the same at the same moment, in an order that is always the same."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections, transaction

Start = Callable[[Callable[[], Any]], Future]

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@contextmanager
def in_a_thread() -> Iterator[ThreadPoolExecutor]:
    """A thread of its own, with a database connection of its own."""
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool
        finally:
            pool.submit(connections.close_all).result()


@contextmanager
def once_it_waits(pool: ThreadPoolExecutor) -> Iterator[Start]:
    """What the block does is stored only when the rival, whom ``start`` lets go, waits for it or is done."""
    with transaction.atomic():
        started: list[Future] = []

        def start(work: Callable[[], Any]) -> Future:
            started.append(pool.submit(work))
            return started[-1]

        yield start
        for rival in started:
            until_waiting(rival)


def until_waiting(rival: Future) -> None:
    """Return when the rival waits for a lock, or is done."""
    with connection.cursor() as cursor:
        waiting = 0
        while not waiting and not rival.done():
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees the same for ever
            cursor.execute(WAITING)
            (waiting,) = cursor.fetchone()
