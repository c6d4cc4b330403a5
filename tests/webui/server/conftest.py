"""Real server processes, and clients that are as rude as the network allows."""

import base64
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Scene:
    """The server process of ``scene.py``."""

    def __init__(self, port: int | None = None, **limits) -> None:
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.webui.server.scene", str(self.port), json.dumps(limits)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._said: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            self._said.put(line.rstrip("\n"))

    def says(self, beginning: str) -> str:
        """Wait for a line that begins so, and return its rest."""
        while True:
            try:
                line = self._said.get(timeout=PATIENCE)
            except queue.Empty:
                pytest.fail(f"never said {beginning!r}; said {self.lines}")
            self.lines.append(line)
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        peer = socket.socket()
        if receive_buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer.settimeout(PATIENCE)
        try:
            peer.connect(("127.0.0.1", self.port))
        except OSError:
            peer.close()
            raise
        return peer

    def get(self, path: str) -> str:
        with self.connect() as peer:
            peer.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
            return everything(peer).partition("\r\n\r\n")[2]

    def memory(self) -> int:
        answer = self.get("/memory")
        return int(answer.split("\r\n")[1])  # a chunk: its size, then the number

    def open_socket(self, path: str, **options) -> socket.socket:
        peer = self.connect(**options)
        peer.sendall(handshake(path))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += peer.recv(1)
        assert b" 101 " in head
        return peer

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE)


@pytest.fixture
def scene():
    """``scene(**limits)`` starts a server; it is gone when the test is over."""
    started = []

    def start(**limits) -> Scene:
        server = Scene(**limits)
        started.append(server)
        server.says("ready")
        return server

    yield start
    for server in started:
        server.process.kill()
        server.process.wait()
        server.process.stdout.close()


@pytest.fixture(scope="package")
def shared():
    """One server with the usual limits, for tests that leave it as it was."""
    server = Scene()
    server.says("ready")
    yield server
    server.process.kill()
    server.process.wait()
    server.process.stdout.close()


def handshake(path: str, *headers: bytes) -> bytes:
    """What a browser sends to open a socket."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET {path} HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    )
    return head.encode() + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


def everything(peer: socket.socket) -> str:
    """All the peer receives until the server closes or resets."""
    received = b""
    try:
        while data := peer.recv(65_536):
            received += data
    except ConnectionResetError:
        pass
    return received.decode("latin1")


def frame(payload: bytes, *, opcode: int = 1) -> bytes:
    """A masked web socket frame; the mask is zeros."""
    size = len(payload)
    if size < 126:
        length = struct.pack("!B", 0x80 | size)
    elif size < 65_536:
        length = struct.pack("!BH", 0x80 | 126, size)
    else:
        length = struct.pack("!BQ", 0x80 | 127, size)
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload


def next_frame(peer: socket.socket) -> tuple[int, bytes]:
    """Opcode and payload of the next frame."""
    head = exactly(peer, 2)
    size = head[1] & 127
    if size == 126:
        (size,) = struct.unpack("!H", exactly(peer, 2))
    elif size == 127:
        (size,) = struct.unpack("!Q", exactly(peer, 8))
    return head[0] & 15, exactly(peer, size)


def exactly(peer: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        data = peer.recv(size - len(received))
        assert data, "the server closed the connection"
        received += data
    return received


def close_code(peer: socket.socket) -> int:
    """Read until the close frame."""
    opcode, payload = next_frame(peer)
    while opcode != 8:
        opcode, payload = next_frame(peer)
    return struct.unpack("!H", payload[:2])[0]
