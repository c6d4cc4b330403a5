"""The embedded server is shared, survives what happens to its users, and is open to nobody else."""

import os
import shutil
import signal
import socket
import stat
import subprocess
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from webui.embedded.errors import ForeignData
from webui.embedded.runner import Server

from .conftest import is_root, postmaster, query

pytestmark = pytest.mark.server


NOBODY = 65534


@contextmanager
def being(account: int):
    os.seteuid(account)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def moved():
    """Where data went that could not stay; removed when its users are gone."""
    directories: list[Path] = []
    yield directories
    for directory in directories:
        shutil.rmtree(directory.parent)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_answers_only_on_a_private_socket(use, folder):
    """S60."""
    directory = use().socket_directory()

    assert query(directory, "SHOW listen_addresses") == [("",)]
    assert mode(directory) == 0o700


@pytest.mark.skipif(not is_root(), reason="needs an account to be")
def test_another_account_cannot_reach_it(use):
    """S60."""
    directory = use().socket_directory()

    with socket.socket(socket.AF_UNIX) as stranger, being(NOBODY), pytest.raises(PermissionError):
        stranger.connect(str(directory / ".s.PGSQL.5432"))


def test_it_speaks_every_language_alike_on_every_system(use):
    directory = use(env={**os.environ, "LANG": "C", "LC_ALL": "C"}).socket_directory()

    assert query(directory, "SELECT upper('äж茶')") == [("ÄЖ茶",)]


def test_its_clock_and_log_do_not_follow_the_portal_time_zone(use):
    directory = use(env={**os.environ, "TZ": "Asia/Shanghai"}).socket_directory()

    assert query(directory, "SELECT current_setting('timezone'), current_setting('log_timezone')") == [("UTC", "UTC")]


