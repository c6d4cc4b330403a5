"""Sockets with a bound on what they leave waiting for the application.

Pausing the connection instead would also hide that the peer has gone, so a socket that floods is closed.
"""

from collections import deque
from typing import TYPE_CHECKING, Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from .flow import write_now
from .requests import plain_answer

if TYPE_CHECKING:
    from .limits import Limits

OVER_BUDGET = 4008
WHOLE_TEXT, SHORT = 0x81, 125  # the first byte of a text that is one frame; lengths that fit into the second


class GuardedSocket(WebSocketProtocol):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._broken_off = False
        self._waiting: deque[int] = deque()  # sizes of the messages that the application has not taken yet

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001 -- autobahn's signature
        if self._broken_off:
            return
        if self._has_room_for(payload):
            super().onMessage(payload, isBinary)
        else:
            self._break_off()

    def serverSend(self, content: str | bytes, binary: bool = False) -> None:  # noqa: FBT001, FBT002 -- daphne's signature
        """Text, which is nearly all that is sent, is framed here: autobahn's way costs several times as much.

        Without compression, which nobody negotiates, a frame is its length and its payload (RFC 6455, section 5.2).
        """
        if isinstance(content, bytes) or self.state != self.STATE_OPEN or self.send_queue:
            super().serverSend(content, binary)
        else:
            payload = content.encode()
            write_now(self.transport, _text_frame_head(len(payload)) + payload)

    def onFrameBegin(self) -> None:
        if self.current_frame.mask:
            self.current_frame_masker = Unmasker(self.current_frame.mask)
        super().onFrameBegin()

    def onMessageFrameBegin(self, length: int) -> None:
        # Autobahn's own limit on messages would hold for what we send, too, so it is off.
        super().onMessageFrameBegin(length)
        if self.message_data_total_length > self.server.limits.message_bytes:
            self._break_off()

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        self.sendData(plain_answer(code, reason, self.factory.server_class.headers))

    def _has_room_for(self, payload: bytes) -> bool:
        """The queue is first in, first out: what still waits are the newest."""
        while len(self._waiting) > self.application_queue.qsize():
            self._waiting.popleft()
        self._waiting.append(len(payload))
        limits: Limits = self.server.limits
        return len(self._waiting) <= limits.inbox_messages and sum(self._waiting) <= limits.inbox_bytes

    def _break_off(self) -> None:
        if not self._broken_off:
            self._broken_off = True
            self.sendClose(code=OVER_BUDGET)
        self.failedByMe = True  # autobahn then drops what else arrives, instead of collecting it


class Unmasker:
    """What browsers send is masked (RFC 6455, section 5.3). Autobahn takes one byte after the other: 0.1 s for each MB
    of a file, while everybody waits.
    """

    def __init__(self, mask: bytes) -> None:
        self._mask = mask
        self._at = 0

    def pointer(self) -> int:
        return self._at

    def process(self, data: bytes) -> bytes:
        size, start = len(data), self._at % 4
        mask = (self._mask * (size // 4 + 2))[start : start + size]
        self._at += size
        return (int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


def _text_frame_head(length: int) -> bytes:
    if length <= SHORT:
        return bytes([WHOLE_TEXT, length])
    if length < 1 << 16:
        return bytes([WHOLE_TEXT, SHORT + 1]) + length.to_bytes(2, "big")
    return bytes([WHOLE_TEXT, SHORT + 2]) + length.to_bytes(8, "big")


class GuardedSocketFactory(WebSocketFactory):
    protocol = GuardedSocket
