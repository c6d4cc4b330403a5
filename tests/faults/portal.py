"""The real server process, its people and its database, for tests that break things."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import websockets

ROOT = Path(__file__).parents[2]
START_S = 40
PATIENCE_S = 20
PASSWORD = "correct horse battery"
FINAL = ("done", "stopped", "failed", "interrupted")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Portal:
    """One serving process. Several may share a data directory, like after a crash and a new start."""

    def __init__(self, data: Path, ollama: str, *, server: str = "daphne", **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.data = data
        self.log_path = data / f"portal-{self.port}.log"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "DATA_DIR": str(data),
            "BIND": f"127.0.0.1:{self.port}",
            "OLLAMA_HOST": ollama,
            "ADMIN_USERNAME": "alice",
            "ADMIN_PASSWORD": PASSWORD,
            "OLLAMA_SLOTS": "8",
            "LOG_FORMAT": "json",
            **settings,
        }
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--server", server],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def ready(self) -> "Portal":
        """Like ``wait_until_ready``, beside other work."""
        return await asyncio.to_thread(self.wait_until_ready)

    def wait_until_ready(self) -> "Portal":
        """Wait until it can do its work."""
        with httpx.Client() as client:
            deadline = time.monotonic() + START_S
            while time.monotonic() < deadline:
                assert self.process.poll() is None, f"the portal ended:\n{self.log}"
                try:
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return self
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
        raise AssertionError(f"the portal is not ready:\n{self.log}")

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def terminate(self) -> int:
        """As systemd and Docker do; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    async def ended(self) -> int:
        """Wait until the process ends by itself."""
        return await asyncio.to_thread(self.process.wait, PATIENCE_S)

    def database(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.data / "postgres"), user="postgres", dbname="postgres", autocommit=True)


class Visitor:
    """A signed-in person without a browser."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.http = httpx.AsyncClient(base_url=portal.url, timeout=PATIENCE_S, headers={"Origin": portal.url})

    async def sign_in(self, username: str = "alice", password: str = PASSWORD) -> "Visitor":
        await self.http.get("/sign-in/")
        answer = await self.post("/sign-in/", username=username, password=password)
        assert answer.status_code == 302, answer.text
        return self

    async def post(self, path: str, **fields: str) -> httpx.Response:
        return await self.http.post(path, data={**fields, "csrfmiddlewaretoken": await self.token()})

    async def start(self, text: str, model: str, key: str | None = None) -> str:
        """Ask in a new conversation; its id."""
        answer = await self.post("/c/", text=text, model=model, client_key=key or str(uuid.uuid4()))
        assert answer.status_code == 302, answer.text
        return re.fullmatch(r"/c/([0-9a-f-]+)/", answer.headers["location"])[1]

    async def page(self, conversation: str) -> str:
        answer = await self.http.get(f"/c/{conversation}/")
        assert answer.status_code == 200
        return answer.text

    @asynccontextmanager
    async def socket(self, conversation: str | None = None, **options):
        """The socket of an open page."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        address = f"ws://localhost:{self.portal.port}/ws/"
        headers = {"Cookie": cookies}
        origin = options.pop("origin", self.portal.url)
        async with websockets.connect(
            address, additional_headers=headers, origin=origin, proxy=None, **options
        ) as open_socket:
            if conversation:
                await open_socket.send(json.dumps({"watch": conversation, "lang": "en"}))
            yield open_socket

    async def token(self) -> str:
        """For a form; a new one each time, because signing in changes the secret behind it."""
        page = await self.http.get("/settings/" if "session" in self.http.cookies else "/sign-in/")
        return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]


def answer_in(database: psycopg.Connection, conversation: str) -> tuple[str, str, str]:
    """State, text and error of the newest answer, the record of a live one included."""
    return database.execute(
        """
        select m.state,
               m.text || coalesce((select string_agg(p.text, '' order by p."offset") from chat_runpiece p
                                   join chat_run r on r.id = p.run_id
                                   where r.answer_id = m.id and p.kind = 'text'), ''),
               m.error
        from chat_message m where m.conversation_id = %s and m.role = 'assistant' order by m.id desc limit 1
        """,
        [conversation],
    ).fetchone()


async def until_state(
    database: psycopg.Connection, conversation: str, *states: str, within_s: float = PATIENCE_S
) -> str:
    """Wait until the newest answer is in one of the states; its text."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        state, text, _ = answer_in(database, conversation)
        if state in states:
            return text
        await asyncio.sleep(0.02)
    raise AssertionError(f"still {answer_in(database, conversation)} after {within_s} s")


async def until_text(database: psycopg.Connection, conversation: str, length: int) -> str:
    """Wait until at least ``length`` characters of the answer are recorded."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        _, text, _ = answer_in(database, conversation)
        if len(text) >= length:
            return text
        await asyncio.sleep(0.02)
    raise AssertionError(f"only {answer_in(database, conversation)}")
