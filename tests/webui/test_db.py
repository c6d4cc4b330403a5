"""Database work from tasks."""

import asyncio
import threading

import pytest

from webui.db import run_db


async def test_a_caller_that_is_cancelled_waits_for_its_work():
    began, may_end, has_ended = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(began.set)
        may_end.wait(5)
        has_ended.set()

    caller = asyncio.create_task(run_db(work))
    await began.wait()
    caller.cancel()
    loop.call_soon(may_end.set)

    with pytest.raises(asyncio.CancelledError):
        await caller
    assert has_ended.is_set()
