"""What the log looks like: a line for people or a JSON object for machines, and never what anybody wrote.

Modules log identifiers, sizes and names of states. Paths are logged without their query string.
"""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from django.core.exceptions import ImproperlyConfigured

Format = Literal["text", "json"]
# How the parts of a traceback begin that quote our code, or join two errors; the others are messages.
PLACES_IN_CODE = ("  ", "Traceback ", "\n")
# What every record has; anything else was given by ``extra=`` and belongs into the JSON object.
ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Django hangs whole objects on its records: a request knows its query string and its cookies.
NEVER_LOGGED = frozenset({"request", "status_code", "exc_info", "server_time"})


def config(name: str) -> dict[str, Any]:
    """The logging dictConfig for the format ``text`` or ``json``. Raises ImproperlyConfigured."""
    if name not in get_args(Format):
        raise ImproperlyConfigured(f"LOG_FORMAT={name}: write text or json.")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"text": {"()": "webui.logs.Lines"}, "json": {"()": "webui.logs.JsonLines"}},
        "filters": {
            "without_queries": {"()": "webui.logs.WithoutQueries"},
            "refusals": {"()": "webui.logs.Refusals"},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": name, "filters": ["without_queries", "refusals"]},
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            "django": {"level": "INFO"},
            # One line per 404 says nothing that the access log does not say.
            "django.request": {"level": "ERROR"},
            "django.channels.server": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
        },
    }


class Refusals(logging.Filter):
    """What Django refuses for safety's sake is no error of ours: one line without the way there."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        return True


class WithoutQueries(logging.Filter):
    """Cuts query strings off the paths in a record's arguments: a query may hold a search or a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_without_query(argument) for argument in record.args)
        return True


def _without_query(argument: object) -> object:
    if isinstance(argument, str) and argument.startswith(("/", "http://", "https://")):
        return argument.partition("?")[0]
    return argument


class Formatter(logging.Formatter):
    """Tracebacks without what PostgreSQL adds to its messages: the statement, and whole rows."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 -- logging's own name
        told = traceback.TracebackException(*ei).format()
        return "".join(part if part.startswith(PLACES_IN_CODE) else _first_line(part) for part in told)


class Lines(Formatter):
    """``2026-01-31 12:00:00,000 INFO webui.server: message``: one line, however odd the arguments.

    The lines of a traceback are set in: none of them can pass for a record of its own.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's own name
        return on_one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 -- logging's own name
        return "\n".join(f"    {on_one_line(line)}" for line in super().formatException(ei).splitlines())


class JsonLines(Formatter):
    """One JSON object per line: time, level, logger, message, error, and the record's extras."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps({**_extras(record), **entry}, default=str)


def _first_line(text: str) -> str:
    return text.partition("\n")[0] + "\n"


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in ORDINARY | NEVER_LOGGED}


def on_one_line(text: str) -> str:
    """Control characters spelled out: a forged line break must not look like a second record."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
