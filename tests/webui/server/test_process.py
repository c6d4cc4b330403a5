"""How the server process starts and ends."""

import signal
import time

import pytest

from .conftest import Scene, close_code, everything, frame, next_frame

pytestmark = pytest.mark.server


def test_a_request_that_is_being_answered_is_finished_before_the_end(scene):
    server = scene()
    with server.connect() as peer:
        peer.sendall(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n")
        server.says("slow began")

        server.ask_to_stop()

        assert "finished" in everything(peer)
    assert server.exit_code() == 0


def test_an_answer_that_is_still_leaving_arrives_whole(scene):
    server = scene(unsent_bytes=50_000_000)
    with server.connect() as peer:
        peer.sendall(b"GET /large-answer HTTP/1.1\r\nHost: t\r\n\r\n")
        server.says("large answer handed over")

        server.ask_to_stop()
        server.says("background finished")

        assert everything(peer).count("z") == 20_000_000


def test_no_connection_is_accepted_while_draining(scene):
    server = scene()
    with server.connect() as peer:
        peer.sendall(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n")
        server.says("slow began")
        server.ask_to_stop()
        server.says("background told")

        with pytest.raises(ConnectionRefusedError):
            server.connect()


def test_sockets_are_told_to_come_back(scene):
    server = scene()
    with server.open_socket("/echo") as peer:
        peer.sendall(frame(b"a"))
        next_frame(peer)

        server.ask_to_stop()

        assert close_code(peer) == 4012


def test_background_work_learns_how_long_it_has_and_finishes(scene):
    server = scene(drain_seconds=7, put_away_seconds=2)

    server.ask_to_stop()

    assert server.says("background told") == "5"
    server.says("background finished")
    assert server.exit_code() == 0


def test_what_does_not_finish_in_time_is_cancelled(scene):
    server = scene(drain_seconds=0.5)
    with server.connect() as peer:
        peer.sendall(b"GET /for-ever HTTP/1.1\r\nHost: t\r\n\r\n")
        server.says("for_ever began")
        began = time.monotonic()

        server.ask_to_stop()

        server.says("for_ever cancelled")
        assert server.exit_code() == 0
    assert time.monotonic() - began < 3


def test_a_half_sent_upload_does_not_hold_up_the_end(scene):
    server = scene()
    with server.connect() as peer:
        peer.sendall(b"POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nhalf")
        server.memory()  # answered after the half: so the half has arrived
        began = time.monotonic()

        server.ask_to_stop()

        assert server.exit_code() == 0
    assert time.monotonic() - began < 3


def test_a_thread_that_is_stuck_does_not_hold_up_the_end(scene):
    server = scene(drain_seconds=0.5, exit_seconds=1.5)
    server.get("/blocked-thread")
    began = time.monotonic()

    server.ask_to_stop()

    assert server.exit_code() == 0
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_asking_twice_does_not_hurry_or_break_the_end(scene, first):
    server = scene()
    server.process.send_signal(first)
    server.says("background told")

    server.ask_to_stop()

    server.says("background finished")
    assert server.exit_code() == 0


def test_a_taken_port_is_named_and_ends_the_process(scene):
    taken = scene()
    second = Scene(port=taken.port)

    assert second.says("Cannot listen on").startswith(f"127.0.0.1:{taken.port}: ")
    assert second.exit_code() == 69
    second.process.stdout.close()


def test_a_background_that_cannot_start_ends_the_process():
    server = Scene(refuse_to_start=True)

    server.says("RuntimeError: the background cannot start")

    assert server.exit_code() == 1
    server.process.stdout.close()
