"""The whole portal under each of the two servers, over real sockets."""

import asyncio
import json
import uuid
from contextlib import asynccontextmanager

import pytest
import websockets

from tests.faults.conftest import public_directory
from tests.faults.portal import Portal, add_token, until_state
from tests.faults.visitor import Visitor
from tests.pages import Page
from tests.webui.practice.wire import connection, read_chunk, read_head, request_bytes
from webui.practice import PracticeHost

pytestmark = pytest.mark.server


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def data(request):
    with public_directory() as place:
        yield request.param, place


@pytest.fixture(scope="module")
def portal(data):
    server, place = data
    portal = Portal(place, "http://127.0.0.1:9", server=server).wait_until_ready()
    yield portal
    assert portal.terminate() == 0


@pytest.fixture
async def practice(portal):
    async with PracticeHost(faults=True, slots=8) as host:
        with portal.database() as database:
            for table in ("turn", "waitingline", "installedmodel", "host"):
                database.execute(f"delete from inference_{table}")
            database.execute(
                "insert into inference_host (name, base_url, bearer, slots, practice, enabled, draining, health, "
                "version, last_error, created_at) values ('practice', %s, '', 8, true, true, false, 'well', '', '', "
                "now())",
                [host.url],
            )
        yield host


@pytest.fixture
async def alice(portal):
    visitor = await Visitor(portal).sign_in()
    yield visitor
    await visitor.http.aclose()


async def follow(socket, page: Page, message: str, *states: str) -> None:
    """Do what the socket says until the answer is in one of the states."""
    async with asyncio.timeout(20):
        async for told in socket:
            page.take(told)
            article = page.find(f"m-{message}")
            if article is not None and article.get("data-state") in states:
                return


async def test_a_page_that_follows_an_answer_equals_a_fresh_one(portal, practice, alice):
    practice.speed = 300
    conversation = await alice.start("Show me everything", "practice-markdown")
    page = Page(await alice.page(conversation))
    answer = next(e.get("id") for e in page.root.iter("article") if e.get("data-role") == "assistant")
    async with alice.socket(conversation) as socket:
        await follow(socket, page, answer.removeprefix("m-"), "done")

    assert page.shown("thread") == Page(await alice.page(conversation)).shown("thread")


async def test_stop_ends_the_request_at_the_host(portal, practice, alice):
    conversation = await alice.start("Hello", "fault-gate")
    await practice.wait_for(lambda: practice.requests and practice.requests[-1].pieces_sent)
    await alice.post(f"/c/{conversation}/stop/")
    await practice.wait_for(lambda: practice.requests[-1].outcome == "left")

    with portal.database() as database:
        await until_state(database, conversation, "stopped")


@pytest.fixture
def script(portal):
    """Ask as a script does, and read the beginning of the answer."""
    with portal.database() as database:
        token = add_token(database, "alice")

    @asynccontextmanager
    async def asking(path: str, model: str):
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": True}
        async with asyncio.timeout(20), connection(portal.url) as (reader, writer):
            writer.write(request_bytes("POST", path, body, Authorization=f"Bearer {token}"))
            status, _ = await read_head(reader)
            assert status == 200
            assert await read_chunk(reader)
            yield reader

    return asking


@pytest.mark.parametrize(("path", "end"), [("/api/chat", b"}\n"), ("/v1/chat/completions", b"data: [DONE]\n\n")])
async def test_a_script_reads_an_answer_while_it_is_written(practice, script, path, end):
    async with script(path, "fault-gate") as reader:
        assert practice.requests[-1].outcome == ""
        practice.release()
        said = b""
        while chunk := await read_chunk(reader):
            said += chunk

    assert said.endswith(end)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
async def test_a_script_that_leaves_ends_the_request_at_the_host(practice, script, path):
    async with script(path, "fault-gate"):
        pass

    await practice.wait_for(lambda: practice.requests[-1].outcome == "left", within_s=2)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1"])
async def test_a_socket_from_elsewhere_is_refused(alice, origin):
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with alice.socket(origin=origin):
            pass

    assert refused.value.response.status_code == 403


async def test_a_socket_without_a_session_is_refused(portal):
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with Visitor(portal).socket():
            pass

    assert refused.value.response.status_code == 403


async def test_signing_out_ends_open_sockets_within_five_seconds(portal):
    visitor = await Visitor(portal).sign_in()
    async with visitor.socket(str(uuid.uuid4())) as socket:
        pass
    async with visitor.socket() as socket:
        await socket.send(json.dumps({"watch": None, "lang": "en"}))
        await visitor.post("/sign-out/")
        async with asyncio.timeout(5):
            await socket.wait_closed()
    await visitor.http.aclose()

    assert socket.close_code == 4401


async def test_a_message_that_is_too_large_ends_the_socket(alice):
    async with alice.socket() as socket:
        await socket.send("a" * 100_000)
        async with asyncio.timeout(5):
            await socket.wait_closed()

    assert socket.close_code in {4008, 1009}


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_refused_in_words(portal, alice, announced):
    async def parts():
        for _ in range(7):
            yield b"a" * 1024 * 1024

    body = b"a" * 7 * 1024 * 1024 if announced else parts()
    answer = await alice.http.post("/c/", content=body)

    assert answer.status_code == 413
    assert "6 MB" in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_open_pages_are_told_to_come_back_when_the_process_ends(data, alice):
    server, place = data
    ending = await Portal(place, "http://127.0.0.1:9", server=server).ready()
    visitor = await Visitor(ending).sign_in()
    async with visitor.socket() as socket:
        await socket.send(json.dumps({"watch": None, "lang": "en"}))
        assert ending.terminate() == 0
        await socket.wait_closed()
    await visitor.http.aclose()

    assert socket.close_code in {4012, 1012}
