"""The signing key of an installation that was given none."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def stored_secret_key(data_dir: Path) -> str:
    """The key kept under ``data_dir``, made on first use. Raises ImproperlyConfigured where that is not ours."""
    try:
        return _stored_or_made(data_dir)
    except PermissionError as error:
        raise ImproperlyConfigured(
            f"{error.filename} is not ours to use: start the portal as the account that owns {data_dir}, "
            "or choose another DATA_DIR."
        ) from error


def _stored_or_made(data_dir: Path) -> str:
    """Readable by its owner only."""
    path = data_dir / "secret_key"
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        data_dir.mkdir(parents=True, exist_ok=True)
    # Two processes may start at once: the first file wins and the other reads it.
    descriptor, draft = tempfile.mkstemp(prefix="secret_key.", dir=data_dir)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(50))
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    Path(draft).unlink()
    return path.read_text(encoding="ascii")
