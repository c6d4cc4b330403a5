"""One Ollama client per host, kept so that its connections are used again."""

from webui.inference.models import Host
from webui.ollama import OllamaClient

_clients: dict[tuple[str, str], OllamaClient] = {}


def client_of(host: Host) -> OllamaClient:
    """The client for the host's address and token. Belongs to the event loop of the serving process."""
    key = (host.base_url, host.bearer)
    if key not in _clients:
        _clients[key] = OllamaClient(host.base_url, bearer=host.bearer or None)
    return _clients[key]


async def close_clients() -> None:
    while _clients:
        _, client = _clients.popitem()
        await client.aclose()
