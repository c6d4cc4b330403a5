"""The Ollama hosts: registering one, and watching over all of them."""

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from urllib.parse import urlsplit

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from webui.db import DatabaseAway, read_db, run_db, take_turns
from webui.inference import lines
from webui.inference.check import check
from webui.inference.clients import client_for, client_of
from webui.inference.models import Host, InstalledModel
from webui.ollama import InstalledModel as Found
from webui.ollama import ModelDetails, OllamaClient, OllamaError, RunningModel
from webui.practice import PracticeHost

log = logging.getLogger(__name__)

LOOK_S = 10.0
PATIENCE_S = 8.0  # a host that needs longer to list its models is not well
PRACTICE_SPEED = 60.0
PRACTICE_NAME = "practice"
HOSTS_LOCK = 0x7EA_0055

# What a host says may be longer than anything that makes sense.
NAME_LENGTH, DIGEST_LENGTH, FAMILY_LENGTH, WORD_LENGTH = 400, 100, 80, 20
LONGEST_CONTEXT = 2**31 - 1
HOST_NAME_LENGTH = 70  # leaves room for a number


@transaction.atomic
def register(url: str, *, practice: bool = False) -> Host:
    """Keep a host; the same address again is the same host, also when two processes start at once."""
    take_turns(HOSTS_LOCK)
    known = Host.objects.filter(base_url=url).first()
    if known:
        return known
    name = _free_name(PRACTICE_NAME) if practice else free_name(url)
    slots = 2 if practice else settings.OLLAMA_SLOTS
    return Host.objects.create(name=name, base_url=url, practice=practice, slots=slots)


def register_practice_host() -> Host:
    """The portal's own practice host; it starts within moments in every serving process that is free to."""
    return register(f"http://{settings.PRACTICE_BIND}", practice=True)


def register_configured() -> None:
    """The host that OLLAMA_HOST names, if it answers and no host is known yet. For starts without a set-up page."""
    if Host.objects.exists():
        return
    found = async_to_sync(check)(settings.OLLAMA_HOST)
    if found.passed:
        host = register(found.url)
        async_to_sync(refresh_once)(host)


async def refresh_once(host: Host) -> None:
    """Like ``refresh``, from a thread or loop that does not serve: with a client of its own."""
    async with client_for(host) as client:
        await refresh(host, client)


def look_now(*hosts: Host) -> None:
    """Look at some hosts at once, from a thread that serves; whoever does not answer costs ``PATIENCE_S``."""
    async_to_sync(_refresh_each)(hosts)


async def _refresh_each(hosts: Iterable[Host]) -> None:
    await asyncio.gather(*map(refresh_once, hosts))


