"""A practice host, and the ways to talk to it: byte by byte, and with Ollama's own client."""

import ollama
import pytest

from webui.practice import PracticeHost

from .wire import Answer, ask


@pytest.fixture
async def host():
    async with PracticeHost(faults=True) as host:
        yield host


@pytest.fixture
async def old_host():
    async with PracticeHost(old=True) as host:
        yield host


@pytest.fixture
def send(host):
    """Send a body, or none, and read the whole answer."""

    async def send(verb: str, path: str, body: object = None, **headers: str) -> Answer:
        return await ask(host.url, verb, path, body, **headers)

    return send


@pytest.fixture
async def client(host):
    client = ollama.AsyncClient(host=host.url, trust_env=False)
    yield client
    await client._client.aclose()
