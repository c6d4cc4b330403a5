"""Scripts that read slowly, or not at all: the host is read at its own speed, and only a little is kept for them."""

import asyncio
import socket

import pytest

from tests.webui.practice.wire import request_bytes
from webui.gateway import call as calls
from webui.gateway.call import EVENTS, WAITING_LIMIT, Call, Gone

PIECE = b"data: " + b"a" * 1000 + b"\n\n"


class Script:
    """Takes what it is sent while ``reads`` is set."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.taken = b""

    async def send(self, message) -> None:
        if message["type"] == "http.response.body":
            await self.reads.wait()
            self.taken += message["body"]

    async def receive(self):
        await asyncio.Event().wait()


@pytest.fixture
async def script():
    return Script()


@pytest.fixture
async def call(script):
    call = Call({"method": "POST"}, script.receive, script.send, "/v1/chat/completions")
    await call.begin(EVENTS)
    yield call
    await call.close()


async def test_writing_waits_for_no_reader(call):
    async with asyncio.timeout(0.5):
        for _ in range(100):
            await call.write(PIECE)
            await asyncio.sleep(0)


async def test_who_reads_nothing_is_cut_off_before_much_waits(call, monkeypatch):
    monkeypatch.setattr(calls, "WAITING_S", 0.05)
    for _ in range(WAITING_LIMIT // len(PIECE)):
        await call.write(PIECE)

    with pytest.raises(Gone):
        await call.write(PIECE)


async def test_who_reads_late_gets_everything(call, script):
    asyncio.get_running_loop().call_later(0.05, script.reads.set)
    for _ in range(500):
        await call.write(PIECE)
    await call.end()

    assert script.taken == PIECE * 500


async def test_a_run_ends_when_its_script_reads_nothing(portal, practice, token, monkeypatch):
    monkeypatch.setattr(calls, "WAITING_S", 0.05)
    wordy = {"stream": True, "logprobs": True, "top_logprobs": 1}
    body = {"model": "measure-code", "messages": [{"role": "user", "content": "90000"}], **wordy}
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    deaf.connect(portal.address)
    deaf.sendall(request_bytes("POST", "/v1/chat/completions", body, Authorization=f"Bearer {token}"))
    try:
        await practice.wait_for(lambda: practice.requests and practice.requests[-1].outcome == "left")
    finally:
        deaf.close()
