"""The live check of a host before it is kept: step by step, up to the first one that fails."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from webui.inference.addresses import AddressRefused, base_url, resolve
from webui.inference.clients import client_to
from webui.ollama import HostUntrusted, OllamaClient, OllamaError, RequestRefused, RunningModel, StreamBroken

NAMES_SHOWN = 4
STREAM_TOKENS = 24
STREAM_PATIENCE_S = 5.0
# Of the time the model took to write, how much at least must pass between the first piece and the last.
STREAMED_SHARE = 0.3
TOO_QUICK_TO_TELL_MS = 20
CLOSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at. ``state``: ok, warn or danger; ``took_ms`` where it was timed."""

    key: str
    state: str
    fact: str = ""
    took_ms: int | None = None
    models: int = 0
    loaded: int = 0


@dataclass(frozen=True, slots=True)
class HostCheck:
    """The steps, and whether the host will do. ``url`` is the address as it would be stored."""

    steps: list[Step]
    url: str = ""

    @property
    def passed(self) -> bool:
        return bool(self.steps) and all(step.state != "danger" for step in self.steps)


async def check(typed: str, *, bearer: str = "", verify_tls: bool = True, authority: str = "") -> HostCheck:
    """Look at the address, the version, the models, whether a stream is held back, whether anybody can get there."""
    try:
        url = base_url(typed)
        began = time.monotonic()
        addresses = await asyncio.to_thread(resolve, url)
    except AddressRefused as error:
        return HostCheck([Step(f"address-{error.reason}", "danger")])
    steps = [Step("address", "ok", str(addresses[0]), _ms_since(began))]
    try:
        way = client_to(url, bearer=bearer, verify_tls=verify_tls, authority=authority)
        async with way as client, aclosing(_looking(client)) as looking:
            async for step in looking:
                steps.append(step)
    except HostUntrusted as error:
        steps.append(Step("fails-untrusted", "danger", str(error)))
        return HostCheck(steps, url)
    except OllamaError as error:
        is_closed = isinstance(error, RequestRefused) and error.status in CLOSED
        # One word for all others: whoever may name hosts does not learn which ports of one are open.
        steps.append(Step("fails-refused" if is_closed else "fails", "danger", urlsplit(url).netloc))
        return HostCheck(steps, url)
    if not addresses[0].is_loopback:
        steps.append(Step("open", "warn", str(urlsplit(url).port)))
    return HostCheck(steps, url)


async def _looking(client: OllamaClient) -> AsyncGenerator[Step, None]:
    began = time.monotonic()
    yield Step("answers", "ok", await client.version(), _ms_since(began))
    began = time.monotonic()
    models, running = await client.models(), await client.running()
    names = ", ".join(model.name for model in models[:NAMES_SHOWN])
    more = " …" if len(models) > NAMES_SHOWN else ""
    yield Step("models", "ok", names + more, _ms_since(began), models=len(models), loaded=len(running))
    if step := await _streams(client, running):
        yield step


async def _streams(client: OllamaClient, running: Sequence[RunningModel]) -> Step | None:
    """Whether something on the way holds a stream back. Asks a model that is in memory: loading one takes too long."""
    try:
        for model in running:
            if "completion" in (await client.show(model.name)).capabilities:
                return await _streams_from(client, model.name)
    except StreamBroken:
        return Step("holds-back", "warn")
    except (OllamaError, TimeoutError):
        return None  # busy, or the model fails: that says nothing of the way
    return None


async def _streams_from(client: OllamaClient, model: str) -> Step:
    began = time.monotonic()
    arrived, wrote_ms = [], 0.0
    answer = client.chat(
        model=model,
        messages=[{"role": "user", "content": "Count from 1 to 20"}],
        options={"num_predict": STREAM_TOKENS},
    )
    async with asyncio.timeout(STREAM_PATIENCE_S), aclosing(answer) as chunks:
        async for chunk in chunks:
            arrived.append(time.monotonic())
            wrote_ms = chunk.counters.output_ms if chunk.counters else wrote_ms
    lasted_ms = (arrived[-1] - arrived[0]) * 1000
    if wrote_ms > TOO_QUICK_TO_TELL_MS and lasted_ms < STREAMED_SHARE * wrote_ms:
        return Step("holds-back", "warn")
    return Step("streams", "ok", took_ms=_ms_between(began, arrived[0]))


def _ms_since(began: float) -> int:
    return _ms_between(began, time.monotonic())


def _ms_between(began: float, ended: float) -> int:
    return max(1, round((ended - began) * 1000))
