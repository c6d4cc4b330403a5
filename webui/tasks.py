"""Tasks that everybody's answers depend on."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

AGAIN_S = 1.0

Work = Callable[[], Coroutine[Any, Any, None]]


def task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """With an empty context: what happened to create the task must not leak into it."""
    return asyncio.create_task(work, context=contextvars.Context())


def lasting_task(name: str, work: Work) -> asyncio.Task[None]:
    """A task that begins its work anew when a bug ends it."""
    return task(_again_and_again(name, work))


async def _again_and_again(name: str, work: Work) -> None:
    while True:
        try:
            return await work()
        except Exception:  # whatever it was: without this task nobody is answered any more
            log.exception("%s broke, and begins anew", name)
            await asyncio.sleep(AGAIN_S)
