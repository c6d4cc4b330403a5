"""Who may ask: as Ollama, a host bound to this machine refuses names that lead elsewhere, and pages of other places."""

import ipaddress
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

OWN_NAMES = re.compile(r"(?:|localhost|.+\.(?:localhost|local|internal))")
OWN_PAGES = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::\d+)?|(?:app|file|tauri|vscode-\w+)://.*")


def is_refused(headers: Mapping[str, str], address: str) -> bool:
    """Whether a request with these headers (names in small letters) is refused by a host bound to ``address``."""
    host = headers.get("host", "")
    leads_elsewhere = _is_loopback(address) and not _is_own_name(_name_of(host))
    return leads_elsewhere or not _is_own_page(headers.get("origin", ""), host)


def _name_of(host: str) -> str:
    """Without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return host


def _is_own_name(name: str) -> bool:
    try:
        place = ipaddress.ip_address(name)
    except ValueError:
        return bool(OWN_NAMES.fullmatch(name)) or name == socket.gethostname().lower()
    return place.is_loopback or place.is_private or place.is_unspecified


def _is_own_page(origin: str, host: str) -> bool:
    return not origin or bool(OWN_PAGES.fullmatch(origin)) or urlsplit(origin).netloc == host


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
