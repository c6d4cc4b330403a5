"""What both servers are told about the life of the process."""

from collections.abc import Awaitable, Callable, Iterable

Starter = Callable[[], Awaitable[None]]
Stopper = Callable[[float], Awaitable[None]]
Headers = Iterable[tuple[str, str]]


class CannotListen(Exception):
    """The address is taken, or not ours. The message names it."""
