"""Waiting for one's turn: the requests of this process that stand in lines.

The lines are in PostgreSQL, shared by all processes (``lines.py``). Each process settles what happened in one
transaction at a time: a hundred people who ask at once cost a few of them.
"""

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID, uuid4

from webui.db import DatabaseAway, run_db
from webui.ids import uuid7
from webui.inference import lines
from webui.inference.lines import Key, Settled, Standing
from webui.inference.models import Usage
from webui.inference.quotas import Quota
from webui.ollama import OllamaError

log = logging.getLogger(__name__)

T = TypeVar("T")

ENDED = "An administrator ended it."
LOOK_S = 1.0  # how often to look for what other processes did; also renews the leases


class HostGone(OllamaError):
    """The host was removed while somebody waited for it."""

    kind = "unreachable"


class Removed(OllamaError):
    """An administrator took the request out of the line, or ended it."""

    kind = "removed"


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody stands: 1 is next. ``about_s`` is an estimate in seconds, where there is one."""

    number: int
    about_s: float | None


class Hold:
    """A request in line; it holds a slot when ``places`` has ended. ``removed``: the slot must be given back."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.removed = False
        self._news: asyncio.Queue[Place | None] = asyncio.Queue()
        self._told: Place | None = None
        self._admitted = False
        self._error: OllamaError | None = None
        self._waits: asyncio.Task[object] | None = None  # for what the host says next

    async def places(self) -> AsyncIterator[Place]:
        """Every place in line until it is our turn. Raises QuotaReached, Removed or HostGone."""
        while place := await self._news.get():
            yield place
        if self._error:
            raise self._error

    async def unless_removed(self, work: Awaitable[T]) -> T:
        """What the work brings. Raises Removed when an administrator ends it, however long the host says nothing.

        As ``asyncio.timeout`` does it, which costs five times as much: this is done for each piece of each answer.
        """
        task = self._waits = asyncio.current_task()
        assert task  # noqa: S101  a coroutine that runs is in one
        cancelling = task.cancelling()
        try:
            found = await work
        except asyncio.CancelledError:
            if self.removed and task.uncancel() <= cancelling:
                raise Removed(ENDED) from None
            raise
        finally:
            self._waits = None
        if self.removed:
            raise Removed(ENDED)
        return found

    def tell(self, place: Place) -> None:
        if self._told is None or place.number != self._told.number:
            self._told = place
            self._news.put_nowait(place)

    def admit(self) -> None:
        if not self._admitted:
            self._admitted = True
            self._news.put_nowait(None)

    def remove(self, error: OllamaError) -> None:
        if self.removed:
            return
        self.removed = True
        if not self._admitted:
            self._error = error
            self.admit()
        elif self._waits:
            self._waits.cancel()


class Turns:
    """Everybody of this process who stands in a line."""

    def __init__(self) -> None:
        self._owner = uuid4()
        self._holds: dict[UUID, Hold] = {}
        self._joining: dict[UUID, Standing] = {}
        self._leaving: dict[UUID, Key] = {}
        self._settling: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @contextmanager
    def take(
        self,
        key: Key,
        *,
        person: int,
        door: Usage.Door,
        token: int | None = None,
        waited_s: float = 0,
        quotas: tuple[Quota, ...] = (),
    ) -> Iterator[Hold]:
        """Stand in line, and hold what is gained there, inside the block.

        ``waited_s``: for so long it stood in other lines before, which counts. ``quotas`` must let it in.
        """
        hold = Hold(Standing(uuid7(), key, person, door, token, waited_s, quotas))
        self._holds[hold.standing.id] = hold
        self._joining[hold.standing.id] = hold.standing
        self._settle_soon()
        try:
            yield hold
        finally:
            self._leave(hold.standing)

    async def close(self) -> None:
        """The process ends."""
        if self._settling and not self._settling.done():
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)
        self._settling = None
        with suppress(*DatabaseAway):  # then the lease runs out
            await run_db(lines.end, self._owner)

    def _leave(self, standing: Standing) -> None:
        """Even if it only wanted to join: perhaps it did so, and the database went away before it said so."""
        del self._holds[standing.id]
        self._joining.pop(standing.id, None)
        self._leaving[standing.id] = standing.key
        self._settle_soon()

    def _settle_soon(self) -> None:
        if self._settling is None or self._settling.done():
            self._changed = asyncio.Event()
            self._settling = asyncio.create_task(self._settle_while_needed(), context=contextvars.Context())
        self._changed.set()

    async def _settle_while_needed(self) -> None:
        while self._holds or self._leaving:
            self._changed.clear()
            try:
                await self._settle()
            except DatabaseAway:
                log.warning("nobody moves up in line: the database does not answer")
                await asyncio.sleep(LOOK_S)
            except Exception:
                log.exception("nobody moves up in line")
                await asyncio.sleep(LOOK_S)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._changed.wait()

    async def _settle(self) -> None:
        joining, leaving = self._joining, self._leaving
        keys = {hold.standing.key for hold in self._holds.values()} | set(leaving.values())
        self._joining, self._leaving = {}, {}
        try:
            settled = await run_db(
                lines.settle, self._owner, joining=list(joining.values()), leaving=set(leaving), keys=keys
            )
        except DatabaseAway:
            self._joining = {id_: each for id_, each in joining.items() if id_ in self._holds} | self._joining
            self._leaving = {**leaving, **self._leaving}
            raise
        except Exception:
            # An error of ours, that would come again and again with whoever joined: it is theirs alone.
            for hold in filter(None, map(self._holds.get, joining)):
                hold.remove(OllamaError("The line is broken."))
            self._leaving = {**leaving, **self._leaving}
            raise
        for hold in list(self._holds.values()):
            if hold.standing.id not in self._joining:
                self._tell(hold, settled.get(hold.standing.key))

    def _tell(self, hold: Hold, settled: Settled | None) -> None:
        """How it stands with one of ours."""
        id_ = hold.standing.id
        if settled is None:
            hold.remove(HostGone("The host was removed."))
        elif reached := settled.refused.get(id_):
            hold.remove(reached)
        elif id_ not in settled.line.tickets:
            if not hold.removed:  # the database was away for longer than a lease
                self._joining[id_] = replace(hold.standing, quotas=())
                self._changed.set()
        elif id_ in settled.removed:
            hold.remove(Removed(ENDED))
        elif settled.line.tickets[id_].admitted is not None:
            hold.admit()
        else:
            number = settled.place_of(id_)
            hold.tell(Place(number, settled.line.about(number)))
