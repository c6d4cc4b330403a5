"""The one door to the GPU: whoever wants an answer of a model passes here.

``stream`` finds a host, waits for a turn, talks to the host and says what happens in events. Nothing else
calls ``OllamaClient.chat``, ``generate`` or ``embed``.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from webui.accounts.models import AccessToken
from webui.db import read_db
from webui.inference import lines, metrics, prefill
from webui.inference.access import may_use
from webui.inference.catalogue import places_for
from webui.inference.clients import client_of
from webui.inference.models import Host, InstalledModel, Usage
from webui.inference.policy import Policy, policy_of
from webui.inference.quotas import Quota, person_with_limits, quotas_of
from webui.inference.turns import Place, Turns
from webui.ollama import (
    Beginning,
    ChatChunk,
    Counters,
    Embeddings,
    GenerateChunk,
    HostBusy,
    HostUnreachable,
    OllamaClient,
    OllamaError,
)
from webui.ollama.names import same_model

LOOK_FOR_MODEL_IN_MEMORY_S = 1.0
BUSY_PATIENCE_S = 300.0
# Between two tries at a busy host that did not say when; random, so that many who wait do not come at once.
BUSY_PAUSE_S = 1.0, 3.0

turns = Turns()


class NoHost(OllamaError):
    """No host is set up, or none takes new questions."""

    kind = "unreachable"


class NotForThem(OllamaError):
    """The model is for others. Nobody learns that it is there."""

    kind = "missing"


class CannotContinue(Exception):
    """The model starts over instead of going on where its answer stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every order says: which model is asked, for whom, and through which door they came, perhaps with a token."""

    person: int
    model: str
    options: Mapping[str, object] = field(default_factory=dict)
    door: Usage.Door = Usage.Door.BROWSER
    token: AccessToken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Asked):
    """A conversation to go on with. ``messages`` are Ollama's: role and content."""

    messages: Sequence[Mapping[str, object]]
    think: bool | None = None
    continues: bool = False  # the last message is the answer so far
    automatic: bool = False  # nobody asked for it; give up rather than improvise


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(Asked):
    """A text to go on with, without a conversation around it; the fields are those of ``/api/generate``."""

    prompt: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors(Asked):
    """Texts to be turned into vectors. ``singly``: one by one, by the endpoint hosts had before 0.3."""

    texts: Sequence[str]
    dimensions: int | None = None
    singly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay(Asked):
    """A request in Ollama's own form, whose answer is passed on as it comes. ``fields``: the rest of its body.

    ``otherwise``: options that hold where neither the request nor the operators say anything.
    """

    endpoint: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    otherwise: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """In line."""

    place: Place


@dataclass(frozen=True, slots=True)
class Started:
    """A slot is held and the question is with the host. ``cold``: the model is not in memory yet."""

    host: str
    practice: bool
    cold: bool
    queue_ms: float


@dataclass(frozen=True, slots=True)
class Busy:
    """Every host has too many requests. They are asked again by themselves; a ``Started`` follows."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The model is in memory and reads the prompt."""


AnyOrder = Order | Completion | Vectors | Relay
Chunk = ChatChunk | GenerateChunk
Relayed = Beginning | bytes | Counters
Event = Waiting | Started | Busy | Reading | Chunk | Embeddings | Relayed


async def stream(order: AnyOrder) -> AsyncGenerator[Event, None]:
    """Yield what happens from joining the line to the last chunk, or the vectors. Closing it aborts the request.

    Raises OllamaError, NoHost, NotForThem, QuotaReached or CannotContinue.
    """
    policy, quotas = await read_db(_admit, order)
    entered = time.monotonic()
    turned_away: set[int] = set()
    while True:
        place = await _choose_place(order.model, besides=turned_away)
        try:
            async with aclosing(_at(place, order, policy, quotas, entered)) as events:
                quotas = ()  # it is let in once, however often it moves
                async for event in events:
                    metrics.heard(event)
                    yield event
        except (HostBusy, HostUnreachable) as error:
            # Nothing was answered yet: another host, or later the same one, with the time waited so far.
            turned_away.add(place.host_id)
            if not await read_db(_other_places, order.model, turned_away):
                pause = _pause_after(error)
                if pause is None or time.monotonic() + pause > entered + BUSY_PATIENCE_S:
                    raise
                turned_away.clear()
                yield Busy()
                await asyncio.sleep(pause)
        else:
            return


def _pause_after(error: HostBusy | HostUnreachable) -> float | None:
    """For how long to wait before the hosts are asked again, if that may help."""
    if isinstance(error, HostUnreachable):
        return None
    pause = random.uniform(*BUSY_PAUSE_S)  # noqa: S311  not a secret
    return pause if error.retry_after_s is None else max(error.retry_after_s, BUSY_PAUSE_S[0])


async def _at(
    place: InstalledModel, order: AnyOrder, policy: Policy, quotas: tuple[Quota, ...], entered: float
) -> AsyncGenerator[Event, None]:
    """What happens at one host, from its line to its last chunk."""
    with turns.take(
        (place.host_id, place.name),
        person=order.person,
        door=order.door,
        token=order.token.pk if order.token else None,
        waited_s=time.monotonic() - entered,
        quotas=quotas,
    ) as hold:
        async for in_line in hold.places():
            yield Waiting(in_line)
        queue_ms = (time.monotonic() - entered) * 1000
        yield Started(place.host.name, place.host.practice, not place.loaded, queue_ms)
        async with aclosing(_ask(place, order, policy)) as events:
            with suppress(StopAsyncIteration):
                while True:
                    yield await hold.unless_removed(anext(events))


