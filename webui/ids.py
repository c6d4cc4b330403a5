"""Identifiers that sort by the time they were made and cannot be guessed."""

import secrets
import time
import uuid

NS_IN_MS = 1_000_000


def uuid7() -> uuid.UUID:
    """A UUID version 7 (RFC 9562): milliseconds, twelve bits of their fraction, then 62 random bits."""
    milliseconds, rest = divmod(time.time_ns(), NS_IN_MS)
    fraction = rest * 4096 // NS_IN_MS
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))
