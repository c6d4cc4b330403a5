"""Django's PostgreSQL engine on the embedded server.

The server starts with the first connection, so commands that need no database never start it. Its place is
``DATABASES["default"]["EMBEDDED"]["root"]``, a Path.
"""

import atexit
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.backends.postgresql import base, client

from .runner import Server

_servers: dict[tuple[int, Path], Server] = {}
_starting = threading.Lock()


def server_of(settings: dict[str, Any]) -> Server:
    """The running server of a DATABASES entry, one per process and place. Raises EmbeddedFailed."""
    root = Path(settings["EMBEDDED"]["root"])
    with _starting:
        key = (os.getpid(), root)  # a forked child must not believe it holds its parent's lock
        if key not in _servers:
            _servers[key] = _started(root)
        return _servers[key]


def _started(root: Path) -> Server:
    server = Server(root)
    server.start()
    starter = os.getpid()
    atexit.register(lambda: _leave(server, starter))
    return server


def _leave(server: Server, starter: int) -> None:
    if os.getpid() == starter:
        _close_connections()
        server.release()


def _close_connections() -> None:
    """Connections first: a pool that sees its server vanish fills the log with errors."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if isinstance(connection, DatabaseWrapper):
            connection.close_pool()


class DatabaseClient(client.DatabaseClient):
    """``manage.py dbshell`` by the psql that came with the server."""

    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        server = server_of(settings_dict)
        reached = {**settings_dict, "HOST": str(server.socket_directory), "USER": "postgres"}
        arguments, environment = super().settings_to_cmd_args_env(reached, parameters)
        return [str(server.binaries / "psql"), *arguments[1:]], environment


class DatabaseWrapper(base.DatabaseWrapper):
    client_class = DatabaseClient

    def get_connection_params(self) -> dict[str, Any]:
        server = server_of(self.settings_dict)
        parameters: dict[str, Any] = super().get_connection_params()
        return {**parameters, "host": str(server.socket_directory), "user": "postgres"}
