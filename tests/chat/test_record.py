"""The text of a live answer is kept without a gap, whatever the database does."""

import asyncio
import uuid

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from chat import services
from chat.models import Run, RunPiece
from chat.runs import state
from chat.runs.record import APPEND, Piece, Recorder

TEXT = RunPiece.Kind.TEXT


@pytest.fixture
async def run(act, question) -> Run:
    await act(services.ask, **question())
    return await Run.objects.aget()


@pytest.fixture
async def recorder(transactional_db):
    recorder = Recorder(uuid.uuid4(), alive=list, on_renewed=lambda _: None, on_delay=lambda _: None)
    recorder.recording = asyncio.create_task(recorder.record())
    yield recorder
    await closed(recorder)
    await sync_to_async(connections.close_all)()


async def closed(recorder: Recorder) -> None:
    recorder.close()
    await recorder.recording


@pytest.fixture
async def unheard(monkeypatch):
    """The first time PostgreSQL keeps what it is told, and nobody hears of it."""
    heard, told = asyncio.Event(), psycopg.AsyncConnection.execute

    async def execute(connection, query, *arguments):
        cursor = await told(connection, query, *arguments)
        if query == APPEND and not heard.is_set():
            heard.set()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return cursor

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", execute)
    return heard


async def test_what_was_kept_unheard_leaves_no_gap(run, recorder, unheard):
    """F10, I3."""
    recorder.add(Piece(run.pk, TEXT, 0, "one "))
    await unheard.wait()
    recorder.add(Piece(run.pk, TEXT, 4, "two"))
    await closed(recorder)

    assert await sync_to_async(state.wrote)(run) == ("one two", "")
