"""The live check of a host, step by step."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest

from webui.inference.check import check
from webui.practice import PracticeHost


@asynccontextmanager
async def answering(answer: bytes):
    """A server that says the same to everybody."""

    async def serve(reader, writer):
        await reader.read(2**16)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def buffering_proxy(url: str):
    """Passes an answer on when it is complete, as nginx does unless told otherwise."""

    async def serve(reader, writer):
        asked = (await reader.readuntil(b"\r\n\r\n")).decode()
        verb, path, _ = asked.split(" ", 2)
        length = next((int(line[15:]) for line in asked.splitlines() if line.lower().startswith("content-length:")), 0)
        async with httpx.AsyncClient(base_url=url) as http:
            answer = await http.request(verb, path, content=await reader.readexactly(length))
        kind = f"Content-Type: {answer.headers['content-type']}\r\nContent-Length: {len(answer.content)}"
        writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{kind}\r\n\r\n".encode() + answer.content)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def load(url: str, model: str) -> None:
    async with httpx.AsyncClient() as http:
        await http.post(f"{url}/api/generate", json={"model": model, "keep_alive": 60, "stream": False})


def steps(found) -> list[tuple[str, str]]:
    return [(step.key, step.state) for step in found.steps]


async def test_a_host_that_will_do(practice):
    found = await check(practice.url)

    assert found.passed
    assert found.url == practice.url
    assert steps(found) == [("address", "ok"), ("answers", "ok"), ("models", "ok")]


async def test_it_says_how_many_models_there_are_and_how_many_are_in_memory(practice):
    await load(practice.url, "practice")
    models = (await check(practice.url)).steps[2]

    assert models.models > 5
    assert models.loaded == 1
    assert models.fact.endswith(" …")


async def test_a_stream_that_is_let_through_is_noticed():
    async with PracticeHost(speed=200) as host:
        await load(host.url, "practice")

        assert steps(await check(host.url))[3:] == [("streams", "ok")]


async def test_a_stream_that_is_held_back_is_noticed_and_not_forbidden():
    async with PracticeHost(speed=200) as host, buffering_proxy(host.url) as proxy:
        await load(host.url, "practice")
        found = await check(proxy)

    assert steps(found)[3:] == [("holds-back", "warn")]
    assert found.passed


async def test_a_model_that_only_makes_vectors_is_not_asked_to_chat(practice):
    await load(practice.url, "practice-embed")

    assert "streams" not in dict(steps(await check(practice.url)))


async def test_a_model_that_fails_says_nothing_of_the_host(practice):
    await load(practice.url, "fault-st500")
    found = await check(practice.url)

    assert found.passed


async def test_nothing_behind_a_port(unused_tcp_port):
    """S29."""
    found = await check(f"http://127.0.0.1:{unused_tcp_port}")

    assert not found.passed
    assert steps(found) == [("address", "ok"), ("fails", "danger")]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
async def test_something_else_than_ollama_is_told_no_differently_than_nothing(answer):
    """S29."""
    async with answering(answer) as url:
        found = await check(url)

    assert not found.passed
    assert steps(found) == [("address", "ok"), ("fails", "danger")]


async def test_a_host_that_wants_a_token():
    async with answering(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n") as url:
        assert steps(await check(url)) == [("address", "ok"), ("fails-refused", "danger")]


@pytest.mark.parametrize(("typed", "key"), [("http://a b", "address-form"), ("http://8.8.8.8", "address-forbidden")])
async def test_an_address_that_will_not_do_is_not_called(typed, key):
    assert steps(await check(typed)) == [(key, "danger")]
