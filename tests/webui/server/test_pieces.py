"""Bodies of any length, handed to the application as they come."""

import socket
import time

import pytest

from webui.server.pieces import ROOM

from .conftest import everything

pytestmark = pytest.mark.server

MIB = 1024 * 1024
CHUNK = b"10000\r\n" + b"a" * 65_536 + b"\r\n"


def post(path: str, size: int | None, *, close: bool = True) -> bytes:
    length = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
    kept = "close" if close else "keep-alive"
    return f"POST {path} HTTP/1.1\r\nHost: t\r\n{length}\r\nConnection: {kept}\r\n\r\n".encode()


def test_a_body_far_over_the_limit_arrives_whole_and_is_not_kept(shared):
    before = shared.memory()
    with shared.connect() as peer:
        peer.sendall(post("/pieces", 40 * MIB))
        for _ in range(40):
            peer.sendall(b"a" * MIB)
        answer = everything(peer)

    assert f"{40 * MIB} in parts" in answer
    assert shared.memory() - before < 8 * MIB


def test_a_chunked_body_arrives_too(shared):
    with shared.connect() as peer:
        peer.sendall(post("/pieces", None))
        for _ in range(200):
            peer.sendall(CHUNK)
        peer.sendall(b"0\r\n\r\n")

        assert f"{200 * 65_536} in parts" in everything(peer)


@pytest.mark.parametrize("size", [0, 5])
def test_a_small_body_arrives_too(shared, size):
    with shared.connect() as peer:
        peer.sendall(post("/pieces", size) + b"a" * size)

        assert f"{size} in " in everything(peer)


def test_nothing_is_read_while_the_application_takes_nothing(shared):
    with shared.connect() as peer:
        peer.sendall(post("/pieces/later", 60 * MIB))
        shared.says("pieces wait")
        before = shared.memory()
        ahead = sent_without_waiting(peer, b"a" * 60 * MIB)
        grown = shared.memory() - before
        peer.sendall(b"a" * (60 * MIB - ahead))

        assert f"{60 * MIB} in parts" in everything(peer)
    assert ahead < 30 * MIB  # what the kernel keeps on both sides
    assert grown < 4 * MIB


def sent_without_waiting(peer: socket.socket, data: bytes) -> int:
    peer.setblocking(False)
    sent, until = 0, time.monotonic() + 0.4
    while sent < len(data) and time.monotonic() < until:
        try:
            sent += peer.send(data[sent : sent + MIB])
        except BlockingIOError:
            time.sleep(0.01)
    peer.settimeout(20)
    return sent


def test_whoever_is_refused_can_read_why_while_still_sending(shared):
    """And what is still sent is no other request."""
    with shared.connect() as peer:
        peer.sendall(post("/pieces/refused", 100 * MIB, close=False))
        for _ in range(20):
            peer.sendall(b"a" * MIB)
        answer = everything(peer)

    assert (answer[:13], answer.count("HTTP/1.1 ")) == ("HTTP/1.1 401 ", 1)
    assert "\r\nConnection: close\r\n" in answer


def test_the_next_request_on_the_connection_is_answered(shared):
    with shared.connect() as peer:
        peer.sendall(post("/pieces", 100_000, close=False) + b"a" * 100_000)
        peer.sendall(post("/body", 5) + b"hello")

        assert everything(peer).count("HTTP/1.1 200 ") == 2


def test_the_application_learns_that_the_client_has_gone(shared):
    with shared.connect() as peer:
        peer.sendall(post("/pieces", 100_000) + b"a" * 1000)

    assert shared.says("pieces gone") == "1000"


def test_nobody_waits_for_more_of_a_body_that_is_whole(scene):
    """Its last bytes were more than may wait, so nothing was read for a moment."""
    server = scene(stalled_seconds=0.3)
    with server.connect() as peer:
        peer.sendall(post("/pieces/slow", ROOM + 1000) + b"a" * (ROOM + 1000))

        assert f"{ROOM + 1000} in " in everything(peer)


def test_a_client_that_sends_no_more_is_cut_off(scene):
    """S49."""
    server = scene(stalled_seconds=0.3)
    with server.connect() as peer:
        peer.sendall(post("/pieces", 100_000) + b"a" * 1000)

        assert everything(peer) == ""
    assert server.says("pieces gone") == "1000"