async def refresh(host: Host, client: OllamaClient) -> None:
    """Ask a host how it is and what it has, and store that."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_S):
            version, models, running = await asyncio.gather(client.version(), client.models(), client.running())
            took_ms = round((time.monotonic() - began) * 1000)
    except (OllamaError, TimeoutError) as error:
        await run_db(_store_failure, host, str(error) or type(error).__name__)
        return
    named = {model.name: model for model in models if 0 < len(model.name) <= NAME_LENGTH}.values()
    shown = await _details_of_new(named, client, await read_db(_known_digests, host))
    loaded = _loaded(running, {model.name: model.digest for model in named})
    rows = [_row(host, model, loaded) for model in named]
    for row in rows:
        if details := shown.get(row.name):
            row.capabilities = list(details.capabilities)
            row.context_length = min(details.context_length, LONGEST_CONTEXT)
    await run_db(_store, host, version, took_ms, rows, set(shown))


async def _details_of_new(
    models: Iterable[Found], client: OllamaClient, known: set[tuple[str, str]]
) -> dict[str, ModelDetails]:
    """One that cannot be shown keeps nothing from the others; what there is no time for waits for the next look."""
    shown: dict[str, ModelDetails] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            for model in models:
                if (model.name, model.digest) not in known:
                    with suppress(OllamaError):
                        shown[model.name] = await client.show(model.name)
    return shown


async def watch_hosts(stop: asyncio.Event) -> None:
    """Refresh every host again and again, each on its own: a dead or slow one delays nobody."""
    looks: dict[int, asyncio.Task[None]] = {}
    while not stop.is_set():
        try:
            for host in await read_db(list, Host.objects.filter(enabled=True)):
                if host.pk not in looks or looks[host.pk].done():
                    looks[host.pk] = asyncio.create_task(_look(host))
        except DatabaseAway:
            log.warning("cannot look after the hosts: the database does not answer")
        await _pause(stop, LOOK_S)
    for look in looks.values():
        look.cancel()
    await asyncio.gather(*looks.values(), return_exceptions=True)


async def _look(host: Host) -> None:
    try:
        await refresh(host, client_of(host))
    except Exception as error:  # whatever went wrong, it is looked at again
        log.warning("a host could not be refreshed: %s", type(error).__name__)


async def run_practice_host_if_chosen(stop: asyncio.Event) -> None:
    """Serve the practice host while somebody has chosen it. Another process may be serving it already."""
    host: PracticeHost | None = None
    while not stop.is_set():
        if host is None and await _practice_is_chosen():
            host = await _practice_host()
            if host:
                for chosen in await read_db(list, Host.objects.filter(practice=True)):
                    await refresh(chosen, client_of(chosen))
        await _pause(stop, 1.0)
    if host:
        await host.stop()


async def _practice_is_chosen() -> bool:
    own = f"http://{settings.PRACTICE_BIND}"
    try:
        return await read_db(Host.objects.filter(practice=True, enabled=True, base_url=own).exists)
    except DatabaseAway:
        return False


async def _practice_host() -> PracticeHost | None:
    address, _, port = settings.PRACTICE_BIND.rpartition(":")
    host = PracticeHost(address=address, port=int(port), speed=PRACTICE_SPEED, slots=2)
    try:
        await host.start()
    except OSError:
        return None
    return host


async def wait_for_practice_host(host: Host) -> None:
    """Give the practice host a moment to start, so that the next page can offer its models."""
    for _ in range(30):
        await refresh_once(host)
        if await read_db(host.models.exists):
            return
        await asyncio.sleep(0.1)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _known_digests(host: Host) -> set[tuple[str, str]]:
    """What was shown already; capabilities belong to a digest and do not change."""
    return set(host.models.exclude(capabilities=[]).values_list("name", "digest"))


def _loaded(running: Iterable[RunningModel], digests: dict[str, str]) -> dict[str, RunningModel]:
    """What is in memory by name. Of several names of the same model the host lists one.

    After a model was made anew its old self is listed, too, until it leaves.
    """
    own_digest_last = sorted(running, key=lambda model: model.digest == digests.get(model.name))
    by_name = {model.name: model for model in own_digest_last}
    by_digest = {model.digest: model for model in running if model.digest}
    same = {name: by_digest[digest] for name, digest in digests.items() if digest in by_digest}
    return {**same, **by_name}


def _moment(text: str) -> datetime | None:
    """What a host says a time is, where it is one."""
    try:
        found = parse_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found and found.tzinfo else None


def _row(host: Host, model: Found, loaded: dict[str, RunningModel]) -> InstalledModel:
    memory = loaded.get(model.name, RunningModel(""))
    return InstalledModel(
        host=host,
        name=model.name,
        digest=model.digest[:DIGEST_LENGTH],
        size=model.size,
        family=model.family[:FAMILY_LENGTH],
        parameter_size=model.parameter_size[:WORD_LENGTH],
        quantization=model.quantization[:WORD_LENGTH],
        capabilities=list(model.capabilities),
        loaded=model.name in loaded,
        vram=memory.size_vram,
        memory=memory.size,
        context_used=min(memory.context_length, LONGEST_CONTEXT),
        expires_at=_moment(memory.expires_at),
        changed_at=_moment(model.modified_at),
        seen_at=timezone.now(),
    )


@transaction.atomic
def _store(host: Host, version: str, took_ms: int, rows: list[InstalledModel], shown: set[str]) -> None:
    now = timezone.now()
    known = Host.objects.filter(pk=host.pk).update(
        health=Host.Health.WELL,
        version=version[:40],
        last_error="",
        checked_at=now,
        answered_at=now,
        took_ms=took_ms,
        tries=0,
    )
    if not known:  # removed meanwhile
        return
    always = ["digest", "size", "family", "parameter_size", "quantization", "changed_at", "seen_at"]
    always += ["loaded", "vram", "memory", "context_used", "expires_at"]
    detailed = [row for row in rows if row.name in shown]
    for some, fields in ((detailed, [*always, "capabilities", "context_length"]), (rows, always)):
        InstalledModel.objects.bulk_create(
            some, update_conflicts=True, unique_fields=["host", "name"], update_fields=fields
        )
    names = [row.name for row in rows]
    host.models.exclude(name__in=names).delete()
    lines.forget_empty(host, but=names)


def _store_failure(host: Host, error: str) -> None:
    Host.objects.filter(pk=host.pk).update(
        health=Host.Health.UNREACHABLE, last_error=error[:500], checked_at=timezone.now(), tries=F("tries") + 1
    )


def free_name(url: str) -> str:
    """A name for a host of which only the address is known."""
    return _free_name(urlsplit(url).hostname or url)


def _free_name(wanted: str) -> str:
    wanted = wanted[:HOST_NAME_LENGTH]
    taken = set(Host.objects.values_list("name", flat=True))
    names = [wanted, *(f"{wanted}-{number}" for number in range(2, 100))]
    return next(name for name in names if name not in taken)
