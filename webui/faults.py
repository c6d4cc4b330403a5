"""Places where a test may make the process misbehave. Nothing happens unless the setting FAULT names one.

``FAULT=place`` kills the process there, as kill -9 does; ``place:raise`` is a bug there, and ``place:block`` stands
still there for three seconds, with everything else on that thread.
"""

import os
import time
from collections.abc import Callable

from django.conf import settings

BLOCKED_S = 3.0


def here(place: str) -> None:
    """Misbehave, if that is asked for."""
    asked, _, how = settings.FAULT.partition(":")
    if place == asked:
        ACTIONS[how]()


def _die() -> None:
    os._exit(70)


def _raise() -> None:
    raise RuntimeError("a fault that a test asked for")


def _block() -> None:
    time.sleep(BLOCKED_S)


ACTIONS: dict[str, Callable[[], None]] = {"": _die, "raise": _raise, "block": _block}
