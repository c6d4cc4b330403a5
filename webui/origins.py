"""Which hosts and origins are ours, from the one public address."""

from urllib.parse import urlsplit

# A person on the machine itself may type any of these for the same server.
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
USUAL_PORTS = {"http": 80, "https": 443}


def hosts_of(public_url: str) -> list[str]:
    """Host names a request may carry."""
    host = _host(public_url)
    return LOOPBACK if host in LOOPBACK else [host]


def origins_of(public_url: str) -> list[str]:
    """Full origins (scheme, host, port) that forms and sockets may come from, as a browser writes them."""
    parts = urlsplit(public_url)
    port = f":{parts.port}" if parts.port and parts.port != USUAL_PORTS.get(parts.scheme) else ""
    return [f"{parts.scheme}://{host}{port}" for host in hosts_of(public_url)]


def _host(public_url: str) -> str:
    host = urlsplit(public_url).hostname or ""
    return f"[{host}]" if ":" in host else host
