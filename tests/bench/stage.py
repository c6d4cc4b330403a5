"""What is measured: a practice host, the portal and its people, all on this machine."""

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import websockets

from tests.faults.portal import ROOT, Portal, free_port

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ACK_EVERY = 32 * 1024


class Host:
    """A practice host in a process of its own."""

    def __init__(self, url: str, process: subprocess.Popen) -> None:
        self.url = url
        self.pid = process.pid

    async def speak(self, pieces_per_s: float | None) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.post(f"{self.url}/practice/settings", json={"speed": pieces_per_s})

    async def requests(self) -> list[dict]:
        """What it was asked, and when each request ended on the clock that all processes share."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{self.url}/practice/requests")).json()


@contextmanager
def practice_host():
    port = free_port()
    command = [sys.executable, "-m", "webui.practice", "--port", str(port), "--faults", "--slots", "1000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        try:
            yield Host(f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()


@dataclass(frozen=True)
class Stage:
    """A portal and the host it asks."""

    portal: Portal
    host: Host

    async def people(self, count: int) -> list["Person"]:
        """New people, signed in, each with an empty conversation; made in the database, as signing in costs a lot."""
        settings = {"DATA_DIR": str(self.portal.data), "DJANGO_SETTINGS_MODULE": "webui.settings"}
        making = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "tests.bench.make_people", str(count)],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
        )
        lines, _ = await making.communicate()
        return [Person(self.portal, *line.split()) for line in lines.decode().splitlines()]


@contextmanager
def stage(server: str):
    """The portal as people start it, once everything is made that a first start makes."""
    with practice_host() as host, TemporaryDirectory(prefix="teahouse-bench-") as place:
        data = Path(place)
        data.chmod(0o755)
        Portal(data, host.url, OLLAMA_SLOTS="1000").wait_until_ready().terminate()
        portal = Portal(data, host.url, server=server, OLLAMA_SLOTS="1000").wait_until_ready()
        try:
            yield Stage(portal, host)
        finally:
            portal.terminate()


def cpu_s(pid: int | str) -> float:
    """Seconds of processor time, in the kernel and outside, of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def memory_mb(pid: int) -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


class Person:
    """Somebody with a session and an open conversation. Writes plain HTTP, so that it costs next to nothing."""

    def __init__(self, portal: Portal, session: str, conversation: str) -> None:
        self.portal = portal
        self.session = session
        self.conversation = conversation
        self._csrf = secrets.token_hex(16)
        self._cookies = f"session={session}; csrf={self._csrf}"

    async def ask(self, text: str, model: str) -> int:
        """Ask in the conversation; the answer's status."""
        key = str(uuid.uuid4())
        return await self.post(f"/c/{self.conversation}/ask/", text=text, model=model, client_key=key)

    async def stop(self) -> int:
        return await self.post(f"/c/{self.conversation}/stop/")

    async def post(self, path: str, **fields: str) -> int:
        body = httpx.Request("POST", "http://x", data=fields).read()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost:{self.portal.port}\r\nOrigin: {self.portal.url}\r\n"
            f"Cookie: {self._cookies}\r\nX-CSRFToken: {self._csrf}\r\nHX-Request: true\r\nConnection: close\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self.portal.port)
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ", 2)[1])

    @asynccontextmanager
    async def page(self, *, deaf: bool = False):
        """The messages of an open page's socket, which acknowledges what it hears. A deaf one takes nothing."""
        async with websockets.connect(
            f"ws://localhost:{self.portal.port}/ws/",
            additional_headers={"Cookie": self._cookies},
            origin=self.portal.url,
            proxy=None,
            compression=None,
            max_size=None,
            max_queue=1 if deaf else 1024,
            ping_interval=None,
        ) as socket:
            await socket.send(json.dumps({"watch": self.conversation, "lang": "en", "seen": "1"}))
            yield _acknowledged(socket)


async def _acknowledged(socket) -> AsyncIterator[str]:
    heard = 0
    async for message in socket:
        yield message
        heard += len(message)
        if heard >= ACK_EVERY:
            await socket.send(json.dumps({"ack": heard}))
            heard = 0


def now_ms() -> float:
    return time.monotonic() * 1000
