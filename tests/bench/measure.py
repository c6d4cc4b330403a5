"""What is measured, over HTTP and sockets. Each measurement takes the stage and returns rows of the table."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass, field
from statistics import median

import httpx

from tests.bench.stage import Host, Person, Stage, cpu_s, memory_mb, now_ms
from tests.faults.portal import Portal, add_token
from tests.webui.practice.wire import connection, request_bytes
from webui.ollama.transport import Transport

STAMP = re.compile(r"(\d+)@([\d.]+)")
RATE = 30  # pieces a second and person
QUICK = 100
SECONDS = 15  # in which all are there
STARTS_PER_S = 20
PATIENCE_S = 120
FINAL = {"done", "failed", "stopped", "interrupted"}
DEAF_READERS, STOPS, AT_ONCE = 50, 200, 20
SHORT, LONG = 2_000, 20_000  # pieces
CORPORA = ["mixed", "list", "table", "code", "paragraph"]


@dataclass(frozen=True)
class Row:
    """One line of the table. ``direct``: the same read from the host itself; ``most``: what was promised."""

    what: str
    unit: str
    portal: float
    direct: float | None = None
    most: float | None = None


@dataclass
class Heard:
    """What one reader heard of one answer: how late each piece came after it was sent, in ms."""

    asked: float = 0.0
    first: float = 0.0  # ms from asking to the first piece
    late: list[float] = field(default_factory=list)
    size: int = 0  # characters that came
    is_whole: bool = False

    def take(self, text: str) -> None:
        """Text that ends in pieces not heard before."""
        at = now_ms()
        for number, sent in STAMP.findall(text):
            if int(number) == len(self.late) + 1:
                self.first = self.first or at - self.asked
                self.late.append(at - float(sent))


async def read_host(
    host: Host | Portal,
    pieces: int,
    model: str = "measure-clock",
    *,
    path: str = "/api/chat",
    token: str = "",
    after_s: float = 0.0,
) -> Heard:
    """As a script does that asks the host itself, or the portal."""
    await asyncio.sleep(after_s)
    heard = Heard(asked=now_ms())
    body = {"model": model, "messages": [{"role": "user", "content": str(pieces)}], "stream": True}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx.AsyncClient(transport=Transport(), trust_env=False, timeout=None, headers=headers) as client,
        client.stream("POST", f"{host.url}{path}", json=body) as answer,
    ):
        async for content in answer.aiter_raw():
            heard.take(content.decode(errors="replace"))
    heard.is_whole = len(heard.late) == pieces
    return heard


async def read_pages(people: list[Person], pieces: int, *, spread_s: float, ready: asyncio.Event) -> list[Heard]:
    """All pages are open before the first person asks; then they ask one after the other."""
    opened = asyncio.Barrier(len(people) + 1)
    pause_s = spread_s / len(people)
    reading = [
        asyncio.create_task(read_page(person, pieces, opened=opened, after_s=1 + number * pause_s))
        for number, person in enumerate(people)
    ]
    await opened.wait()
    ready.set()
    return await asyncio.gather(*reading)


async def read_page(
    person: Person,
    pieces: int,
    *,
    opened: asyncio.Barrier | None = None,
    after_s: float = 0.0,
    model: str = "measure-clock",
) -> Heard:
    """As a browser does: an open page that asks and follows."""
    heard = Heard()
    async with asyncio.timeout(PATIENCE_S), person.page() as page:
        if opened:
            await anext(page)  # the list: now the page is up to date
            await opened.wait()
        asking = asyncio.create_task(_ask(person, heard, pieces, after_s, model))
        end = await _follow(page, heard)
        assert await asking < httpx.codes.BAD_REQUEST
    heard.is_whole = end == "done" and (len(heard.late) == pieces or "clock" not in model)
    return heard


async def _ask(person: Person, heard: Heard, pieces: int, after_s: float, model: str) -> int:
    await asyncio.sleep(after_s)
    heard.asked = now_ms()
    return await person.ask(str(pieces), model)


async def _follow(page: AsyncIterator[str], heard: Heard) -> str:
    """Keep the open region of the answer as a page does; the state in which it ended."""
    region, has_turn = "", False
    async for message in page:
        told = json.loads(message)
        heard.size += len(message)
        has_turn = has_turn or "added" in told
        if "r" in told and not has_turn:  # a page has nowhere to show it
            continue
        if "snap" in told and told["t"] == 0:
            region = told["snap"]["o"]
            heard.take(told["snap"]["f"] + region)
        elif told.get("t") == 0:
            region = region[: told["k"]] + told["h"]
            heard.take(region)
            region = region[told["z"] :]
        elif told.get("state") in FINAL:
            return told["state"]
    return "closed"


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def streams(stage: Stage, count: int, **most: float) -> list[Row]:
    """``count`` people who each receive 30 pieces a second."""
    await stage.host.speak(RATE)
    starting_s = count / STARTS_PER_S
    pieces, who = int((starting_s + SECONDS) * RATE), f"{count} people at {RATE}/s"
    readers, web = await stage.people(count), stage.portal.process.pid
    direct = await asyncio.gather(*(read_host(stage.host, 5 * RATE) for _ in range(count)))
    ready = asyncio.Event()
    reading = asyncio.create_task(read_pages(readers, pieces, spread_s=starting_s, ready=ready))
    await ready.wait()
    await asyncio.sleep(starting_s + 4)
    began, used, own = now_ms(), cpu_s(web), cpu_s("self")
    await asyncio.sleep(SECONDS - 6)
    took_s, used, own, memory = (now_ms() - began) / 1000, cpu_s(web) - used, cpu_s("self") - own, memory_mb(web)
    heard = await reading
    late, late_direct = [[ms for each in some for ms in each.late] for some in (heard, direct)]
    first, first_direct = [median(each.late[0] for each in some) for some in (heard, direct)]
    return [
        Row(f"{who}: answers not whole", "", sum(not each.is_whole for each in heard), most=0),
        Row(f"{who}: first piece, p50", "ms", first, first_direct, first_direct + most.get("first", 0) or None),
        Row(f"{who}: lateness p50", "ms", percentile(late, 50), percentile(late_direct, 50)),
        Row(f"{who}: lateness p99", "ms", percentile(late, 99), percentile(late_direct, 99), most.get("p99")),
        Row(
            f"{who}: web process, per 1,000 pieces",
            "CPU-ms",
            used / (count * RATE * took_s) * 1e6,
            None,
            most.get("cpu"),
        ),
        Row(f"{who}: web process, of a core", "%", used / took_s * 100),
        Row(f"{who}: load generator, of a core", "%", own / took_s * 100),
        Row(f"{who}: memory of the web process", "MB", memory, None, most.get("memory")),
    ]


async def scripts(stage: Stage, count: int, path: str) -> list[Row]:
    """``count`` scripts that each receive 30 pieces a second through the API; beside them the host's own."""
    await stage.host.speak(RATE)
    starting_s = count / STARTS_PER_S
    pieces, who = int((starting_s + SECONDS) * RATE), f"{count} scripts at {RATE}/s, {path}"
    with stage.portal.database() as database:
        token = add_token(database, "alice")
    starts = [number / STARTS_PER_S for number in range(count)]
    direct = await asyncio.gather(*(read_host(stage.host, 5 * RATE, path=path, after_s=at) for at in starts))
    asking = (read_host(stage.portal, pieces, path=path, token=token, after_s=at) for at in starts)
    reading, web = asyncio.gather(*asking), stage.portal.process.pid
    await asyncio.sleep(starting_s + 4)
    began, used, own = now_ms(), cpu_s(web), cpu_s("self")
    await asyncio.sleep(SECONDS - 6)
    took_s, used, own, memory = (now_ms() - began) / 1000, cpu_s(web) - used, cpu_s("self") - own, memory_mb(web)
    heard = await reading
    late, late_direct = [[ms for each in some for ms in each.late] for some in (heard, direct)]
    first, first_direct = [median(each.first for each in some) for some in (heard, direct)]
    return [
        Row(f"{who}: answers not whole", "", sum(not each.is_whole for each in heard), most=0),
        Row(f"{who}: first piece, p50", "ms", first, first_direct, first_direct + 12),
        Row(f"{who}: lateness p50", "ms", percentile(late, 50), percentile(late_direct, 50)),
        Row(f"{who}: lateness p99", "ms", percentile(late, 99), percentile(late_direct, 99), 60),
        Row(f"{who}: web process, per 1,000 pieces", "CPU-ms", used / (count * RATE * took_s) * 1e6, None, 60),
        Row(f"{who}: web process, of a core", "%", used / took_s * 100),
        Row(f"{who}: load generator, of a core", "%", own / took_s * 100),
        Row(f"{who}: memory of the web process", "MB", memory),
    ]


