"""Processes that use an embedded PostgreSQL, each its own, as portal processes are."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 60

USE_UNTIL_TOLD = """
import sys
from pathlib import Path
from webui.embedded.errors import EmbeddedFailed
from webui.embedded.runner import Server

server = Server(Path(sys.argv[1]))
try:
    server.start()
except EmbeddedFailed as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(server.socket_directory, flush=True)
sys.stdin.readline()
server.release()
"""


class Using:
    """A process that uses the server in ``root`` until it is told to leave."""

    def __init__(self, root: Path, **options) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, "-c", USE_UNTIL_TOLD, str(root)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def socket_directory(self) -> Path:
        """Wait until the server answers."""
        line = self.process.stdout.readline().rstrip("\n")
        assert line, self.process.communicate(timeout=PATIENCE)[1]
        return Path(line)

    def refusal(self) -> str:
        """Why it did not start."""
        _, said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 1
        return said

    def leave(self) -> None:
        _, said = self.process.communicate("\n", timeout=PATIENCE)
        assert self.process.returncode == 0, said

    def die(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@pytest.fixture
def folder():
    """A directory that every account may pass through, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="teahouse-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def use(folder):
    """``use()`` starts a process on one data directory; all are gone when the test is over."""
    started: list[Using] = []

    def start(root: Path | None = None, **options) -> Using:
        process = Using(root or folder / "postgres", **options)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.process.returncode is None:
            process.process.communicate("\n", timeout=PATIENCE)
    for root in {process.root for process in started}:
        stop_leftover(root)


def stop_leftover(root: Path) -> None:
    """Adopt whatever a killed process left, and leave it: that stops it."""
    if (root / "pgdata" / "postmaster.pid").exists():
        last = Using(root)
        last.process.communicate("\n", timeout=PATIENCE)


def query(directory: Path, statement: str) -> list[tuple]:
    with psycopg.connect(host=str(directory), user="postgres", dbname="postgres", autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def postmaster(root: Path) -> int:
    return int((root / "pgdata" / "postmaster.pid").read_text().splitlines()[0])


def is_root() -> bool:
    return os.geteuid() == 0
