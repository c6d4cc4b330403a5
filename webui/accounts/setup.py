"""The first administrator: by a one-time code printed on the console, or from the environment."""

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.crypto import constant_time_compare

from webui.accounts.models import User
from webui.db import take_turns

log = logging.getLogger(__name__)

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # nothing that looks like something else
LENGTH = 8
SETUP_LOCK = 0x7EA_0054

_done = False


class AlreadySetUp(Exception):
    """Another process, or another click, was quicker."""


def is_needed() -> bool:
    """Whether nobody administers the portal yet. Once somebody does, it is never asked again."""
    global _done  # noqa: PLW0603  it becomes true once in the life of a process
    _done = _done or User.objects.filter(is_admin=True).exists()
    return not _done


def announcement() -> str | None:
    """What the console says while set-up is needed."""
    if not is_needed():
        return None
    return f"Set it up at {settings.PUBLIC_URL}/setup/ with the code {code()}"


def code() -> str:
    """The one-time code, the same in every process of the installation."""
    path = _path()
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    made = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    # Two processes may start at once: the first file wins, and nobody ever reads half of it.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"{made[:4]}-{made[4:]}")
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    return path.read_text(encoding="ascii")


def is_code(typed: str) -> bool:
    """Capitals, blanks and dashes do not matter."""
    wanted = _plain(code())
    return bool(wanted) and constant_time_compare(_plain(typed), wanted)


@transaction.atomic
def create_administrator(*, username: str, password: str, display_name: str = "", language: str = "") -> User:
    """The first one; the code is spent. Raises AlreadySetUp."""
    take_turns(SETUP_LOCK)
    if User.objects.filter(is_admin=True).exists():
        raise AlreadySetUp
    user = User.objects.create_user(username, password, display_name=display_name, is_admin=True)
    user.language = language
    user.save(update_fields=["language"])
    transaction.on_commit(lambda: _path().unlink(missing_ok=True))
    return user


def from_environment() -> None:
    """Create the administrator that ADMIN_USERNAME and ADMIN_PASSWORD name, where there is none."""
    if settings.ADMIN_USERNAME and settings.ADMIN_PASSWORD and is_needed():
        with suppress(AlreadySetUp):
            create_administrator(username=settings.ADMIN_USERNAME, password=settings.ADMIN_PASSWORD)
        if is_weak(settings.ADMIN_PASSWORD):
            log.warning("ADMIN_PASSWORD is weaker than the portal asks of people: change it in the settings")


def is_weak(password: str) -> bool:
    """Whether nobody could choose it in a form."""
    try:
        validate_password(password)
    except ValidationError:
        return True
    return False


def _plain(text: str) -> str:
    return "".join(letter for letter in text.upper() if letter.isalnum())


def _path() -> Path:
    return Path(settings.DATA_DIR) / "setup_code"
