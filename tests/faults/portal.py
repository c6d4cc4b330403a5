"""The real server process and its database, for tests that break things."""

import asyncio
import hashlib
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg

from webui.embedded.runner import Server

ROOT = Path(__file__).parents[2]
START_S = 40
PATIENCE_S = 20
PASSWORD = "correct horse battery"
FINAL = ("done", "stopped", "failed", "interrupted")
MIB = 1024 * 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Portal:
    """A serving process. It may be killed and started again, as after a crash; several may share a data directory."""

    def __init__(
        self, data: Path, ollama: str, *, server: str = "daphne", running: bool = True, **settings: str
    ) -> None:
        self._server = server
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.data = data
        self.log_path = data / f"portal-{self.port}.log"
        self.process: subprocess.Popen | None = None
        self.settings: dict[str, str] = {}
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "DATA_DIR": str(data),
            "BIND": f"127.0.0.1:{self.port}",
            "OLLAMA_HOST": ollama,
            "ADMIN_USERNAME": "alice",
            "ADMIN_PASSWORD": PASSWORD,
            "OLLAMA_SLOTS": "8",
            "LOG_FORMAT": "json",
        }
        if running:
            self.start(**settings)

    def start(self, **settings: str) -> None:
        """Start the process, at the same address as before; the log goes on."""
        assert not self.is_running
        self.settings = settings
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--server", self._server],
                cwd=ROOT,
                env={**self._environment, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    async def ready(self) -> "Portal":
        """Like ``wait_until_ready``, beside other work."""
        return await asyncio.to_thread(self.wait_until_ready)

    def wait_until_ready(self) -> "Portal":
        """Wait until it can do its work."""
        with httpx.Client() as client:
            deadline = time.monotonic() + START_S
            while time.monotonic() < deadline:
                assert self.is_running, f"the portal ended:\n{self.log}"
                try:
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return self
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
        raise AssertionError(f"the portal is not ready:\n{self.log}")

    async def start_again(self, **settings: str) -> "Portal":
        """After its death, or instead of it."""
        if self.is_running:
            await self.end()
        self.start(**settings)
        return await self.ready()

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def memory(self) -> int:
        """Bytes of it that are in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def terminate(self) -> int:
        """As systemd and Docker do; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    async def end(self) -> int:
        """Like ``terminate``, beside other work."""
        return await asyncio.to_thread(self.terminate)

    async def ended(self) -> int:
        """Wait until the process ends by itself."""
        return await asyncio.to_thread(self.process.wait, PATIENCE_S)

    def database(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.data / "postgres"), user="postgres", dbname="postgres", autocommit=True)


class Postgres:
    """The server of the portal's database, which may go away."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._runs = True

    def stop(self) -> None:
        """In order, but without waiting for anybody."""
        self._server._stop_server()
        self._runs = False

    def start(self) -> None:
        if not self._runs:
            self._server._start_server()
            self._runs = True


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


def expire_leases(database: psycopg.Connection) -> None:
    """As after ten seconds without the process that held them."""
    database.execute(
        "update chat_run set lease_expires = now() - interval '1 second' "
        "where state in ('queued', 'loading', 'running')"
    )


def add_host(database: psycopg.Connection, name: str, url: str, *models: str) -> None:
    """Another host, as an administrator connects it, with what it is said to have."""
    (host,) = database.execute(
        "insert into inference_host (name, base_url, bearer, slots, practice, enabled, draining, health, version, "
        "last_error, created_at) values (%s, %s, '', 8, false, true, false, 'well', '', '', now()) returning id",
        [name, url],
    ).fetchone()
    for model in models:
        database.execute(
            "insert into inference_installedmodel (host_id, name, digest, size, family, parameter_size, quantization, "
            "context_length, capabilities, loaded, seen_at) values (%s, %s, '', 1, '', '', '', 0, '[]', false, now())",
            [host, model],
        )


def add_token(database: psycopg.Connection, username: str) -> str:
    """A new access token of somebody's, for using models."""
    secret = f"th_{secrets.token_urlsafe(32)}"
    database.execute(
        "insert into accounts_accesstoken (user_id, name, prefix, digest, scope, allowed, created_at) "
        "select id, 'script', %s, %s, 'use', '[]', now() from accounts_user where username = %s",
        [secret[:7], hashlib.sha256(secret.encode()).hexdigest(), username],
    )
    return secret


def forget_host(database: psycopg.Connection, name: str) -> None:
    (host,) = database.execute("select id from inference_host where name = %s", [name]).fetchone()
    database.execute(
        "delete from inference_turn where line_id in (select id from inference_waitingline where host_id = %s)", [host]
    )
    for table in ("inference_waitingline", "inference_installedmodel"):
        database.execute(f"delete from {table} where host_id = %s", [host])
    database.execute("delete from inference_host where id = %s", [host])
