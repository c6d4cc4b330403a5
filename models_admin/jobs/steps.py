"""What a job asks of its host."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from models_admin.models import Job
from webui.db import read_db
from webui.inference.policy import policy_of
from webui.ollama import ModelNotFound, OllamaClient, Progress, RequestRefused


async def steps(job: Job, client: OllamaClient) -> AsyncGenerator[Progress, None]:
    """Do it, and yield how it goes. Closing the generator ends it at the host. Raises OllamaError."""
    match job.kind:
        case Job.Kind.PULL:
            lines = client.pull(job.model, insecure=job.insecure)
        case Job.Kind.PUSH:
            lines = client.push(job.model, insecure=job.insecure)
        case Job.Kind.CREATE:
            lines = client.create(job.model, job.request)
        case Job.Kind.COPY:
            lines = _copy(job, client)
        case Job.Kind.DELETE:
            lines = _delete(job, client)
        case Job.Kind.LOAD:
            lines = _load(job, client)
        case _:
            lines = _unload(job, client)
    async with aclosing(lines):
        async for line in lines:
            yield line


async def _copy(job: Job, client: OllamaClient) -> AsyncGenerator[Progress, None]:
    yield Progress("writing")
    await client.copy(job.source, job.model)


async def _delete(job: Job, client: OllamaClient) -> AsyncGenerator[Progress, None]:
    """Out of memory first: a model that is deleted while it is loaded cannot be unloaded any more."""
    yield Progress("removing")
    # One that cannot be unloaded, for it only embeds or is broken, may go all the same.
    with suppress(RequestRefused):
        await client.unload(job.model)
    with suppress(ModelNotFound):  # somebody was quicker, or we were, before a restart
        await client.delete(job.model)


async def _load(job: Job, client: OllamaClient) -> AsyncGenerator[Progress, None]:
    """As the next question would load it; for as long as the job says, or else the policy."""
    yield Progress("loading")
    policy = await read_db(policy_of, job.model)
    keep_alive = job.request.get("keep_alive", policy.keep_alive)
    await client.load(job.model, keep_alive=keep_alive, options=policy.load or None)


async def _unload(job: Job, client: OllamaClient) -> AsyncGenerator[Progress, None]:
    yield Progress("unloading")
    await client.unload(job.model)
