"""Where a request comes from."""

from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The peer's address, or, behind a proxy named in TRUSTED_PROXIES, the last one the proxy did not invent."""
    peer = request.META.get("REMOTE_ADDR") or "127.0.0.1"
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
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