def _admit(order: Asked) -> tuple[Policy, tuple[Quota, ...]]:
    """How the model is asked, if it may be asked at all, and what must let it in. Raises NotForThem."""
    person = person_with_limits(order.person)
    if not may_use(person, order.model):
        raise NotForThem(f"model '{order.model}' not found")
    return policy_of(order.model), quotas_of(person, order.token)


async def _choose_place(model: str, *, besides: Collection[int]) -> InstalledModel:
    """The host that has the model in memory, then the shortest line, then the most free slots."""
    places, lengths = await read_db(_places, model, besides)
    if places:
        reachable = [p for p in places if p.host.health != Host.Health.UNREACHABLE] or places
        return min(reachable, key=lambda place: _load_of(place, lengths))
    host = await read_db(Host.objects.serving().first)
    if host is None:
        raise NoHost("No host takes questions.")
    # Perhaps it was installed a moment ago; if not, the host's own refusal says so.
    return InstalledModel(host=host, name=model)


def _places(model: str, besides: Collection[int]) -> tuple[list[InstalledModel], dict[lines.Key, lines.Length]]:
    places = _other_places(model, besides)
    return places, lines.lengths(places) if len(places) > 1 else {}


def _other_places(model: str, besides: Collection[int]) -> list[InstalledModel]:
    return [place for place in places_for(model) if place.host_id not in besides]


def _load_of(place: InstalledModel, lengths: Mapping[lines.Key, lines.Length]) -> tuple[bool, float, float]:
    length = lengths.get((place.host_id, place.name), lines.Length(0, 0))
    return not place.loaded, length.waiting / place.host.slots, length.holding / place.host.slots


async def _ask(place: InstalledModel, order: AnyOrder, policy: Policy) -> AsyncGenerator[Event, None]:
    client = client_of(place.host)
    if isinstance(order, Vectors):
        yield await client.embed(
            texts=order.texts, dimensions=order.dimensions, singly=order.singly, **_said(order, policy)
        )
        return
    if isinstance(order, Relay):
        async with aclosing(client.relay(order.endpoint, _body(order, policy))) as answer:
            async for piece in answer:
                yield piece
        return
    chunks = await _chunks(client, place, order, policy)
    async with aclosing(_until_done(client, order.model, chunks)) as events:
        async for event in events:
            yield event


def _body(order: Relay, policy: Policy) -> dict[str, object]:
    ours = {"options": {**order.otherwise, **policy.options(order.options)}, "keep_alive": policy.keep_alive}
    return {
        "model": order.model,
        **{name: value for name, value in ours.items() if value not in (None, {})},
        **order.fields,
    }


async def _chunks(
    client: OllamaClient, place: InstalledModel, order: Order | Completion, policy: Policy
) -> AsyncGenerator[Chunk, None]:
    """The answer of the host, not begun yet."""
    said = _said(order, policy)
    if isinstance(order, Completion):
        return client.generate(prompt=order.prompt, **order.fields, **said)
    messages, think = order.messages, _think(place, order)
    if order.continues:
        messages, think = await _continuing(client, place, order, policy)
    return client.chat(messages=messages, think=think, **said)


def _said(order: Asked, policy: Policy) -> dict[str, Any]:
    """What every endpoint is told alike; a host that is asked otherwise loads the model anew, or lets it go."""
    return {
        "model": order.model,
        "options": policy.options(order.options) or None,
        "keep_alive": policy.keep_alive,
    }


def _think(place: InstalledModel, order: Order) -> bool | None:
    """A host refuses the wish of a model that cannot think."""
    return order.think if "thinking" in place.capabilities else None


async def _continuing(
    client: OllamaClient, place: InstalledModel, order: Order, policy: Policy
) -> tuple[Sequence[Mapping[str, object]], bool | None]:
    """Messages that make the model go on, and whether it may think again."""
    think = None if _think(place, order) is None else False
    if await prefill.honoured(client, place, policy, person=order.person):
        return order.messages, think
    if order.automatic:
        raise CannotContinue
    return [*order.messages, prefill.PLEASE_GO_ON], think


async def _until_done(
    client: OllamaClient, model: str, chunks: AsyncGenerator[Chunk, None]
) -> AsyncGenerator[Reading | Chunk, None]:
    """The chunks; before the first one, a word when the model has arrived in memory."""
    async with aclosing(chunks):
        first = asyncio.ensure_future(anext(chunks))
        try:
            async for _ in _in_memory(client, model, first):
                yield Reading()
            yield await first
        finally:
            if not first.done():
                first.cancel()
                with suppress(asyncio.CancelledError, OllamaError):
                    await first
        async for chunk in chunks:
            yield chunk


async def _in_memory(client: OllamaClient, model: str, first: "asyncio.Future[Chunk]") -> AsyncGenerator[None, None]:
    """Ends with the first chunk; yields once if the model is seen in memory before that."""
    seen = False
    while not first.done():
        await asyncio.wait({first}, timeout=LOOK_FOR_MODEL_IN_MEMORY_S)
        if not first.done() and not seen and await _is_running(client, model):
            seen = True
            yield


async def _is_running(client: OllamaClient, model: str) -> bool:
    try:
        return any(same_model(running.name, model) for running in await client.running())
    except OllamaError:
        return False
