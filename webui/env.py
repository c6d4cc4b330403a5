"""Reads the environment. The only module that touches ``os.environ``."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    """The variable's value, or the contents of the file that ``NAME_FILE`` points at."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"Set {name} (or {name}_FILE).")
    return value


def flag(name: str, *, default: bool) -> bool:
    """True or False; anything else is refused, so that a typing slip never means False."""
    value = text(name, str(default))
    if value not in {"True", "False"}:
        raise ImproperlyConfigured(f"{name}={value}: write True or False.")
    return value == "True"


def whole(name: str, *, default: int) -> int:
    """A whole number."""
    value = text(name, str(default))
    try:
        return int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={value}: write a whole number.") from error


def language(name: str, *, default: str) -> str:
    """``en`` or ``zh-hans``; many desktops set LANGUAGE to a list such as ``zh_CN:zh`` for gettext."""
    first = text(name, default).partition(":")[0].lower()
    return "zh-hans" if first.startswith("zh") else "en"


def words(name: str) -> list[str]:
    """A comma list, blanks dropped; empty when unset."""
    return [word.strip() for word in text(name, "").split(",") if word.strip()]
