"""Which addresses an Ollama host may have. Decided when the portal is deployed, not in a form."""

import asyncio
import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import gaierror, getaddrinfo
from urllib.parse import urlsplit

from django.conf import settings

Address = IPv4Address | IPv6Address

DEFAULT_PORT = 11434
NEVER = [ip_network(net) for net in ("169.254.0.0/16", "fe80::/10", "0.0.0.0/32", "::/128", "224.0.0.0/4", "ff00::/8")]
HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
MAX_PORT = 65_535
# Mail, shells, files, databases: what a request of ours could do harm to, and Ollama never is.
OTHERS_PORTS = {21, 22, 23, 25, 53, 110, 143, 389, 445, 465, 587, 636, 993, 995, 1433, 2375, 3306, 3389}
OTHERS_PORTS |= {5432, 5672, 6379, 11211, 27017}


class AddressRefused(ValueError):
    """Not an address of an Ollama host; ``reason`` is form, port, name or forbidden."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def base_url(typed: str) -> str:
    """``scheme://host:port`` from what somebody typed, rebuilt from its parts. Raises AddressRefused."""
    text = typed.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port or (443 if parts.scheme == "https" else DEFAULT_PORT)
    except ValueError as error:
        raise AddressRefused("form") from error
    host = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
    extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in {"http", "https"} or extra or not HOST.fullmatch(host) or not 0 < port <= MAX_PORT:
        raise AddressRefused("form")
    if port in OTHERS_PORTS:
        raise AddressRefused("port")
    return f"{parts.scheme}://{host.lower()}:{port}"


def resolve(url: str) -> list[Address]:
    """The addresses of a host's name, every one of them allowed. Blocks. Raises AddressRefused."""
    parts = urlsplit(url)
    try:
        found = {ip_address(info[4][0]) for info in getaddrinfo(parts.hostname, parts.port)}
    except (gaierror, UnicodeError) as error:
        raise AddressRefused("name") from error
    addresses = sorted((_unwrapped(address) for address in found), key=lambda address: (address.version, address))
    if not all(_is_allowed(address, parts.hostname or "") for address in addresses):
        raise AddressRefused("forbidden")
    return addresses


async def resolved(url: str) -> str:
    """Where to connect to: a name may mean another address than when it was looked at. Raises OSError."""
    try:
        return str((await asyncio.to_thread(resolve, url))[0])
    except AddressRefused as error:
        raise OSError(f"the address is refused: {error.reason}") from error


def _is_allowed(address: Address, name: str) -> bool:
    if any(address in net for net in NEVER if net.version == address.version):
        return False
    if address.is_loopback or name == _configured_name():
        return True
    return any(_covers(rule, address, name) for rule in _rules())


def _configured_name() -> str | None:
    """Nothing where OLLAMA_HOST is no address: that must not make the others look wrong."""
    try:
        return urlsplit(base_url(settings.OLLAMA_HOST)).hostname
    except AddressRefused:
        return None


def _covers(rule: str, address: Address, name: str) -> bool:
    """A rule is a name, an address, or a network such as 10.0.0.0/8."""
    try:
        return address in ip_network(rule, strict=False)
    except ValueError:
        return rule.lower() == name.lower()


def _rules() -> list[str]:
    return list(settings.OLLAMA_ALLOWED_HOSTS)


def _unwrapped(address: Address) -> Address:
    """``::ffff:127.0.0.1`` is 127.0.0.1."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
