"""Notices when the event loop stands still, and names the place: until it goes on, nobody is told anything."""

import asyncio
import logging
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType

log = logging.getLogger(__name__)

LOOK_S = 0.5
STILL_S = 2.0
ROOT = Path(__file__).parent.parent
DEPTH = 6


def watch_loop() -> threading.Event:
    """From now on, until the event is set. To be called on the loop, in the thread whose place is to be named."""
    ends = threading.Event()
    told = asyncio.get_running_loop(), threading.get_ident(), ends
    threading.Thread(target=_watch, args=told, name="watchdog", daemon=True).start()
    return ends


def _watch(loop: asyncio.AbstractEventLoop, thread: int, ends: threading.Event) -> None:
    while not ends.wait(LOOK_S):
        goes_on = threading.Event()
        loop.call_soon_threadsafe(goes_on.set)
        if not goes_on.wait(STILL_S):
            log.warning("the loop stands still %s", _place(sys._current_frames().get(thread)))
            while not (goes_on.wait(LOOK_S) or ends.is_set()):
                pass


def _place(frame: FrameType | None) -> str:
    """Names of files and functions, the innermost first, and nothing of what is in them."""
    calls = reversed(traceback.extract_stack(frame)[-DEPTH:])
    return ", called ".join(f"in {call.name} ({_short(call.filename)}:{call.lineno})" for call in calls)


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