async def gateway(stage: Stage) -> list[Row]:
    """The two forms of the API."""
    return [*await scripts(stage, 200, "/api/chat"), *await scripts(stage, 200, "/v1/chat/completions")]


async def idle(stage: Stage) -> list[Row]:
    return [Row("idle: memory of the web process", "MB", memory_mb(stage.portal.process.pid), most=130)]


async def enter(stage: Stage) -> list[Row]:
    """100 people who press Enter within one second."""
    await stage.host.speak(RATE)
    readers = await stage.people(100)
    direct = await asyncio.gather(*(read_host(stage.host, RATE) for _ in readers))
    heard = await read_pages(readers, RATE, spread_s=1, ready=asyncio.Event())
    firsts, firsts_direct = [each.first for each in heard], [each.first for each in direct]
    return [
        Row("100 people press Enter within a second: failures", "", sum(not each.is_whole for each in heard), most=0),
        Row("Enter to first piece, p50", "ms", percentile(firsts, 50), percentile(firsts_direct, 50), 50),
        Row("Enter to first piece, p99", "ms", percentile(firsts, 99), percentile(firsts_direct, 99), 400),
    ]


async def long_answers(stage: Stage) -> list[Row]:
    """What a piece of a long answer costs, compared with one of a short answer."""
    rows = []
    (person,) = await stage.people(1)
    for corpus in CORPORA:
        costs, sizes = [], []
        for pieces in (SHORT, LONG):
            await stage.host.speak(400)
            used = cpu_s(stage.portal.process.pid)
            heard = await read_page(person, pieces, model=f"measure-{corpus}")
            costs.append((cpu_s(stage.portal.process.pid) - used) / pieces)
            sizes.append(heard.size / pieces)
            assert heard.is_whole
        rows += [
            Row(
                f"{LONG} pieces of {corpus}: processor time per piece, as of {SHORT}",
                "x",
                costs[1] / costs[0],
                most=1.5,
            ),
            Row(f"{LONG} pieces of {corpus}: sent per piece, as of {SHORT}", "x", sizes[1] / sizes[0], most=1.5),
        ]
    return rows


