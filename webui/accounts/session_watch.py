"""Ends what sessions and tokens opened once they ended, with one look at all of a process every few seconds."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from webui.accounts.sessions import users_of_sessions
from webui.accounts.tokens import still_living
from webui.db import DatabaseAway, read_db

LOOK_S = 4.0

Key = TypeVar("Key")


class Watch(Generic[Key]):
    """``living`` says which of some keys have not ended."""

    def __init__(self, living: Callable[[Collection[Key]], Container[Key]]) -> None:
        self._living = living
        self._open: dict[Key, list[Callable[[], None]]] = defaultdict(list)
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def watched(self, key: Key, close: Callable[[], None]) -> Iterator[None]:
        """Inside the block ``close`` is called within seconds after the key ended."""
        self._open[key].append(close)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._open[key].remove(close)
            if not self._open[key]:
                del self._open[key]

    async def _look(self) -> None:
        while self._open:
            await asyncio.sleep(LOOK_S)
            with suppress(*DatabaseAway):
                asked = list(self._open)
                living = await read_db(self._living, asked)
                for key in asked:
                    if key not in living:
                        for close in self._open.get(key, [])[:]:
                            close()


watched = Watch(users_of_sessions).watched
watched_token = Watch(still_living).watched
