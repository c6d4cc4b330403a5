"""``manage.py up`` takes an empty directory to a served portal, quickly the second time, and leaves no process."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import OperationalError

from webui.management.commands.serve import plain_refusals, warning
from webui.origins import hosts_of

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
PATIENCE = 20


class Portal:
    """A portal process on its own data; everything it says goes to ``said``."""

    def __init__(self, data_dir: Path, *arguments: str, **settings: str) -> None:
        self.port = settings.pop("port", None) or free_port()
        self.said = data_dir / f"said-{self.port}.txt"
        self.data_dir = data_dir
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(data_dir),
            "DJANGO_SETTINGS_MODULE": "webui.settings",
            "DATA_DIR": str(data_dir),
            "BIND": f"127.0.0.1:{self.port}",
            **settings,
        }
        with self.said.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "django", *(arguments or ("up",))],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def ready(self) -> "Portal":
        """Wait until it announces itself."""
        until = time.monotonic() + PATIENCE
        while "Teahouse is ready" not in self.said.read_text():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < until, self.said.read_text()
            time.sleep(0.02)
        return self

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://localhost:{self.port}{path}", headers=named)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.status, dict(response.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def data_dir():
    """Data of a portal that was up before. Passable for PostgreSQL's account, unlike pytest's directories."""
    made = Path(tempfile.mkdtemp(prefix="teahouse-up-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def up(data_dir):
    started: list[Portal] = []

    def start(*arguments: str, **settings: str) -> Portal:
        portal = Portal(data_dir, *arguments, **settings)
        started.append(portal)
        return portal

    yield start
    for portal in started:
        portal.stop()


def test_it_serves_pages_from_nothing_and_names_the_way_in(up):
    portal = up().ready()

    assert portal.get("/readyz")[0] == 200
    assert f"http://localhost:{portal.port}/" in portal.said.read_text()
    assert "with the code" in portal.said.read_text()


def test_the_second_start_is_ready_within_two_and_a_half_seconds(up):
    up().ready().stop()
    took = []
    for _ in range(2):
        began = time.monotonic()
        portal = up().ready()
        took.append(time.monotonic() - began)
        portal.stop()

    assert min(took) < 2.5


def test_two_at_once_share_one_database(up):
    both = [up(), up()]

    assert [portal.ready().get("/readyz")[0] for portal in both] == [200, 200]


def test_it_ends_with_0_and_takes_its_database_along(up, data_dir):
    portal = up().ready()
    postmaster = data_dir / "postgres/pgdata/postmaster.pid"
    assert postmaster.exists()

    assert portal.stop() == 0
    assert not postmaster.exists()


def test_a_taken_address_is_named_at_once(up):
    taken = up().ready()

    second = up(port=taken.port)

    assert second.process.wait(PATIENCE) == 69
    assert f"Cannot listen on 127.0.0.1:{taken.port}: Address already in use" in second.said.read_text()


def test_serve_wants_a_migrated_database(up, data_dir):
    portal = up("serve", DATA_DIR=str(data_dir / "fresh"))

    assert portal.process.wait(PATIENCE) == 78
    assert "The database is not migrated" in portal.said.read_text()


def test_a_database_that_does_not_answer_is_named():
    refused = pytest.raises(CommandError, match="The database does not answer: connection refused")
    with refused as caught, plain_refusals():
        raise OperationalError("connection refused")

    assert caught.value.returncode == 69


def test_data_that_cannot_be_used_is_named(up, data_dir):
    """F68."""
    data = data_dir / "old" / "postgres" / "pgdata"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")
    if os.geteuid() == 0:  # PostgreSQL then runs as whoever has the data, and root cannot
        for place in (data.parent, data):
            shutil.chown(place, "nobody")

    portal = up(DATA_DIR=str(data_dir / "old"))

    assert portal.process.wait(PATIENCE) == 78
    assert "was made by PostgreSQL 12" in portal.said.read_text()


def test_static_files_are_served_in_front_of_the_pages(up):
    status, headers = up().ready().get("/static/django_htmx/django-htmx.js", Accept_Encoding="br")

    assert (status, headers["Content-Encoding"]) == (200, "br")


def test_the_probe_tells_by_its_exit_code(up, data_dir):
    portal = up().ready()
    environment = {**os.environ, "BIND": f"0.0.0.0:{portal.port}", "DATA_DIR": str(data_dir)}
    probe = [sys.executable, "-m", "webui.probe"]

    while_up = subprocess.run(probe, cwd=ROOT, env=environment, check=False).returncode
    portal.stop()
    after = subprocess.run(probe, cwd=ROOT, env=environment, check=False).returncode

    assert (while_up, after) == (0, 1)


def test_a_request_for_another_host_is_refused(up):
    assert up().ready().get("/healthz", Host="evil.example")[0] == 400


@pytest.mark.parametrize(
    ("public_url", "warned"),
    [
        ("http://localhost:8000", False),
        ("http://127.0.0.1:8000", False),
        ("https://tea.example", False),
        ("http://tea.example", True),
        ("http://10.0.0.7:8000", True),
    ],
)
def test_plain_http_on_a_network_is_warned_of(settings, public_url, warned):
    """S44."""
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = public_url, hosts_of(public_url)

    assert bool(warning()) is warned
