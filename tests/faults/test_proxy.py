"""The proxy does to a connection what it is told to."""

import asyncio
import socket
import time

import pytest

from tests.faults.proxy import FaultProxy, black_hole


async def echo(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")
    writer.close()


@pytest.fixture
async def echoing():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy(server.sockets[0].getsockname()[:2]) as proxy:
        yield proxy


@pytest.fixture
async def peer(echoing):
    reader, writer = await asyncio.open_connection("127.0.0.1", echoing.port)
    yield reader, writer
    writer.close()


async def said(peer, data: bytes) -> bytes:
    reader, writer = peer
    writer.write(data)
    return await reader.readexactly(len(data))


async def test_it_carries_bytes_both_ways(echoing, peer):
    assert await said(peer, b"x" * 500_000) == b"x" * 500_000


async def test_it_reaches_unix_sockets(tmp_path):
    path = tmp_path / "s"
    async with await asyncio.start_unix_server(echo, path), FaultProxy(path) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await said((reader, writer), b"hello") == b"hello"
        writer.close()


async def test_it_delays(echoing, peer):
    echoing.delay_s = 0.1
    began = time.monotonic()
    await said(peer, b"hello")

    assert time.monotonic() - began >= 0.2


async def test_it_lets_bytes_trickle(echoing, peer):
    echoing.bytes_per_s = 1000
    began = time.monotonic()
    await said(peer, b"x" * 200)

    assert 0.2 <= time.monotonic() - began < 2


async def test_it_freezes_and_thaws(echoing, peer):
    reader, writer = peer
    echoing.freeze()
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(1)
    echoing.thaw()

    assert await reader.readexactly(5) == b"hello"


async def test_it_resets(echoing, peer):
    reader, _ = peer
    await said(peer, b"hello")
    echoing.reset()

    with pytest.raises(ConnectionResetError):
        await reader.read(1)


async def test_it_resets_after_so_many_bytes(echoing, peer):
    reader, writer = peer
    echoing.reset_after(10)
    received = await said(peer, b"0123456789")
    writer.write(b"more")

    assert received == b"0123456789"
    with pytest.raises(ConnectionResetError):
        await reader.read(1)


async def test_it_closes_one_half(echoing, peer):
    reader, writer = peer
    await said(peer, b"hello")
    echoing.half_close()

    assert await reader.read() == b""
    writer.write(b"still heard")
    await writer.drain()


async def test_a_black_hole_answers_nobody():
    with black_hole() as url, socket.socket() as lost:
        lost.settimeout(0.3)
        host, _, port = url.removeprefix("http://").partition(":")
        with pytest.raises(TimeoutError):
            lost.connect((host, int(port)))
