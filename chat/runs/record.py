"""Keeps the text of live answers safe while they grow: one append for all runs every 150 ms, one renewal of
all leases every 3 s, over a database connection of its own.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.db import connections

from chat.runs.state import LEASE

log = logging.getLogger(__name__)

CHECKPOINT_S = 0.15  # with the time a word needs to get here and be stored, it is at risk for less than 250 ms
RENEW_S = 3.0
GAP_S = 2 * RENEW_S  # between two renewals: then the database was away, for everybody
RETRY_S = 0.5
UNSAVED_LIMIT = 4 * 1024 * 1024  # characters of all answers together that may wait for a database that is away

APPEND = """
    insert into chat_runpiece (run_id, kind, "offset", text, tokens)
    select * from unnest(%s::uuid[], %s::text[], %s::int[], %s::text[], %s::int[])
    on conflict do nothing
"""
RENEW = """
    update chat_run set lease_expires = now() + %s
    where owner = %s and id = any(%s) and state in ('queued', 'loading', 'running')
    returning id, stop_requested
"""


class Piece(NamedTuple):
    """Text of one kind that follows ``offset`` code points of it."""

    run: UUID
    kind: str
    offset: int
    text: str
    tokens: int = 1


class CannotSave(Exception):
    """The database has been away for so long that no more text is kept for it."""


class Recorder:
    """Appends pieces for one process.

    ``alive`` says whose leases to renew; ``on_renewed`` hears which runs are still ours, and of each whether
    somebody asked to stop it; ``on_delay`` hears when the database is away, and when it is back.
    """

    def __init__(
        self,
        owner: UUID,
        *,
        alive: Callable[[], list[UUID]],
        on_renewed: Callable[[dict[UUID, bool]], None],
        on_delay: Callable[[bool], None],
    ) -> None:
        self._owner = owner
        self._alive = alive
        self._on_renewed = on_renewed
        self._on_delay = on_delay
        self._failures = 0
        self._is_delayed = False
        self._tried: list[Piece] = []  # perhaps they are saved
        self._unsaved: list[Piece] = []
        self._unsaved_length = 0  # of both
        self._saving = asyncio.Lock()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._renew_at = 0.0
        self._renewed_at = time.monotonic()
        self._back_at: float | None = None
        self._closed = asyncio.Event()

    @property
    def leases_are_true(self) -> bool:
        """Whether an expired lease says that its process died: not while nobody can renew, nor shortly after."""
        now = time.monotonic()
        is_back = self._back_at is None or now - self._back_at >= LEASE.total_seconds()
        return is_back and now - self._renewed_at <= GAP_S

    def add(self, piece: Piece) -> None:
        """Raises CannotSave."""
        if self._is_delayed and self._unsaved_length + len(piece.text) > UNSAVED_LIMIT:
            raise CannotSave
        self._unsaved.append(piece)
        self._unsaved_length += len(piece.text)

    async def forget(self, run: UUID) -> None:
        """Drop what is unsaved of a run whose whole text is about to be stored."""
        async with self._saving:  # an append under way must not come after the whole text
            self._keep(*([piece for piece in pieces if piece.run != run] for pieces in (self._tried, self._unsaved)))

    async def record(self) -> None:
        """Run until closed. A database that is away is tried again; the pieces wait."""
        try:
            while not self._closed.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECKPOINT_S):
                        await self._closed.wait()
                await self._checkpoint()
        finally:
            await self._disconnect()

    def close(self) -> None:
        """Record what there is, then no more: a connection that is being made must not be left half-way."""
        self._closed.set()

    def _keep(self, tried: list[Piece], unsaved: list[Piece]) -> None:
        self._tried, self._unsaved = tried, unsaved
        self._unsaved_length = sum(len(piece.text) for piece in chain(tried, unsaved))

    async def _checkpoint(self) -> None:
        try:
            async with self._saving:
                await self._append()
            if time.monotonic() >= self._renew_at:
                await self._renew()
                self._renew_at = time.monotonic() + RENEW_S
        except psycopg.Error as error:
            log.warning("recording is delayed: %s", type(error).__name__)
            self._failures += 1
            await self._disconnect()
            if self._failures > 1:  # one that merely broke is made anew, and nobody need hear of it
                self._say(is_delayed=True)
                await asyncio.sleep(RETRY_S)
        else:
            self._failures = 0
            self._say(is_delayed=False)

    def _say(self, *, is_delayed: bool) -> None:
        if is_delayed != self._is_delayed:
            self._is_delayed = is_delayed
            self._on_delay(is_delayed)

    async def _append(self) -> None:
        """What was tried goes again as it was: if it is saved, a longer piece in its place would be lost."""
        await self._append_tried()
        self._keep(_merged(self._unsaved), [])
        await self._append_tried()

    async def _append_tried(self) -> None:
        if not self._tried:
            return
        connection = await self._connect()
        try:
            await connection.execute(APPEND, _columns(self._tried))
        except psycopg.errors.ForeignKeyViolation:
            # A run's conversation was deleted for good meanwhile; the others must not suffer.
            await self._append_singly(self._tried)
        self._keep([], self._unsaved)

    async def _append_singly(self, pieces: list[Piece]) -> None:
        connection = await self._connect()
        for piece in pieces:
            with suppress(psycopg.errors.ForeignKeyViolation):
                await connection.execute(APPEND, _columns([piece]))

    async def _renew(self) -> None:
        connection = await self._connect()
        cursor = await connection.execute(RENEW, (LEASE, self._owner, self._alive()))
        now = time.monotonic()
        if now - self._renewed_at > GAP_S:
            self._back_at = now
        self._renewed_at = now
        self._on_renewed(dict(await cursor.fetchall()))

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None:
            # Losing the last quarter of a second in a power cut is what the interval already allows.
            self._connection = await psycopg.AsyncConnection.connect(
                **_parameters(),
                autocommit=True,
                options="-c synchronous_commit=off -c statement_timeout=5000",
            )
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with suppress(psycopg.Error):
                await connection.close()


def _merged(pieces: list[Piece]) -> list[Piece]:
    """One piece per run and kind: neighbours in time are neighbours in the text."""
    texts: dict[tuple[UUID, str], list[Piece]] = {}
    for piece in pieces:
        texts.setdefault((piece.run, piece.kind), []).append(piece)
    return [
        Piece(run, kind, parts[0].offset, "".join(part.text for part in parts), sum(part.tokens for part in parts))
        for (run, kind), parts in texts.items()
    ]


def _columns(pieces: list[Piece]) -> list[list[object]]:
    return [list(values) for values in zip(*pieces, strict=True)]


def _parameters() -> dict[str, Any]:
    """How Django connects, without its pool and cursor settings."""
    parameters = connections["default"].get_connection_params()
    wanted = {"host", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "connect_timeout"}
    return {name: value for name, value in parameters.items() if name in wanted}
