"""Identifiers that sort by the time they were made and cannot be guessed."""

import secrets
import time
import uuid
from threading import Lock

NS_IN_MS = 1_000_000
STEP_NS = NS_IN_MS // 4096 + 1  # the least that shows in the fraction

_guard = Lock()
_last_ns = 0


def uuid7() -> uuid.UUID:
    """A UUID version 7 (RFC 9562): milliseconds, twelve bits of their fraction, then 62 random bits."""
    milliseconds, rest = divmod(_later_ns(), NS_IN_MS)
    fraction = rest * 4096 // NS_IN_MS
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))


def _later_ns() -> int:
    """Now, or a moment after the last one: a clock that is set back must not put what comes later before."""
    global _last_ns  # noqa: PLW0603  one order per process
    with _guard:
        _last_ns = max(time.time_ns(), _last_ns + STEP_NS)
        return _last_ns
