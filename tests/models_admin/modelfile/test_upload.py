"""A file that is brought to a host over a socket."""

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from models_admin.live import CLOSE_SIGNED_OUT, CLOSE_TOO_SLOW
from models_admin.modelfile.upload import CLOSE_ERROR, WINDOW
from tests.chat.test_consumers import ORIGIN, connecting, session_of
from webui.accounts.models import AuditEntry
from webui.accounts.sessions import end_all_sessions
from webui.inference.clients import close_clients
from webui.ollama import OllamaClient

pytestmark = pytest.mark.django_db(transaction=True)

FILE = b"GGUF" + bytes(range(256)) * 400
PIECE = 48 * 1024


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture(autouse=True)
async def own_origin(settings):
    settings.ALLOWED_ORIGINS = [ORIGIN]
    yield
    await close_clients()
    await sync_to_async(connections.close_all)()


@asynccontextmanager
async def uploading(user):
    socket = connecting(await sync_to_async(session_of)(user), path="/ws/admin/upload/")
    assert (await socket.connect())[0]
    try:
        yield socket
    finally:
        await socket.disconnect()


async def announce(socket, to, content: bytes, **facts) -> dict:
    asked = {"host": to.pk, "digest": digest_of(content), "size": len(content), "lang": "en", **facts}
    await socket.send_to(text_data=json.dumps(asked))
    return json.loads(await socket.receive_from(timeout=5))


async def send(socket, content: bytes) -> list[dict]:
    """What is told until the end."""
    for at in range(0, len(content), PIECE):
        await socket.send_to(bytes_data=content[at : at + PIECE])
    told: list[dict] = []
    while not told or "got" in told[-1]:
        told.append(json.loads(await socket.receive_from(timeout=5)))
    return told


async def test_a_file_arrives_piece_by_piece_and_can_be_made_a_model_of(root, practice_models):
    async with uploading(root) as socket:
        assert await announce(socket, practice_models, FILE) == {"go": True}
        told = await send(socket, FILE)

    assert [line["got"] for line in told[:-1]] == [PIECE, 2 * PIECE, len(FILE)]
    assert told[-1] == {"done": True}
    async with OllamaClient(practice_models.base_url) as client:
        assert await client.has_blob(digest_of(FILE))
        made = [line.status async for line in client.create("mine", {"files": {"model.gguf": digest_of(FILE)}})]
    assert made[-1] == "success"
    entry = await AuditEntry.objects.aget(action="file_uploaded")
    assert (entry.after, entry.address) == ({"host": "practice", "bytes": len(FILE)}, "127.0.0.1")


async def test_what_the_host_has_is_not_sent_again(root, practice_models):
    async with uploading(root) as socket:
        await announce(socket, practice_models, FILE)
        await send(socket, FILE)
    async with uploading(root) as socket:
        assert await announce(socket, practice_models, FILE) == {"done": True}


async def test_what_arrives_changed_is_refused_in_words(root, practice_models):
    async with uploading(root) as socket:
        await announce(socket, practice_models, FILE)
        told = await send(socket, FILE[:-1] + b"x")

    assert "What arrived is not what was announced" in told[-1]["failed"]


async def test_what_is_no_gguf_file_is_not_sent_to_the_host(root, practice_models):
    content = b"PK\x03\x04" + bytes(100)
    async with uploading(root) as socket:
        await announce(socket, practice_models, content)
        assert (await send(socket, content))[-1] == {"failed": "This is not a GGUF file."}


async def test_a_host_that_is_away_is_said_in_words_and_not_in_markup(root, host):
    host.name = "Mara's <b>"
    await host.asave()
    async with uploading(root) as socket:
        assert (await announce(socket, host, FILE))["failed"] == "Mara's <b> does not answer."


async def test_nobody_waits_for_an_upload_that_met_an_error_of_ours(root, practice_models, caplog):
    practice_models.base_url, practice_models.authority = practice_models.base_url.replace("http", "https"), "nonsense"
    await practice_models.asave()
    async with uploading(root) as socket:
        asked = {"host": practice_models.pk, "digest": digest_of(FILE), "size": len(FILE), "lang": "en"}
        await socket.send_to(text_data=json.dumps(asked))

        assert (await socket.receive_output(timeout=5))["code"] == CLOSE_ERROR
    assert "an upload ended in an error" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [{"host": 999_999}, {"host": "x"}, {"host": True}, {"digest": "../x"}, {"size": 0}, {"size": 2**50}],
)
async def test_nonsense_is_refused(root, practice_models, wrong):
    async with uploading(root) as socket:
        assert await announce(socket, practice_models, FILE, **wrong) == {"failed": ""}


@asynccontextmanager
async def taking_nothing(host):
    """The host has not got the file, and does not read it."""
    over = asyncio.Event()

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HEAD"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
        await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    host.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await host.asave()
    try:
        yield
    finally:
        over.set()
        server.close()
        await server.wait_closed()


async def test_who_sends_further_ahead_than_agreed_is_cut_off(root, practice_models):
    """So that the memory of the portal does not grow with a host that takes nothing."""
    content = b"GGUF" + bytes(20_000_000)
    async with taking_nothing(practice_models), uploading(root) as socket:
        assert await announce(socket, practice_models, content) == {"go": True}
        for at in range(0, len(content), PIECE):
            await socket.send_to(bytes_data=content[at : at + PIECE])
        got = 0
        while (told := await socket.receive_output(timeout=5))["type"] == "websocket.send":
            got = json.loads(told["text"])["got"]

        assert (told["type"], told["code"]) == ("websocket.close", CLOSE_TOO_SLOW)
        assert got < len(content) - 4_000_000


async def test_whoever_leaves_is_let_go_while_the_host_takes_nothing(root, practice_models):
    """And so is whoever was refused while more was on its way."""
    sent = got = 0
    async with taking_nothing(practice_models), uploading(root) as socket:
        assert await announce(socket, practice_models, b"GGUF", size=20_000_000) == {"go": True}
        while True:
            for _ in range(sent - got, WINDOW - PIECE, PIECE):
                await socket.send_to(bytes_data=b"GGUF".ljust(PIECE))
                sent += PIECE
            if await socket.receive_nothing(timeout=0.3):
                break
            got = json.loads(await socket.receive_from())["got"]

        await socket.disconnect(timeout=1)


async def test_whoever_leaves_ends_the_upload_at_the_host(root, practice_models):
    async with uploading(root) as socket:
        await announce(socket, practice_models, FILE)
        await socket.send_to(bytes_data=FILE[:PIECE])
        await socket.receive_from(timeout=5)
    async with OllamaClient(practice_models.base_url) as client:
        assert not await client.has_blob(digest_of(FILE))


async def test_members_get_no_socket(alice, caplog):
    """S04."""
    socket = connecting(await sync_to_async(session_of)(alice), path="/ws/admin/upload/")

    assert not (await socket.connect())[0]
    assert f"user {alice.pk} is no administrator" in caplog.text


async def test_who_signs_out_uploads_nothing_more(root, practice_models, monkeypatch):
    monkeypatch.setattr("webui.accounts.session_watch.LOOK_S", 0.05)
    async with uploading(root) as socket:
        await announce(socket, practice_models, FILE)
        await sync_to_async(end_all_sessions)(root)

        closed = await socket.receive_output(timeout=5)
        assert (closed["type"], closed["code"]) == ("websocket.close", CLOSE_SIGNED_OUT)
