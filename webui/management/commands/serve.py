"""``manage.py serve``: the portal's pages and sockets on a database that is ready."""

import gc
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections

from webui import schema
from webui.embedded.errors import EmbeddedFailed
from webui.origins import LOOPBACK

GIVE_WAY_S = 0.001
UNAVAILABLE, MISCONFIGURED = 69, 78  # what sysexits.h calls them
SERVERS = {"daphne": "webui.server.process", "uvicorn": "webui.server.alternative"}


class Command(BaseCommand):
    help = "Serve the portal. The database must be migrated; `up` also takes care of that."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bind", default=settings.BIND, help="host:port to listen on (default: BIND)")
        parser.add_argument("--server", choices=SERVERS, default="daphne", help="uvicorn must be installed by yourself")

    def handle(self, *args: Any, bind: str, server: str, **options: Any) -> None:
        refuse_taken_address(bind)
        with plain_refusals():
            refuse_other_schemas()
        self.serve(bind, server)

    def serve(self, bind: str, server: str) -> None:
        """Serve until told to stop. Imports late: Daphne chooses the event loop of the whole process."""
        from webui import health, processes  # noqa: PLC0415
        from webui.asgi import application  # noqa: PLC0415
        from webui.gateway.app import comes_in_pieces  # noqa: PLC0415
        from webui.http import SECURITY_HEADERS  # noqa: PLC0415
        from webui.server.life import CannotListen  # noqa: PLC0415
        from webui.server.limits import Limits  # noqa: PLC0415
        from webui.static_files import StaticFiles  # noqa: PLC0415

        serve = serve_of(server)
        set_up_unattended()
        announcement = self.announcement()
        connections.close_all()

        def announce() -> None:
            self.stdout.write(announcement)
            self.stdout.flush()  # to a file or a pipe, too, while the process lives
            # Threads that render pages give way to the loop, which has pieces to send, after this time.
            sys.setswitchinterval(GIVE_WAY_S)
            gc.freeze()  # what is there now stays: looking through it again and again would stall the loop

        try:
            serve(
                StaticFiles(application),
                bind,
                on_start=[processes.start],
                on_ready=announce,
                on_drain=health.start_draining,
                on_stop=[processes.stop],
                limits=Limits(body_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE, in_pieces=comes_in_pieces),
                headers=SECURITY_HEADERS.items(),
            )
        except CannotListen as error:
            raise CommandError(str(error), returncode=UNAVAILABLE) from error

    def announcement(self) -> str:
        """What the person at the console needs to begin."""
        from webui.accounts import setup  # noqa: PLC0415

        lines = [f"Teahouse is ready: {settings.PUBLIC_URL}/", setup.announcement(), warning()]
        return "\n".join(line for line in lines if line)


def serve_of(server: str) -> Callable[..., None]:
    """The ``serve`` of one of the servers; only that one is imported. Raises CommandError."""
    try:
        module = import_module(SERVERS[server])
    except ImportError as error:
        raise CommandError(f"{error.name} is not installed.", returncode=MISCONFIGURED) from error
    found: Callable[..., None] = module.serve
    return found


def refuse_other_schemas() -> None:
    """Only the tables of this version will do. Raises SchemaIsNewer, and CommandError for older ones."""
    schema.refuse_newer()
    if not schema.is_current():
        raise CommandError("The database is not migrated: run `up`, or `migrate`.", returncode=MISCONFIGURED)


@contextmanager
def plain_refusals() -> Iterator[None]:
    """What keeps the database from serving, as a sentence and an exit code instead of a traceback."""
    try:
        yield
    except (EmbeddedFailed, schema.SchemaIsNewer) as error:
        raise CommandError(str(error), returncode=MISCONFIGURED) from error
    except OperationalError as error:
        raise CommandError(f"The database does not answer: {error}", returncode=UNAVAILABLE) from error


def warning() -> str | None:
    """What whoever runs the portal had better change."""
    address = urlsplit(settings.PUBLIC_URL)
    if address.scheme == "https" or settings.ALLOWED_HOSTS == LOOPBACK:
        return None
    return (
        "PUBLIC_URL is plain http: whoever is on the way can read passwords and conversations. "
        "Put a proxy with https in front, on a host name of its own."
    )


def set_up_unattended() -> None:
    """For installations without a person at the set-up page: their administrator and their Ollama host."""
    from webui.accounts import setup  # noqa: PLC0415
    from webui.inference.hosts import register_configured  # noqa: PLC0415

    if settings.ADMIN_USERNAME:
        setup.from_environment()
        register_configured()


def refuse_taken_address(bind: str) -> None:
    """Say so before the database is started and migrated for nothing. Raises CommandError."""
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {bind}: {error.strerror}. Set BIND to another host:port.",
                returncode=UNAVAILABLE,
            ) from error
        except ValueError as error:
            raise CommandError(f"BIND={bind}: write host:port.", returncode=MISCONFIGURED) from error
