"""Ends the sockets of sessions that ended, with one look at all sessions of a process every few seconds."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from webui.accounts.sessions import users_of_sessions
from webui.db import DatabaseAway, read_db

LOOK_S = 4.0

_open: dict[str, list[Callable[[], None]]] = defaultdict(list)
_looking: asyncio.Task[None] | None = None


@contextmanager
def watched(session: str, sign_out: Callable[[], None]) -> Iterator[None]:
    """Inside the block ``sign_out`` is called within seconds after nobody is signed in with the session any more."""
    global _looking  # noqa: PLW0603  one for the process
    _open[session].append(sign_out)
    if _looking is None or _looking.done():
        _looking = asyncio.create_task(_look())
    try:
        yield
    finally:
        _open[session].remove(sign_out)
        if not _open[session]:
            del _open[session]


async def _look() -> None:
    while _open:
        await asyncio.sleep(LOOK_S)
        with suppress(*DatabaseAway):
            asked = list(_open)
            signed_in = await read_db(users_of_sessions, asked)
            for session in asked:
                if session not in signed_in:
                    for sign_out in _open.get(session, [])[:]:
                        sign_out()
