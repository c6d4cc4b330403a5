"""Where a request comes from."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from webui.http import header_of


def client_address(request: HttpRequest) -> str:
    """The peer's address, or, behind a proxy named in TRUSTED_PROXIES, the last one the proxy did not invent."""
    return _believed(request.META.get("REMOTE_ADDR"), request.headers.get("X-Forwarded-For", ""))


def address_in(scope: dict[str, Any]) -> str:
    """The same of an ASGI scope."""
    return _believed((scope.get("client") or [""])[0], header_of(scope, b"x-forwarded-for"))


def _believed(connected: str | None, said: str) -> str:
    peer, forwarded = connected or "127.0.0.1", said.split(",")
    while forwarded and _is_trusted(peer):
        candidate = forwarded.pop().strip()
        if not _is_address(candidate):
            break
        peer = candidate
    return _unwrapped(peer)


def _is_trusted(address: str) -> bool:
    return any(ip_address(_unwrapped(address)) in ip_network(proxy, strict=False) for proxy in settings.TRUSTED_PROXIES)


def _unwrapped(address: str) -> str:
    """``::ffff:10.0.0.7`` is 10.0.0.7, as whoever listens on ``[::]`` sees it."""
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped) if mapped else address


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
