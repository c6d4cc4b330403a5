"""The endpoints of ``/api`` that every token may use."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from webui.db import read_db
from webui.gateway import bodies
from webui.gateway.bodies import NOTE, Object
from webui.gateway.call import TEXT, Call, MayUse
from webui.gateway.refusals import Refused, missing
from webui.inference import usage
from webui.inference.catalogue import places_for
from webui.inference.clients import client_of
from webui.inference.door import Event, NoHost, NotForThem, Relay
from webui.inference.models import Host, Usage
from webui.inference.policy import OPERATORS_ONLY
from webui.ollama import Beginning, ModelNotFound, OllamaError
from webui.ollama.names import normal

UNKNOWN_VERSION = "0.0.0"
NOBODYS = "nobody/has-this:model"
# What a host says of places on its disk.
ABSOLUTE = re.compile(r"/|[A-Za-z]:\\")
PLACE = re.compile(rf"^(FROM|ADAPTER) +(?:{ABSOLUTE.pattern}).*$", re.MULTILINE)


async def root(call: Call) -> None:
    await call.answer(200, b"Ollama is running", f"{TEXT}; charset=utf-8")


async def version(call: Call) -> None:
    await call.tell({"version": await read_db(_version)})


async def tags(call: Call) -> None:
    await call.tell({"models": await installed(call)})


async def ps(call: Call) -> None:
    """The models in memory anywhere that the token may use."""
    running = await _models_everywhere(call, "/api/ps")
    await call.tell({"models": sorted(running, key=lambda model: str(model.get("expires_at")), reverse=True)})


async def show(call: Call) -> None:
    """What a host says about a model, without the places of its files and the list of its tensors."""
    body = await call.body()
    model = bodies.text_of(body, "model", "name")
    if not model:
        raise Refused(400, "model is required")
    bodies.checked(model)
    host = await _host_with(call, model, call.path)
    try:
        shown = await client_of(host).ask("POST", "/api/show", {"model": model, "name": model})
    except ModelNotFound as error:
        raise missing(call.path, model) from error
    shown.pop("tensors", None)
    if isinstance(shown.get("modelfile"), str):
        shown["modelfile"] = PLACE.sub(rf"\1 {model}", shown["modelfile"])
    await call.tell(_without_origin(shown, call.may_use))


async def installed(call: Call) -> list[Object]:
    """The models of all hosts that the token may use, the newest first."""
    by_name: dict[str, Object] = {}
    for model in await _models_everywhere(call, "/api/tags"):
        by_name.setdefault(normal(name_of(model)), model)
    return sorted(by_name.values(), key=lambda model: str(model.get("modified_at")), reverse=True)


async def relay(call: Call) -> None:
    """Ask a model, and pass on what it answers."""
    body = await call.body()
    order = await order_of(call, body, call.path)
    call.notes |= _note(body)
    async with aclosing(answer_to(order)) as events:
        async for event in events:
            match event:
                case Beginning(content_type=content_type):
                    await call.begin(content_type)
                case bytes():
                    await call.write(event)
    await call.end()


async def answer_to(order: Relay) -> AsyncGenerator[Event, None]:
    """What happens to it. Raises Refused when there is no such model, or none for them, and OllamaError."""
    try:
        async with aclosing(usage.metered(order)) as events:
            async for event in events:
                yield event
    except (NotForThem, ModelNotFound) as error:
        raise missing(order.endpoint, order.model) from error


async def order_of(call: Call, body: Object, endpoint: str) -> Relay:
    """What the door is asked for, if the token may ask for it. Raises Refused."""
    model = bodies.text_of(body, "model")
    if not model.strip():
        raise Refused(400, "model is required") if endpoint == "/api/chat" else missing(endpoint, "")
    bodies.checked(model)
    await _host_with(call, model, endpoint)
    return Relay(
        person=call.token.user_id,
        token=call.token,
        model=model,
        door=Usage.Door.API,
        endpoint=endpoint,
        fields=bodies.fields_of(endpoint, body),
        options=bodies.options_of(body),
    )


async def _host_with(call: Call, model: str, endpoint: str) -> Host:
    """Where the model is asked for. Raises Refused, for one of others just as for one that nobody has, and as soon."""
    places = await read_db(places_for, model)
    if places and call.may_use(model):
        return places[0].host
    host = await read_db(Host.objects.serving().first)
    if host is None:
        raise NoHost
    # Perhaps it was installed a moment ago.
    asked = model if call.may_use(model) else NOBODYS
    try:
        await client_of(host).ask("POST", "/api/show", {"model": asked, "name": asked})
    except ModelNotFound as error:
        raise missing(endpoint, model) from error
    if asked == NOBODYS:
        raise missing(endpoint, model)
    return host


def _note(body: Object) -> dict[str, str]:
    """Which wishes are not passed on because they would concern everybody."""
    options = body.get("options")
    ignored = sorted(OPERATORS_ONLY & set(options)) if isinstance(options, dict) else []
    ignored += [name for name in ("keep_alive", "shift") if name in body]
    return {NOTE: ", ".join(ignored)} if ignored else {}


async def _models_everywhere(call: Call, path: str) -> list[Object]:
    hosts = await read_db(_answering_hosts)
    answers = await asyncio.gather(*(_models_of(host, path) for host in hosts))
    return [
        _without_origin(model, call.may_use) for models in answers for model in models if call.may_use(name_of(model))
    ]


async def _models_of(host: Host, path: str) -> list[Object]:
    try:
        found: Any = (await client_of(host).ask("GET", path)).get("models")
    except OllamaError:
        return []
    return [model for model in found if isinstance(model, dict)] if isinstance(found, list) else []


def _without_origin(model: Object, may_use: MayUse) -> Object:
    """What it was made from is a file on the host's disk, or another model, which may be for others."""
    details = model.get("details")
    if isinstance(details, dict) and (origin := str(details.get("parent_model") or "")):
        details["parent_model"] = "" if ABSOLUTE.match(origin) or not may_use(origin) else origin
    return model


def _answering_hosts() -> list[Host]:
    return list(Host.objects.serving().exclude(health=Host.Health.UNREACHABLE).order_by("pk"))


def _version() -> str:
    return Host.objects.serving().exclude(version="").values_list("version", flat=True).first() or UNKNOWN_VERSION


def name_of(model: Object) -> str:
    return str(model.get("model") or model.get("name"))
