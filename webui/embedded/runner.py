"""Starts, shares and stops one embedded PostgreSQL server per data directory."""

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import binaries, places
from .errors import ForeignData, ProgramFailed

RECOVERY_SECONDS = 300
ANSWERS, RECOVERING = 0, 1  # what pg_isready exits with; anything else means nobody is there

INITDB = (
    "--username=postgres",
    "--auth=trust",  # nobody but the owner of the socket's directory can reach it
    "--encoding=UTF8",
    # The built-in locale sorts alike on every system and survives upgrades of the C library.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-sync",
)


class Server:
    """A PostgreSQL that lives as long as any process uses it.

    Every using process holds a shared lock on ``users.lock``; whoever leaves and gets it alone stops the
    server. The kernel drops locks with their process, so not even kill -9 leaves a stale user behind.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.account = places.settle(root.resolve())
        self.data = self.root / places.DATA
        self.log = self.root / "postgres.log"
        self.binaries = binaries.find()
        self._users_lock: int | None = None

    @property
    def socket_directory(self) -> Path:
        return places.socket_directory(self.root, self.account)

    def start(self) -> None:
        """Make sure that the server answers. Raises EmbeddedFailed."""
        places.make_private(self.root, self.account)
        with self._one_at_a_time():
            self._make_binaries_reachable()
            if not (self.data / "PG_VERSION").exists():
                self._create_cluster()
            self._refuse_other_version()
            if not self._answers():
                self._drop_stale_locks()
                self._start_server()
            self._users_lock = self._lock("users.lock", fcntl.LOCK_SH)

    def release(self) -> None:
        """Leave the server; the last one out stops it."""
        if self._users_lock is None:
            return
        with self._one_at_a_time():
            try:
                fcntl.flock(self._users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # others still use it
            else:
                self._stop_server()
            os.close(self._users_lock)
        self._users_lock = None

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        lock = self._lock("start.lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(lock)

    def _lock(self, name: str, kind: int) -> int:
        """A file descriptor that holds the lock; closing it gives the lock back."""
        lock = os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self.account:
            os.fchown(lock, self.account.pw_uid, self.account.pw_gid)
        fcntl.flock(lock, kind)
        return lock

    def _refuse_other_version(self) -> None:
        theirs = (self.data / "PG_VERSION").read_text().strip()
        _, printed = self._run("postgres", "--version")
        ours = _major_version(printed)
        if theirs != ours:
            raise ForeignData(
                f"{self.data} was made by PostgreSQL {theirs}, and this portal brings {ours}. "
                "Nothing was changed: back up with the former version of the portal, restore with this one."
            )

    def _make_binaries_reachable(self) -> None:
        program = self.binaries / "postgres"
        if self.account and places.private_ancestor(program, self.account):
            self.binaries = binaries.copied_below(self.root.parent, self.binaries)

    def _create_cluster(self) -> None:
        """Made beside its place and renamed, so that a half-made cluster never counts as one."""
        making = self.root / "pgdata.new"
        shutil.rmtree(making, ignore_errors=True)
        self._run_or_fail("initdb", "-D", str(making), *INITDB)
        making.rename(self.data)

    def _answers(self) -> bool:
        patience_ends = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < patience_ends:
            status, _ = self._run("pg_isready", "-q", "-h", str(self.socket_directory), "-t", "3")
            if status != RECOVERING:
                return status == ANSWERS
            time.sleep(0.2)
        raise ProgramFailed(f"PostgreSQL is still recovering after {RECOVERY_SECONDS} s: see {self.log}")

    def _drop_stale_locks(self) -> None:
        """What a crash left may name an unrelated live process: containers reuse low numbers."""
        for lock in (self.data / "postmaster.pid", self.socket_directory / f"{places.SOCKET_NAME}.lock"):
            try:
                pid = int(lock.read_text().partition("\n")[0])
            except (OSError, ValueError):
                continue
            program = _program_of(pid)
            if program and "postgres" not in program:
                lock.unlink()

    def _start_server(self) -> None:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self.socket_directory}"',  # in quotes, as a list of one name
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # What a statement did wrong its sender is told; the log would quote it, with what people wrote.
            "log_min_messages": "log",
        }
        # pg_ctl hands this to a shell.
        told = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in options.items())
        log = str(self.log)
        self._run_or_fail("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-t", "300", "-o", told, "start")

    def _stop_server(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "-t", "60", "stop")
        if self.socket_directory != self.root:
            shutil.rmtree(self.socket_directory)

    def _run_or_fail(self, program: str, *arguments: str) -> None:
        status, output = self._run(program, *arguments)
        if status:
            raise ProgramFailed(f"{program} failed ({status}):\n{output}\n{self._end_of_log()}")

    def _run(self, program: str, *arguments: str) -> tuple[int, str]:
        """Exit status and everything printed.

        Output goes to a file: a pipe would stay open as long as the server that inherits it.
        """
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self.binaries / program), *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_clean_environment(),
                cwd="/",
                timeout=RECOVERY_SECONDS + 20,
                user=self.account.pw_uid if self.account else None,
                group=self.account.pw_gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
            output.seek(0)
            return done.returncode, output.read().decode("utf-8", "replace")

    def _end_of_log(self) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        except OSError:
            return ""


def _major_version(printed: str) -> str:
    """``18`` from ``postgres (PostgreSQL) 18.4``."""
    return printed.rsplit(maxsplit=1)[-1].partition(".")[0]


def _clean_environment() -> dict[str, str]:
    """Nothing of the person's own PostgreSQL settings, and messages in one language."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**ours, "LC_ALL": "C", "TZ": "UTC"}


def _program_of(pid: int) -> str:
    """What the live process runs; empty where there is none, which PostgreSQL notices by itself."""
    if sys.platform.startswith("linux"):
        return _program_from_proc(pid)
    command = ["/bin/ps", "-p", str(pid), "-o", "comm="]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def _program_from_proc(pid: int) -> str:
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return ""
    return "a zombie" if rest.split()[0] == "Z" else name
