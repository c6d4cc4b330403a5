"""The endpoints of Ollama's API that change what hosts have, for tokens that administer.

What takes a host a while is the same job as on the pages: shared with whoever wants the same, seen by every
administrator, and not ended by a script that leaves. Answers say in ``Teahouse-Host`` which host it was.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from django.db import transaction

from models_admin.api.recipe import DIGEST, bases_in, recipe_in
from models_admin.jobs import services
from models_admin.jobs.story import NotDone, follow
from models_admin.models import Job
from webui.accounts.addresses import address_in
from webui.accounts.audit import record_for
from webui.db import read_db, run_db
from webui.gateway import bodies
from webui.gateway.app import BLOB, Route, Routes
from webui.gateway.bodies import Object
from webui.gateway.call import JSON, LINES, Call
from webui.gateway.refusals import Refused, missing
from webui.http import header_of
from webui.inference.catalogue import places_for
from webui.inference.clients import client_of
from webui.inference.models import Host
from webui.ollama import ModelNotFound, OllamaClient, Progress
from webui.text import clean_text

HOST = "Teahouse-Host"
PLAIN_JSON = "application/json"  # as Ollama has it here
OK, CREATED, NOT_FOUND = 200, 201, 404


async def pull(call: Call) -> None:
    body = await call.body()
    model = bodies.checked(bodies.text_of(body, "model", "name")).strip()
    host = await read_db(_host_for, call)
    await _tell(call, body, await run_db(_start, call, Job.Kind.PULL, host, model, insecure=_is_insecure(body)))


async def push(call: Call) -> None:
    body = await call.body()
    model = bodies.checked(bodies.text_of(body, "model", "name")).strip()
    host = await read_db(_host_for, call, model)
    await _tell(call, body, await run_db(_start, call, Job.Kind.PUSH, host, model, insecure=_is_insecure(body)))


async def create(call: Call) -> None:
    body = await call.body()
    model = bodies.checked(bodies.text_of(body, "model", "name")).strip()
    recipe = recipe_in(body)
    bases = bases_in(recipe)
    host = await read_db(_host_for, call, bases[0] if bases else "")
    for base in bases:  # Ollama would fetch it from the internet
        await _must_have(call, host, base)
    await _tell(call, body, await run_db(_start, call, Job.Kind.CREATE, host, model, bases, request=recipe))


async def copy(call: Call) -> None:
    body = await call.body()
    source, destination = (_model_in(body, name) for name in ("source", "destination"))
    host = await read_db(_host_for, call, source)
    await _must_have(call, host, source)
    await _until_done(await run_db(_start, call, Job.Kind.COPY, host, destination, [source], source=source))
    await call.answer(OK)


async def delete(call: Call) -> None:
    body = await call.body()
    model = bodies.text_of(body, "model", "name").strip()
    if not model:
        raise Refused(400, "model is required")
    if not bodies.NAME.fullmatch(model):
        raise Refused(400, f'name "{model}" is invalid')
    host = await read_db(_host_for, call, model)
    await _must_have(call, host, model)
    await _until_done(await run_db(_start, call, Job.Kind.DELETE, host, model))
    await call.answer(OK)


async def has_blob(call: Call) -> None:
    client, digest = client_of(await read_db(_host_for, call)), _digest_of(call)
    if await client.has_blob(digest):
        await call.answer(OK)
    else:
        await call.answer(NOT_FOUND, content_type=JSON)


async def take_blob(call: Call) -> None:
    """Hand a file on to the host as it comes.

    One that is there already goes nowhere, but is heard to its end: clients answered before it may lose the answer.
    """
    host, digest = await read_db(_host_for, call), _digest_of(call)
    client = client_of(host)
    if await client.has_blob(digest):
        async for _ in call.chunks():
            pass
        await call.answer(OK)
        return
    size = await _upload(client, digest, call)
    await run_db(_record, call, "file_uploaded", digest, {"host": host.name, "bytes": size})
    await call.answer(CREATED)


ROUTES: Routes = {
    ("POST", "/api/pull"): Route(pull, admin=True),
    ("POST", "/api/push"): Route(push, admin=True),
    ("POST", "/api/create"): Route(create, admin=True),
    ("POST", "/api/copy"): Route(copy, admin=True),
    ("DELETE", "/api/delete"): Route(delete, admin=True),
    ("HEAD", BLOB): Route(has_blob, admin=True),
    ("POST", BLOB): Route(take_blob, admin=True),
}


# Where


def _host_for(call: Call, model: str = "") -> Host:
    """The host that the script names; else the first that has the model, else the first. Raises Refused."""
    name = header_of(call.scope, HOST.lower().encode()).encode("latin-1").decode("utf-8", "replace").strip()
    host = _named(name) if name else _first_with(model)
    call.notes[HOST] = host.name.encode().decode("latin-1")
    return host


def _named(name: str) -> Host:
    host = Host.objects.filter(enabled=True, name=clean_text(name)).first()
    if host is None:
        raise Refused(404, f"host '{name}' not found")
    return host


def _first_with(model: str) -> Host:
    serving = list(Host.objects.serving().order_by("pk"))
    having = {place.host_id for place in places_for(model)} if model else set()
    host = next((host for host in serving if host.pk in having), serving[0] if serving else None)
    if host is None:
        raise Refused(503, "no Ollama host answers")
    return host


async def _must_have(call: Call, host: Host, model: str) -> None:
    try:
        await client_of(host).ask("POST", "/api/show", {"model": model, "name": model})
    except ModelNotFound as error:
        raise missing(call.path, model) from error


# What


def _model_in(body: Object, name: str) -> str:
    model = bodies.text_of(body, name).strip()
    if not bodies.NAME.fullmatch(model):
        raise Refused(400, f'{name} "{model}" is invalid')
    return model


def _is_insecure(body: Object) -> bool:
    return body.get("insecure") is True


def _digest_of(call: Call) -> str:
    digest = call.path.rpartition("/")[2]
    if not DIGEST.fullmatch(digest):
        raise Refused(400, "invalid digest format")
    return digest


# Jobs


def _start(call: Call, kind: Job.Kind, host: Host, model: str, bases: Sequence[str] = (), **wish: Any) -> Job:
    """Have it done, and recorded. For a token for some models there are no others."""
    for name in (model, *bases):
        if not call.may_use(name):
            raise missing(call.path, name)
    try:
        with transaction.atomic():
            job = services.start(kind=kind, host=host, model=model, by=call.token.user, bases=bases, **wish)
            _record(call, f"model_{kind}", model, services.recorded_wish(host, wish))
    except services.NotAName as error:
        raise Refused(400, "invalid model name") from error
    except services.Busy as busy:
        raise Refused(409, f"{busy.job.started_by.name} has something else done with '{model}'") from busy
    return job


def _record(call: Call, action: str, what: str, after: dict[str, object]) -> None:
    token = {"token": call.token.prefix}
    record_for(call.token.user, action, what, after=after | token, address=address_in(call.scope))


async def _tell(call: Call, body: Object, job: Job) -> None:
    """How a job goes on, line by line, or only how it ended."""
    if body.get("stream") is False:
        await _until_done(job)
        await call.answer(OK, b'{"status":"success"}', PLAIN_JSON)
        return
    async with aclosing(follow(job.pk)) as lines:
        async for line in _or_refused(lines):
            if not call.content_type:
                await call.begin(LINES)
            await call.write(_as_ollama_writes(line))
    await call.end()


async def _until_done(job: Job) -> None:
    async with aclosing(follow(job.pk)) as lines:
        async for _ in _or_refused(lines):
            pass


async def _or_refused(lines: AsyncIterator[Progress]) -> AsyncIterator[Progress]:
    try:
        async for line in lines:
            yield line
    except NotDone as error:
        raise Refused(500, str(error)) from error


def _as_ollama_writes(line: Progress) -> bytes:
    """What is zero or empty is left out."""
    fields = {"status": line.status, "digest": line.digest, "total": line.total, "completed": line.completed}
    return json.dumps({name: value for name, value in fields.items() if value}).encode() + b"\n"


# Files


async def _upload(client: OllamaClient, digest: str, call: Call) -> int:
    """How many bytes it was."""
    size = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal size
        async for piece in call.chunks():
            size += len(piece)
            yield piece

    await client.upload_blob(digest, counted())
    return size
