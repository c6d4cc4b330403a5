"""One Ollama client per host, kept so that its connections are used again."""

from django.conf import settings

from webui.inference import addresses
from webui.inference.models import Host
from webui.ollama import OllamaClient

_clients: dict[tuple[object, ...], OllamaClient] = {}


def client_of(host: Host) -> OllamaClient:
    """The client for the way to the host. Belongs to the event loop of the serving process."""
    way = (host.base_url, host.bearer, host.verify_tls, host.authority)
    if way not in _clients:
        _clients[way] = client_for(host)
    return _clients[way]


def client_for(host: Host) -> OllamaClient:
    """A client of the caller's own, to be closed by them."""
    return client_to(host.base_url, bearer=host.bearer, verify_tls=host.verify_tls, authority=host.authority)


def client_to(url: str, *, bearer: str = "", verify_tls: bool = True, authority: str = "") -> OllamaClient:
    """Connects to addresses that are allowed, and to no others."""
    return OllamaClient(
        url,
        bearer=bearer or None,
        verify=verify_tls,
        authority=authority or None,
        resolve=addresses.resolved,
        first_byte_s=settings.OLLAMA_LOAD_SECONDS,
        idle_s=settings.OLLAMA_IDLE_SECONDS,
    )


async def close_clients() -> None:
    while _clients:
        _, client = _clients.popitem()
        await client.aclose()
