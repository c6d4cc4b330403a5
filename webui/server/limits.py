"""How much of our memory and patience one peer may use."""

from collections.abc import Callable
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    body_bytes: int = 6 * MIB
    # Bodies of any length, by verb and path: the application is handed them as they come.
    in_pieces: Callable[[str, str], bool] = lambda verb, path: False
    # From the first byte to the end of the headers, and from there to the end of the body.
    header_seconds: float = 20
    body_seconds: float = 120

    # A sender waits while more than this is unsent; a peer that takes nothing for so long is cut off.
    unsent_bytes: int = MIB
    stalled_seconds: float = 15

    # What a socket may have waiting for the application, and the largest message it may send.
    inbox_messages: int = 64
    inbox_bytes: int = 4 * MIB
    message_bytes: int = 64 * 1024

    ping_every_seconds: float = 20
    ping_timeout_seconds: float = 30
    socket_lifetime_seconds: float = 24 * 3600

    # After SIGTERM: for requests and background work to finish; of that, for the work to put itself away;
    # and then for what was cancelled to clean up.
    drain_seconds: float = 10
    put_away_seconds: float = 2
    cancel_seconds: float = 1
    # Then the process ends, whatever thread still waits for something.
    exit_seconds: float = 12
