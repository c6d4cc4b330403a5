"""Which PostgreSQL the portal uses: an external one by its URL, else the embedded one."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# No page or socket may hold a thread longer than this; migrations lift the limit for themselves.
STATEMENT_TIMEOUT_MS = 5_000
# Connections of one process: enough for its database threads, few enough for a server that allows 100. While the
# server is away a page waits no longer than it takes to say so, and once it is back it is found at once.
POOL = {"min_size": 1, "max_size": 16, "timeout": 3, "reconnect_timeout": 1}


def settings(url: str, data_dir: Path) -> dict[str, Any]:
    """The DATABASES entry. Raises ImproperlyConfigured for a URL that is not a PostgreSQL one."""
    place = _external(url) if url else _embedded(data_dir)
    options = {
        "pool": POOL,
        "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
        **place.pop("OPTIONS", {}),
    }
    return {
        **place,
        "OPTIONS": options,
        # A pooled connection is checked when it is lent, so a restart of PostgreSQL costs no page.
        "CONN_HEALTH_CHECKS": True,
        "CONN_MAX_AGE": 0,
        # Several test runs may share the embedded server.
        "TEST": {"NAME": f"test_{place['NAME']}_{os.getpid()}"},
    }


def _embedded(data_dir: Path) -> dict[str, Any]:
    return {"ENGINE": "webui.embedded", "NAME": "postgres", "EMBEDDED": {"root": data_dir / "postgres"}}


def _external(url: str) -> dict[str, Any]:
    """From ``postgresql://user:password@host:port/name?sslmode=require``; the driver gets the query."""
    parts = urlsplit(url)
    name = unquote(parts.path.lstrip("/"))
    if parts.scheme not in {"postgres", "postgresql"} or not name:
        raise ImproperlyConfigured("DATABASE_URL: write postgresql://user:password@host:5432/name.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": parts.port or "",
        "OPTIONS": dict(parse_qsl(parts.query)),
    }
