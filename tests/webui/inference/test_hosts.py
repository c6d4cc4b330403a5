"""Registering hosts, and what is seen of them at every look."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from tests.rivals import in_a_thread, once_it_waits
from webui.ids import uuid7
from webui.inference import hosts, lines
from webui.inference.clients import close_clients
from webui.inference.models import Host, InstalledModel, Usage, WaitingLine
from webui.ollama import OllamaClient
from webui.practice import PracticeHost

EVERYTHING_WELL = (Host.Health.WELL, "")


@pytest.fixture
async def nothing_left(transactional_db):
    """A connection of another thread would keep the database from being dropped."""
    yield
    await close_clients()
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def known(nothing_left, practice) -> Host:
    """A host that has not been looked at yet."""
    return await sync_to_async(hosts.register)(practice.url)


@asynccontextmanager
async def saying(**answers):
    """A host that says this, whatever of it makes sense; None: never an answer.

    ``show`` maps names of models. ``meanwhile`` is done before the host says anything of a model.
    """
    meanwhile = answers.pop("meanwhile", None)
    says = {"version": {"version": "0.33.0"}, "tags": {"models": []}, "ps": {"models": []}} | answers

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:")), 0)
        asked = json.loads(await reader.readexactly(length) or b"{}")
        said = says.get(head.split()[1].removeprefix("/api/"), {})
        if "model" in asked:
            if meanwhile:
                await meanwhile()
            said = said.get(asked["model"], {"capabilities": ["completion"]})
        if said is None:
            await reader.read()  # until the other side has had enough
            writer.close()
            return
        body = json.dumps(said).encode()
        status = "500 Oh dear" if "error" in said else "200 OK"
        about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
        writer.write(f"HTTP/1.1 {status}\r\n{about}\r\n\r\n".encode() + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def look_at(url: str) -> Host:
    """The host at that address after one look."""
    host = await sync_to_async(hosts.register)(url)
    await hosts.refresh_once(host)
    return await Host.objects.aget(pk=host.pk)


async def seen() -> dict[str, InstalledModel]:
    return {model.name: model async for model in InstalledModel.objects.all()}


def model(name: str, **more) -> dict:
    return {"name": name, "digest": f"sha256:{name}", "size": 1, **more}


# Looking at a host


async def test_a_look_finds_the_version_and_that_all_is_well(known):
    await hosts.refresh_once(known)
    await known.arefresh_from_db()

    assert (known.health, known.last_error) == EVERYTHING_WELL
    assert known.version == "0.33.0"
    assert (timezone.now() - known.checked_at).total_seconds() < 60


async def test_a_look_finds_every_model_and_what_it_can(known):
    await hosts.refresh_once(known)
    found = await seen()

    assert "completion" in found["practice:latest"].capabilities
    assert "thinking" in found["practice-thinker:latest"].capabilities
    assert found["practice-embed:latest"].capabilities == ["embedding"]
    assert found["practice:latest"].context_length > 0
    assert found["practice:latest"].size > 0


async def test_a_look_at_a_host_of_before_finds_its_models_too(nothing_left):
    async with PracticeHost(old=True) as old:
        host = await look_at(old.url)

    assert (host.version, host.health) == ("0.5.4", Host.Health.WELL)
    assert "completion" in (await seen())["practice:latest"].capabilities


async def test_a_look_finds_what_is_in_memory(known, practice):
    async with hosts.OllamaClient(practice.url) as client:
        await client.load("practice", keep_alive=60)
    await hosts.refresh_once(known)

    assert [name for name, model in (await seen()).items() if model.loaded] == ["practice:latest"]


async def test_a_second_look_forgets_nothing(known):
    await hosts.refresh_once(known)
    before = {name: (model.capabilities, model.context_length) for name, model in (await seen()).items()}
    await hosts.refresh_once(known)

    assert {name: (model.capabilities, model.context_length) for name, model in (await seen()).items()} == before


async def test_a_model_that_is_gone_is_gone_here_too(known, practice):
    await hosts.refresh_once(known)
    async with hosts.OllamaClient(practice.url) as client:
        await client.delete("practice-embed")
    await hosts.refresh_once(known)

    assert "practice-embed:latest" not in await seen()


async def test_of_models_that_are_not_there_only_lines_in_which_somebody_stands_are_kept(known, host, alice):
    for line in ((known, "practice:latest"), (known, "nosuch"), (known, "asked-for"), (host, "nosuch")):
        await WaitingLine.objects.acreate(host=line[0], model=line[1])
    stands = lines.Standing(uuid7(), (known.pk, "asked-for"), alice.pk, Usage.Door.API)
    await sync_to_async(lines.settle)(uuid7(), joining=[stands], leaving=[], keys=[stands.key])
    await hosts.refresh_once(known)

    kept = WaitingLine.objects.order_by("host", "model").values_list("host", "model")
    assert sorted([line async for line in kept]) == sorted(
        [(known.pk, "asked-for"), (known.pk, "practice:latest"), (host.pk, "nosuch")]
    )


async def test_a_model_of_another_host_stays(known, host):
    await InstalledModel.objects.acreate(host=host, name="llama:latest", digest="sha256:x", seen_at=timezone.now())
    await hosts.refresh_once(known)

    assert "llama:latest" in await seen()


async def test_a_host_that_stopped_is_said_to_be_away_and_its_models_stay(known, practice):
    await hosts.refresh_once(known)
    await practice.stop()
    await hosts.refresh_once(known)
    await known.arefresh_from_db()

    assert known.health == Host.Health.UNREACHABLE
    assert known.last_error
    assert "practice:latest" in await seen()


async def test_a_host_that_is_back_is_well_again(known):
    await Host.objects.filter(pk=known.pk).aupdate(health=Host.Health.UNREACHABLE, last_error="It was away.")
    await hosts.refresh_once(known)
    await known.arefresh_from_db()

    assert (known.health, known.last_error) == EVERYTHING_WELL


# What a host says is stored in columns of a certain width, and under a name that is there once.
@pytest.mark.parametrize(
    "odd",
    [
        [model("odd", digest="sha256:" + "f" * 400)],
        [model("odd", details={"family": "x" * 400, "parameter_size": "y" * 400, "quantization_level": "z" * 400})],
        [model("odd", size=2**70), model("odder", size=-5)],
        [model("odd"), model("odd", digest="sha256:another")],
        [model("odd"), model("x" * 1000)],
        [model("odd"), model("")],
        [model("odd", digest=7, details=[], size="big")],
    ],
)
async def test_odd_models_do_not_make_a_host_useless(nothing_left, odd):
    async with saying(tags={"models": [*odd, model("good")]}) as url:
        host = await look_at(url)

    assert host.health == Host.Health.WELL
    assert {"odd", "good"} <= (await seen()).keys()
    assert "" not in await seen()


@pytest.mark.parametrize("length", [2**31, 2**62, -1, "many"])
async def test_a_context_of_any_length_can_be_stored(nothing_left, length):
    shown = {"good": {"model_info": {"llama.context_length": length}, "capabilities": ["completion"]}}
    async with saying(tags={"models": [model("good")]}, show=shown) as url:
        host = await look_at(url)

    assert host.health == Host.Health.WELL
    assert (await seen())["good"].capabilities == ["completion"]


async def test_a_model_that_cannot_be_shown_keeps_nothing_from_the_others(nothing_left):
    shown = {"broken": {"error": "this model is broken"}}
    async with saying(tags={"models": [model("broken"), model("good")]}, show=shown) as url:
        host = await look_at(url)

    assert host.health == Host.Health.WELL
    assert (await seen())["good"].capabilities == ["completion"]


# A host with many models may need longer for all of them than one look lasts.
async def test_what_one_look_had_no_time_for_the_next_one_finds(nothing_left, monkeypatch):
    monkeypatch.setattr(hosts, "PATIENCE_S", 0.5)
    shown = {"second": None}
    async with saying(tags={"models": [model("first"), model("second")]}, show=shown) as url:
        host = await look_at(url)
        after_one = {name for name, model in (await seen()).items() if model.capabilities}
        shown.clear()
        await look_at(url)

    assert (host.health, after_one) == (Host.Health.WELL, {"first"})
    assert {name for name, model in (await seen()).items() if model.capabilities} == {"first", "second"}


async def test_a_host_that_does_not_list_its_models_in_time_is_not_well(nothing_left, monkeypatch):
    monkeypatch.setattr(hosts, "PATIENCE_S", 0.2)
    async with saying(tags=None) as url:
        assert (await look_at(url)).health == Host.Health.UNREACHABLE


# Watching over all of them


async def watched_until(is_seen) -> None:
    """Watch over the hosts until something can be seen of them."""
    stop = asyncio.Event()
    watch = asyncio.create_task(hosts.watch_hosts(stop))
    async with asyncio.timeout(10):
        while not await is_seen():
            await asyncio.sleep(0)
    stop.set()
    await watch


async def test_a_dead_host_keeps_nothing_from_the_others(known, host):
    await watched_until(Host.objects.exclude(pk=host.pk).exclude(checked_at=None).aexists)
    await watched_until(Host.objects.filter(pk=host.pk).exclude(checked_at=None).aexists)

    assert {each.pk: each.health async for each in Host.objects.all()} == {known.pk: "well", host.pk: "unreachable"}


async def test_a_host_that_takes_its_time_does_not_keep_the_others_from_being_looked_at_again(known, monkeypatch):
    monkeypatch.setattr(hosts, "LOOK_S", 0.01)
    async with saying(tags=None) as url:
        await sync_to_async(hosts.register)(url)
        await watched_until(Host.objects.filter(pk=known.pk).exclude(checked_at=None).aexists)
        first = (await Host.objects.aget(pk=known.pk)).checked_at
        await watched_until(Host.objects.filter(pk=known.pk, checked_at__gt=first).aexists)


async def test_a_host_that_is_deleted_while_it_is_looked_at_ends_no_watch(nothing_left):
    deleted = asyncio.Event()

    async def delete() -> None:
        await Host.objects.all().adelete()
        deleted.set()

    async def is_deleted() -> bool:
        return deleted.is_set()

    async with saying(tags={"models": [model("good")]}, meanwhile=delete) as url:
        await sync_to_async(hosts.register)(url)
        await watched_until(is_deleted)

    assert not await InstalledModel.objects.aexists()


async def test_a_host_that_is_switched_off_is_left_alone(known, host):
    await Host.objects.filter(pk=known.pk).aupdate(enabled=False)
    await watched_until(Host.objects.filter(pk=host.pk).exclude(checked_at=None).aexists)
    await known.arefresh_from_db()

    assert known.checked_at is None


async def test_the_practice_host_serves_once_it_is_chosen(nothing_left, settings, unused_tcp_port):
    settings.PRACTICE_BIND = f"127.0.0.1:{unused_tcp_port}"
    host = await sync_to_async(hosts.register_practice_host)()
    stop = asyncio.Event()
    serving = asyncio.create_task(hosts.run_practice_host_if_chosen(stop))
    await hosts.wait_for_practice_host(host)
    found = await seen()
    stop.set()
    await serving

    assert "practice:latest" in found
    assert (host.practice, host.name, host.slots) == (True, "practice", 2)


# Registering


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        (["http://gpu-01:11434"], ["gpu-01"]),
        (["http://gpu-01:11434", "http://gpu-01:11435"], ["gpu-01", "gpu-01-2"]),
        (["http://gpu-01:11434", "http://gpu-01:11434"], ["gpu-01"]),
        (["http://[fd00::7]:11434"], ["fd00::7"]),
    ],
)
def test_a_host_goes_by_the_name_of_its_machine(db, urls, names):
    for url in urls:
        hosts.register(url)

    assert [host.name for host in Host.objects.order_by("pk")] == names


def test_a_machine_may_have_a_very_long_name(db):
    name = ".".join(["a" * 60] * 4)
    found = {hosts.register(f"http://{name}:{port}").name for port in (1, 2)}

    assert len(found) == 2
    assert all(one.startswith("a" * 60) for one in found)


def test_a_machine_may_be_called_like_the_practice_host(db):
    hosts.register("http://practice:11434")

    assert hosts.register_practice_host().name == "practice-2"


def test_a_new_host_writes_as_many_answers_at_once_as_is_configured(db, settings):
    settings.OLLAMA_SLOTS = 4

    assert hosts.register("http://gpu-01:11434").slots == 4


@pytest.mark.django_db(transaction=True)
def test_of_two_processes_that_register_the_same_host_at_once_both_get_it():
    with in_a_thread() as elsewhere, once_it_waits(elsewhere) as start:
        mine = hosts.register("http://gpu-01:11434")
        theirs = start(lambda: hosts.register("http://gpu-01:11434"))

    assert theirs.result() == mine


async def test_a_configured_host_that_answers_is_registered(nothing_left, practice, settings):
    settings.OLLAMA_HOST = practice.url
    await asyncio.to_thread(in_turn, hosts.register_configured)

    assert [host.base_url async for host in Host.objects.all()] == [practice.url]
    assert "practice:latest" in await seen()


async def test_a_configured_host_that_does_not_answer_is_not(nothing_left, settings, unused_tcp_port):
    settings.OLLAMA_HOST = f"http://127.0.0.1:{unused_tcp_port}"
    await asyncio.to_thread(in_turn, hosts.register_configured)

    assert not await Host.objects.aexists()


async def test_a_configured_host_is_not_added_to_those_that_somebody_chose(nothing_left, practice, settings, host):
    settings.OLLAMA_HOST = practice.url
    await asyncio.to_thread(in_turn, hosts.register_configured)

    assert [each async for each in Host.objects.all()] == [host]


def in_turn(work) -> None:
    """On a thread, as at the start of a process, that leaves no connection behind."""
    try:
        work()
    finally:
        connections.close_all()


async def test_every_name_of_a_model_in_memory_is_in_memory(practice, practice_models):
    async with OllamaClient(practice.url) as client:
        await client.copy("practice:latest", "the-same")
        await client.load("practice:latest")
        await hosts.refresh(practice_models, client)

    loaded = InstalledModel.objects.filter(loaded=True).values_list("name", flat=True)
    assert {name async for name in loaded} == {"practice:latest", "the-same:latest"}
