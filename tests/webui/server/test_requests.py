"""What a rude HTTP client can do to the server, and what the server does about it."""

import threading
import time

import pytest

from .conftest import everything

pytestmark = pytest.mark.server

MIB = 1024 * 1024


def post(size: int, **headers: str) -> bytes:
    given = {"Host": "t", "Content-Length": str(size), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"POST /body HTTP/1.1\r\n{lines}\r\n".encode()


def test_a_body_of_just_the_limit_arrives_whole(scene):
    server = scene(body_bytes=100_000)
    with server.connect() as peer:
        peer.sendall(post(100_000, Connection="close") + b"a" * 100_000)

        answer = everything(peer)

    assert answer.startswith("HTTP/1.1 200 ")
    assert "100000" in answer


def test_a_body_over_the_limit_is_refused_at_its_header(scene):
    server = scene(body_bytes=MIB)
    with server.connect() as peer:
        peer.sendall(post(MIB + 1))

        answer = everything(peer)

    assert answer.startswith("HTTP/1.1 413 ")
    assert "more than the 1 MB" in answer


def test_the_refusal_carries_the_security_headers(scene):
    server = scene(body_bytes=MIB)
    with server.connect() as peer:
        peer.sendall(post(MIB + 1))

        head = everything(peer).partition("\r\n\r\n")[0]

    assert "Content-Security-Policy: default-src 'none'" in head
    assert "X-Content-Type-Options: nosniff" in head


def test_a_client_that_is_still_sending_can_read_the_refusal(scene):
    server = scene(body_bytes=MIB)
    with server.connect() as peer:
        peer.sendall(post(20 * MIB))
        for _ in range(20):
            peer.sendall(b"a" * MIB)

        answer = peer.recv(1000)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_waits_for_a_go_ahead_is_not_told_to_go_ahead(scene):
    server = scene(body_bytes=MIB)
    with server.connect() as peer:
        peer.sendall(post(MIB + 1, Expect="100-continue"))

        answer = everything(peer)

    assert "100 Continue" not in answer
    assert answer.startswith("HTTP/1.1 413 ")


def test_a_chunked_body_without_end_is_refused_while_it_arrives(scene):
    server = scene(body_bytes=MIB)
    with server.connect() as peer:
        peer.sendall(b"POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(2 * MIB // 65_536):
            peer.sendall(b"10000\r\n" + b"a" * 65_536 + b"\r\n")

        answer = peer.recv(1000)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_refused_body_is_not_kept_in_memory(scene):
    server = scene(body_bytes=MIB)
    before = server.memory()
    with server.connect() as peer:
        peer.sendall(post(60 * MIB))
        for _ in range(60):
            peer.sendall(b"a" * MIB)

        grown = server.memory() - before

    assert grown < 20 * MIB


def test_a_connection_on_which_nothing_comes_is_closed(scene):
    with scene(header_seconds=0.3).connect() as peer:
        assert everything(peer) == ""


def test_headers_that_drip_are_cut_off_at_the_deadline(scene):
    server = scene(header_seconds=0.6)
    began = time.monotonic()
    with server.connect() as peer:
        dripping = threading.Thread(target=drip, args=(peer, b"GET /body HTTP/1.1\r\nHost: " + b"t" * 100))
        dripping.start()

        answer = everything(peer)
        took = time.monotonic() - began
        dripping.join()

    assert answer == ""
    assert took < 5


def test_headers_that_drip_on_a_kept_connection_are_cut_off_too(scene):
    server = scene(header_seconds=0.6)
    with server.connect() as peer:
        peer.sendall(post(1) + b"a")
        assert peer.recv(1000).startswith(b"HTTP/1.1 200 ")
        dripping = threading.Thread(target=drip, args=(peer, b"GET /body HTTP/1.1\r\nHost: " + b"t" * 100))
        began = time.monotonic()
        dripping.start()

        everything(peer)
        took = time.monotonic() - began
        dripping.join()

    assert took < 5


def drip(peer, data: bytes) -> None:
    """A byte every tenth of a second: never idle, never done."""
    try:
        for byte in data:
            peer.sendall(bytes([byte]))
            time.sleep(0.1)
    except OSError:
        pass


def test_a_body_that_does_not_come_is_cut_off_at_the_deadline(scene):
    server = scene(body_seconds=0.5)
    with server.connect() as peer:
        peer.sendall(post(10) + b"12345")

        assert everything(peer) == ""


def test_a_slow_answer_has_no_deadline(scene):
    server = scene(header_seconds=0.2, body_seconds=0.2)

    assert "finished" in server.get("/slow")


def test_a_reader_that_stalls_is_cut_off_and_costs_little_memory(scene):
    server = scene(stalled_seconds=1)
    before = server.memory()
    with server.connect(receive_buffer=4096) as peer:
        peer.sendall(b"GET /endless HTTP/1.1\r\nHost: t\r\n\r\n")

        sent = int(server.says("endless over"))
        grown = server.memory() - before

    assert sent < 20 * MIB
    assert grown < 20 * MIB


def test_a_slow_reader_that_makes_progress_is_kept(scene):
    """Slow enough that the kernel's own buffer does not empty between two looks at it."""
    server = scene(stalled_seconds=0.4, unsent_bytes=100_000)
    with server.connect(receive_buffer=4096) as peer:
        peer.sendall(b"GET /endless HTTP/1.1\r\nHost: t\r\n\r\n")
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert peer.recv(2000)
            time.sleep(0.01)


@pytest.mark.parametrize(
    "head",
    [
        "POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /body HTTP/1.1\r\nHost: t\r\nX-Odd: a\x0bb\r\n\r\n",
        "GET /body HTTP/1.1\r\nHost: t\r\nX-Odd\x0c: a\r\n\r\n",
        "GET /body HTTP/1.1\r\nHost: t\r\nX-Odd: a\x85b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=["two lengths", "length and chunked", "vertical tab", "form feed", "next line"],
)
def test_a_smuggled_request_is_refused(scene, head):
    with scene().connect() as peer:
        peer.sendall(head.encode("latin1"))

        assert peer.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_the_access_log_leaves_out_the_query(scene):
    server = scene()

    server.get("/slow?q=secret-words")

    assert server.says("log webui.access GET /slow").startswith("200 ")
    assert not any("secret-words" in line for line in server.lines)
