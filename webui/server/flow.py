"""Senders that wait for their peer.

Daphne's send never waits: what the peer does not take piles up in memory. Here a sender waits while too
much is unsent, and a peer that takes nothing for a while is cut off.
"""

import array
import asyncio
import fcntl
import termios
from typing import Any

from .limits import Limits

LOOK_AGAIN_SECONDS = 0.05


async def wait_for_room(transport: Any, limits: Limits) -> None:
    """Return when the peer took enough; cut it off when it stalls. ``transport``: a Twisted TCP transport."""
    if unsent_bytes(transport) <= limits.unsent_bytes:
        return
    loop = asyncio.get_running_loop()
    lowest, progress_at = _on_its_way(transport), loop.time()
    while unsent_bytes(transport) > limits.unsent_bytes and transport.connected:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        now = _on_its_way(transport)
        if now < lowest:
            lowest, progress_at = now, loop.time()
        elif loop.time() - progress_at > limits.stalled_seconds:
            transport.abortConnection()
            return


def write_now(transport: Any, data: bytes) -> None:
    """Hand data to the kernel at once where it takes it: a turn of the loop for each piece costs more than to send it.

    What it does not take waits in Twisted's transport, as does everything while something waits there.
    """
    sent = transport.writeSomeData(data) if transport.connected and not unsent_bytes(transport) else 0
    if not isinstance(sent, int):  # an error: Twisted will meet it again, and close the connection
        sent = 0
    if sent < len(data):
        transport.write(data[sent:])


def unsent_bytes(transport: Any) -> int:
    """What Twisted's transport has accepted and the kernel has not taken yet."""
    return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)


def _on_its_way(transport: Any) -> int:
    """Bytes that the peer has not confirmed. The kernel holds megabytes that a slow peer takes one by one."""
    in_kernel = array.array("i", [0])
    if transport.connected:
        fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, in_kernel)
    return unsent_bytes(transport) + in_kernel[0]