async def rude_peers(stage: Stage) -> list[Row]:
    """Readers that stopped reading, and a body without end. Hosts speak as fast as good hardware makes them."""
    await stage.host.speak(QUICK)
    people = await stage.people(DEAF_READERS)
    with stage.portal.database() as database:
        token = add_token(database, "alice")
    pages = [_read_nothing(person) for person in people]
    scripts = [_read_no_answer(stage.portal, token) for _ in people]
    return [
        *await _rudely(stage, f"{DEAF_READERS} readers that stopped reading", pages, 20),
        *await _rudely(stage, f"{DEAF_READERS} scripts that read nothing", scripts, 20),
        *await _rudely(stage, "a POST of 1 GB", [_post_a_gigabyte(stage)], 5),
    ]


async def _rudely(stage: Stage, what: str, peers: Iterable[Coroutine[None, None, None]], seconds: float) -> list[Row]:
    """What the peers cost while they are there."""
    before = memory_mb(stage.portal.process.pid)
    tasks = [asyncio.create_task(peer) for peer in peers]
    peak, stall = await _watch(stage, seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return [
        Row(f"{what}: memory", "MB more", peak - before, most=60),
        Row(f"{what}: longest stall", "ms", stall, most=200),
    ]


async def _read_nothing(person: Person) -> None:
    async with person.page(deaf=True):
        await person.ask(str(LONG), "measure-mixed")
        await asyncio.sleep(PATIENCE_S)


async def _read_no_answer(portal: Portal, token: str) -> None:
    body = {"model": "measure-mixed", "messages": [{"role": "user", "content": str(LONG)}]}
    async with connection(portal.url) as (_, writer):
        writer.transport.pause_reading()
        writer.write(request_bytes("POST", "/api/chat", body, Authorization=f"Bearer {token}"))
        await asyncio.sleep(PATIENCE_S)


async def _post_a_gigabyte(stage: Stage) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", stage.portal.port)
    writer.write(b"POST /nowhere/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        for _ in range(1024):
            writer.write(b"100000\r\n" + bytes(1024 * 1024) + b"\r\n")
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


async def _watch(stage: Stage, seconds: float) -> tuple[float, float]:
    """The most memory and the slowest sign of life within that time."""
    peak = stall = 0.0
    end = now_ms() + seconds * 1000
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        while now_ms() < end:
            asked = now_ms()
            await client.get(f"{stage.portal.url}/healthz")
            stall = max(stall, now_ms() - asked)
            peak = max(peak, memory_mb(stage.portal.process.pid))
            await asyncio.sleep(0.02)
    return peak, stall


async def stops(stage: Stage) -> list[Row]:
    """From pressing Stop to the end of the request at the host."""
    await stage.host.speak(RATE)
    people, took = await stage.people(AT_ONCE), []
    for _ in range(STOPS // AT_ONCE):
        known = len(await stage.host.requests())
        await asyncio.gather(*(each.ask(str(LONG), "measure-clock") for each in people))
        while len(await stage.host.requests()) < known + AT_ONCE:
            await asyncio.sleep(0.1)
        pressed = now_ms()
        await asyncio.gather(*(each.stop() for each in people))
        while any(not request["ended"] for request in await stage.host.requests()):
            await asyncio.sleep(0.1)
        took += [request["ended"] * 1000 - pressed for request in (await stage.host.requests())[known:]]
    return [
        Row(f"{STOPS} answers stopped, {AT_ONCE} at once: request at the host ended, p50", "ms", percentile(took, 50)),
        Row(
            f"{STOPS} answers stopped, {AT_ONCE} at once: request at the host ended, p99",
            "ms",
            percentile(took, 99),
            most=1000,
        ),
    ]
