"""Reads the environment. The only module that touches ``os.environ``."""

import os
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    """The variable's value, or the contents of the file that ``NAME_FILE`` points at. Empty is the same as unset."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    value = os.environ.get(name) or default
    if value is None:
        raise ImproperlyConfigured(f"Set {name} (or {name}_FILE).")
    return value


def flag(name: str, *, default: bool) -> bool:
    """True or False; anything else is refused, so that a typing slip never means False."""
    value = text(name, str(default))
    if value not in {"True", "False"}:
        raise ImproperlyConfigured(f"{name}={value}: write True or False.")
    return value == "True"


def whole(name: str, *, default: int, least: int) -> int:
    """A whole number that is not too small."""
    value = text(name, str(default))
    try:
        if (number := int(value)) >= least:
            return number
    except ValueError:
        pass
    raise ImproperlyConfigured(f"{name}={value}: write a whole number from {least} up.")


def address(name: str, default: str) -> str:
    """Where a browser finds something: scheme, host and perhaps a port, without a slash at the end."""
    value = text(name, default)
    try:
        parts = urlsplit(value)
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return value.rstrip("/")
    except ValueError:
        pass
    raise ImproperlyConfigured(f"{name}={value}: write it like https://chat.example.org or http://10.0.0.7:8000.")


def language(name: str, *, default: str) -> str:
    """``en`` or ``zh-hans``; many desktops set LANGUAGE to a list such as ``zh_CN:zh`` for gettext."""
    first = text(name, default).partition(":")[0].lower()
    return "zh-hans" if first.startswith("zh") else "en"


def words(name: str) -> list[str]:
    """A comma list, blanks dropped; empty when unset."""
    return [word.strip() for word in text(name, "").split(",") if word.strip()]


def networks(name: str) -> list[str]:
    """A comma list of addresses and ranges of them; names are refused, because nobody would look them up."""
    found = words(name)
    for word in found:
        try:
            ip_network(word, strict=False)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}={word}: write an address, or a range such as 10.0.0.0/8.") from error
    return found
