"""What a rude socket can do to the server, and what the server does about it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.server.sockets import Unmasker

from .conftest import close_code, everything, frame, handshake, next_frame
from .test_requests import refusal

pytestmark = pytest.mark.server

MIB = 1024 * 1024


def test_messages_travel_both_ways(scene):
    with scene().open_socket("/echo") as peer:
        peer.sendall(frame("茶".encode()))

        assert next_frame(peer) == (1, "茶".encode())


@given(st.binary(min_size=4, max_size=4), st.lists(st.binary(max_size=50)))
def test_what_is_masked_comes_out_as_it_was_however_it_is_cut(mask, pieces):
    unmasker = Unmasker(mask)
    taken = b"".join(map(unmasker.process, pieces))

    assert taken == bytes(byte ^ mask[at % 4] for at, byte in enumerate(b"".join(pieces)))
    assert unmasker.pointer() == len(taken)


def test_a_masked_message_is_unmasked(scene):
    masked = bytearray(frame(b"\x15\x07\x02"))
    masked[2:6] = b"abcd"
    with scene().open_socket("/echo") as peer:
        peer.sendall(masked)

        assert next_frame(peer) == (1, b"tea")


def test_a_message_over_the_limit_closes_the_socket_with_4008(scene):
    with scene(message_bytes=1000).open_socket("/echo") as peer:
        peer.sendall(frame(b"a" * 1001))

        assert close_code(peer) == 4008


def test_a_message_over_the_limit_in_many_frames_closes_the_socket_with_4008(scene):
    with scene(message_bytes=1000).open_socket("/echo") as peer:
        first = bytearray(frame(b"a" * 600))
        first[0] &= 0x7F  # more frames follow
        peer.sendall(bytes(first) + frame(b"a" * 600, opcode=0))

        assert close_code(peer) == 4008


def test_an_announced_huge_message_is_refused_before_it_arrives(scene):
    """S47."""
    with scene().open_socket("/echo") as peer:
        peer.sendall(bytes([0x81, 0x80 | 127]) + struct.pack("!Q", 10**9) + b"\0\0\0\0")

        assert close_code(peer) == 4008


def test_the_limit_on_messages_does_not_hold_for_what_we_send(scene):
    with scene(message_bytes=1000).open_socket("/large") as peer:
        _, payload = next_frame(peer)

    assert len(payload) == 300_000


def test_more_waiting_messages_than_allowed_close_the_socket_with_4008(scene):
    with scene(inbox_messages=10).open_socket("/deaf") as peer:
        peer.sendall(frame(b"a") * 30)

        assert close_code(peer) == 4008


def test_more_waiting_bytes_than_allowed_close_the_socket_with_4008(scene):
    """S47."""
    with scene(inbox_bytes=10_000).open_socket("/deaf") as peer:
        peer.sendall(frame(b"a" * 5000) * 3)

        assert close_code(peer) == 4008


def test_the_application_learns_that_a_flooding_socket_is_closed(scene):
    server = scene(inbox_messages=10)
    with server.open_socket("/deaf") as peer:
        peer.sendall(frame(b"a") * 30)
        close_code(peer)

        assert int(server.says("deaf received")) <= 10


def test_any_number_of_messages_is_fine_while_the_application_keeps_up(scene):
    with scene(inbox_messages=3, inbox_bytes=100).open_socket("/echo") as peer:
        for number in range(50):
            peer.sendall(frame(f"{number:050}".encode()))

            assert next_frame(peer)[0] == 1


def test_a_socket_that_stalls_is_cut_off_and_costs_little_memory(scene):
    """S49."""
    server = scene(stalled_seconds=1)
    before = server.memory()
    with server.open_socket("/flood", receive_buffer=4096):
        sent = int(server.says("flood over"))
        grown = server.memory() - before

    assert sent < 20 * MIB
    assert grown < 20 * MIB


def test_a_silent_peer_is_asked_for_a_sign_of_life(scene):
    with scene(ping_every_seconds=0.1, ping_timeout_seconds=0.5).open_socket("/echo") as peer:
        opcode, _ = next_frame(peer)

    assert opcode == 9


def test_a_peer_that_gives_no_sign_of_life_is_dropped(scene):
    server = scene(ping_every_seconds=0.1, ping_timeout_seconds=0.5)
    with server.open_socket("/echo"):
        assert server.says("echo closed")


def test_a_refused_socket_is_answered_with_the_headers_of_every_answer(shared):
    """S45."""
    with shared.connect() as peer:
        peer.sendall(handshake("/refused-socket"))

        assert refusal(everything(peer)) == 403


@pytest.mark.parametrize("header", ["Sec-WebSocket-Protocol: \xff", "Daphne-Root-Path: \xff", "Cookie: \xff"])
def test_odd_headers_do_not_break_a_handshake(shared, header):
    """S61."""
    with shared.connect() as peer:
        peer.sendall(handshake("/echo", header.encode("latin1")))

        assert peer.recv(1000).startswith(b"HTTP/1.1 101 ")