def test_its_log_quotes_no_statement(use, folder):
    """S57."""
    directory = use().socket_directory()
    for statement in ("SELECT 'SECRET-WORD'::int", 'SELECT 1/0 AS "SECRET-WORD"', "SECRET-WORD"):
        with pytest.raises(psycopg.Error):
            query(directory, statement)

    log = (folder / "postgres" / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "SECRET-WORD" not in log


def test_the_person_s_own_postgresql_settings_do_not_leak_in(use):
    directory = use(env={**os.environ, "PGDATA": "/nonexistent", "PGPORT": "1"}).socket_directory()

    assert query(directory, "SELECT 1") == [(1,)]


def test_data_is_there_after_a_restart(use):
    first = use()
    query(first.socket_directory(), "CREATE TABLE t AS SELECT 1 AS n")
    first.leave()

    assert query(use().socket_directory(), "SELECT n FROM t") == [(1,)]


def test_it_stops_with_its_last_user_and_not_before(use, folder):
    first, second = use(), use()
    directory = first.socket_directory()
    second.socket_directory()
    first.leave()
    assert query(directory, "SELECT 1") == [(1,)]

    second.leave()

    with pytest.raises(psycopg.OperationalError):
        query(directory, "SELECT 1")


def test_five_first_starts_at_once_share_one_server(use):
    directories = {process.socket_directory() for process in [use() for _ in range(5)]}

    assert len(directories) == 1
    assert query(directories.pop(), "SELECT 1") == [(1,)]


def test_a_killed_user_leaves_no_server_that_never_stops(use, folder):
    killed = use()
    directory = killed.socket_directory()
    killed.die()
    following = use()
    following.socket_directory()

    following.leave()

    with pytest.raises(psycopg.OperationalError):
        query(directory, "SELECT 1")


def test_committed_rows_survive_a_killed_server(use, folder):
    first = use()
    directory = first.socket_directory()
    query(directory, "CREATE TABLE t AS SELECT generate_series(1, 500) AS n")
    os.kill(postmaster(folder / "postgres"), signal.SIGKILL)
    first.leave()

    assert query(use().socket_directory(), "SELECT count(*) FROM t") == [(500,)]


def test_a_stale_pid_file_that_names_a_stranger_is_dropped_and_the_stranger_lives(use, folder):
    """F67."""
    first = use()
    first.socket_directory()
    pid_file = folder / "postgres" / "pgdata" / "postmaster.pid"
    left = pid_file.read_text()
    first.leave()
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        pid_file.write_text(left.replace(left.splitlines()[0], str(stranger.pid), 1))

        answered = query(use().socket_directory(), "SELECT 1")

        assert answered == [(1,)]
        assert stranger.poll() is None
        stranger.kill()


def test_a_half_made_cluster_does_not_count(use, folder):
    use().leave()
    root = folder / "postgres"
    (root / "pgdata").rename(root / "pgdata.new")
    (root / "pgdata.new" / "PG_VERSION").unlink()

    assert query(use().socket_directory(), "SELECT 1") == [(1,)]


def test_a_path_with_blanks_and_chinese_works(use, folder):
    assert query(use(folder / "茶 馆's").socket_directory(), "SELECT 1") == [(1,)]


def test_a_path_too_long_for_a_socket_gets_a_short_private_one(use, folder):
    directory = use(folder / ("long" * 40)).socket_directory()

    assert query(directory, "SELECT 1") == [(1,)]
    assert mode(directory) == 0o700


def test_a_short_socket_directory_that_others_can_open_is_refused(use, folder):
    first = use(folder / ("long" * 40))
    directory = first.socket_directory()
    first.leave()
    directory.mkdir()

    refusal = use(folder / ("long" * 40)).refusal()

    directory.rmdir()
    assert refusal.startswith("UnsafeSocket: ")


def test_data_of_another_version_is_refused_and_left_alone(use, folder):
    """F68."""
    use().leave()
    version = folder / "postgres" / "pgdata" / "PG_VERSION"
    version.write_text("12\n")
    before = sorted(path.name for path in version.parent.iterdir())

    refusal = use().refusal()

    assert "was made by PostgreSQL 12, and this portal brings 18" in refusal
    assert sorted(path.name for path in version.parent.iterdir()) == before


@pytest.mark.skipif(not is_root(), reason="needs a second account")
@pytest.mark.parametrize("theirs", ["postgres", "postgres/pgdata"])
def test_data_of_another_account_is_refused(folder, theirs):
    """F68."""
    root = folder / "postgres"
    root.mkdir()
    (root / "pgdata").mkdir(mode=0o700)
    os.chown(root, NOBODY, NOBODY)
    os.chown(folder / theirs, 0, 0)

    with being(NOBODY), pytest.raises(ForeignData, match=f"{theirs} belongs to account number 0"):
        Server(root).start()


@pytest.mark.skipif(not is_root(), reason="needs a second account")
def test_a_place_where_we_may_not_write_is_named(folder):
    """F68."""
    with being(NOBODY), pytest.raises(ForeignData, match="postgres cannot be made there"):
        Server(folder / "postgres").start()


@pytest.mark.skipif(not is_root(), reason="about being root")
def test_root_takes_over_no_data_that_postgresql_may_not_read(folder):
    """F68."""
    root = folder / "postgres"
    (root / "pgdata").mkdir(parents=True)
    with pytest.raises(ForeignData, match="pgdata belongs to account number 0"):
        Server(root).start()

    assert root.stat().st_uid == 0


@pytest.mark.skipif(not is_root(), reason="about being root")
def test_root_runs_it_as_the_account_that_owns_the_data(use, folder):
    root = folder / "postgres"
    root.mkdir()
    os.chown(root, NOBODY, NOBODY)

    use().socket_directory()

    assert Path(f"/proc/{postmaster(root)}").stat().st_uid == NOBODY


@pytest.mark.skipif(not is_root(), reason="about being root")
def test_root_opens_nobody_s_private_directory(moved, use, folder):
    private = folder / "private"
    private.mkdir(mode=0o700)

    directory = use(private / "postgres", umask=0o077).socket_directory()

    moved.append(directory)
    assert directory.parent.parent == Path("/var/lib")
    assert query(directory, "SELECT 1") == [(1,)]
    assert mode(private) == 0o700
