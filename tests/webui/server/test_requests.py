"""What a rude HTTP client can do to the server, and what the server does about it."""

import socket
import threading
import time

import pytest

from .conftest import everything

pytestmark = pytest.mark.server

MIB = 1024 * 1024
TCP_ESTABLISHED = 1


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
    """S48."""
    server = scene(body_bytes=MIB)
    with server.connect() as peer:
        peer.sendall(b"POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(2 * MIB // 65_536):
            peer.sendall(b"10000\r\n" + b"a" * 65_536 + b"\r\n")

        answer = peer.recv(1000)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_refused_body_is_not_kept_in_memory(scene):
    """S48."""
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
    """S49."""
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
    """S49."""
    server = scene(body_seconds=0.5)
    with server.connect() as peer:
        peer.sendall(post(10) + b"12345")

        assert everything(peer) == ""


def test_a_slow_answer_has_no_deadline(scene):
    server = scene(header_seconds=0.2, body_seconds=0.2)

    assert "finished" in server.get("/slow")


def test_a_reader_that_stalls_is_cut_off_and_costs_little_memory(scene):
    """S49."""
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


GET = "GET /body HTTP/1.1\r\nHost: t\r\n"
POST = "POST /body HTTP/1.1\r\nHost: t\r\n"
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
MALFORMED = {
    "two lengths": f"{POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "two equal lengths": f"{POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length and chunked": f"{POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two encodings": f"{POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a length with a sign": f"{POST}Content-Length: +5\r\n\r\nhello",
    "a length below nothing": f"{POST}Content-Length: -1\r\n\r\n",
    "a length that is none": f"{POST}Content-Length: 5, 5\r\n\r\nhello",
    "a chunk that is none": f"{POST}Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    "a chunk below nothing": f"{POST}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
    "a chunk without its end": f"{POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    "a vertical tab": f"{GET}X-Odd: a\x0bb\r\n\r\n",
    "a form feed": f"{GET}X-Odd\x0c: a\r\n\r\n",
    "a next line": f"{GET}X-Odd: a\x85b\r\n{UPGRADE}\r\n",
    "a NUL": f"{GET}X-Odd: a\0b\r\n\r\n",
    "a return of its own": f"{GET}X-Odd: a\rX-Evil: b\r\n\r\n",
    "a blank before the colon": f"{GET}X-Odd : a\r\n\r\n",
    "a header without a name": f"{GET}: a\r\n\r\n",
    "a header without a colon": f"{GET}nonsense\r\n\r\n",
    "no version": "GET /body\r\n\r\n",
    "another version": "GET /body HTTP/9.9\r\nHost: t\r\n\r\n",
    "too many words": "GET /body /body HTTP/1.1\r\nHost: t\r\n\r\n",
    "too many headers": GET + "X-Odd: a\r\n" * 600 + "\r\n",
    "a path with odd bytes": "GET /b\xf6dy HTTP/1.1\r\nHost: t\r\n\r\n",
    "a query with odd bytes": "GET /body?\xf6 HTTP/1.1\r\nHost: t\r\n\r\n",
    "no HTTP at all": "\x16\x03\x01\x02\r\n\r\n",
    "a socket of another version": f"GET /echo HTTP/1.1\r\nHost: t\r\n{UPGRADE}Sec-WebSocket-Version: 99\r\n\r\n",
    "a socket without a key": f"GET /echo HTTP/1.1\r\nHost: t\r\n{UPGRADE}Sec-WebSocket-Version: 13\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request_is_refused_in_words(shared, request_):
    """S45, S61."""
    with shared.connect() as peer:
        peer.sendall(request_.encode("latin1"))

        assert refusal(everything(peer)) == 400


def test_a_line_that_is_too_long_is_refused_in_words(shared):
    """S61."""
    with shared.connect() as peer:
        peer.sendall(b"GET /" + b"a" * 100_000)

        assert refusal(everything(peer)) == 431


def test_a_body_that_is_too_large_is_refused_with_the_same_headers(scene):
    """S45."""
    with scene(body_bytes=MIB).connect() as peer:
        peer.sendall(post(MIB + 1))

        assert refusal(everything(peer)) == 413


def test_an_application_that_breaks_is_answered_for(shared):
    """S45."""
    with shared.connect() as peer:
        peer.sendall(b"GET /broken HTTP/1.1\r\nHost: t\r\n\r\n")

        assert refusal(everything(peer)) == 500


def test_an_application_that_breaks_half_way_ends_the_connection_and_nothing_else(shared):
    for _ in range(2):
        with shared.connect() as peer:
            peer.sendall(b"GET /half-broken HTTP/1.1\r\nHost: t\r\n\r\n")

            assert everything(peer).endswith("half\r\n")


def test_an_answer_that_nobody_goes_on_with_ends_with_its_connection(shared):
    with shared.connect() as peer:
        peer.sendall(b"GET /left-half HTTP/1.1\r\nHost: t\r\n\r\n")

        assert everything(peer).endswith("half\r\n")


def test_nothing_is_kept_for_long_of_an_answer_that_nobody_goes_on_with(scene):
    server = scene(stalled_seconds=1)
    with server.connect(receive_buffer=4096) as peer:
        peer.sendall(b"GET /left-large HTTP/1.1\r\nHost: t\r\n\r\n")
        before = time.monotonic()
        while peer_is_connected(peer):
            assert time.monotonic() < before + 5
            time.sleep(0.05)


def peer_is_connected(peer: socket.socket) -> bool:
    """Whether the kernel still thinks so; nothing is read."""
    state = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state == TCP_ESTABLISHED


def refusal(answer: str) -> int:
    """The status of an answer that the server gives by itself, once, in words and with the headers it was given."""
    head, _, body = answer.partition("\r\n\r\n")
    assert answer.count("HTTP/1.1 ") == 1
    assert "\r\nX-Of-The-Scene: yes\r\n" in head
    assert "\r\nConnection: close" in head
    assert len(body.split()) > 1
    return int(head.split()[1])


def test_a_request_smuggled_behind_a_malformed_one_is_not_answered(shared):
    """S61."""
    with shared.connect() as peer:
        peer.sendall(MALFORMED["length and chunked"].encode() + b"GET /memory HTTP/1.1\r\nHost: t\r\n\r\n" * 3)

        assert refusal(everything(peer)) == 400


def test_a_client_cannot_choose_where_the_addresses_of_the_portal_begin(shared):
    """S21."""
    with shared.connect() as peer:
        peer.sendall(b"GET /told HTTP/1.1\r\nHost: t\r\nDaphne-Root-Path: //evil.example\r\nConnection: close\r\n\r\n")

        assert '["", ["host", "connection"]]' in everything(peer)


def test_the_access_log_leaves_out_the_query(scene):
    """S57."""
    server = scene()

    server.get("/slow?q=secret-words")

    assert server.says("log webui.access GET /slow").startswith("200 ")
    assert not any("secret-words" in line for line in server.lines)
