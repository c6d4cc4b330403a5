"""What a host itself says of a model, for a page that asks for it by itself."""

import asyncio

from asgiref.sync import async_to_sync

from webui.inference.clients import client_for
from webui.inference.models import Host, InstalledModel
from webui.ollama import ModelDetails, OllamaError

PATIENCE_S = 5.0


def details_of(model: InstalledModel) -> ModelDetails | None:
    """None when the host does not say in time; one that is known not to answer is not even asked."""
    if model.host.health == Host.Health.UNREACHABLE:
        return None
    return async_to_sync(_show)(model)


async def _show(model: InstalledModel) -> ModelDetails | None:
    host = model.host
    try:
        async with asyncio.timeout(PATIENCE_S), client_for(host) as client:
            return await client.show(model.name)
    except (OllamaError, TimeoutError):
        return None
