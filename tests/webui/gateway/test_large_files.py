"""A file of 200 MB on its way to a host, through the real server process."""

import asyncio
import hashlib
import os
import shutil
from contextlib import asynccontextmanager, suppress

import ollama
import pytest

from tests.faults.conftest import public_directory
from tests.faults.portal import MIB, Portal, add_host
from tests.webui.practice.wire import connection, read_answer, read_head, request_bytes
from webui.accounts.tokens import BEGINNING

pytestmark = [pytest.mark.slow, pytest.mark.server]

SECRET = f"{BEGINNING}of-the-administrator"
PIECE = os.urandom(MIB)
PIECES = 200
DIGEST = f"sha256:{hashlib.sha256(PIECE * PIECES).hexdigest()}"


class Disk:
    """A host that keeps of a file its hash alone, and reads while ``open``."""

    def __init__(self) -> None:
        self.read = 0
        self.hash = hashlib.sha256()
        self.open = asyncio.Event()
        self._lines: set[asyncio.Task] = set()

    @asynccontextmanager
    async def serving(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            for line in self._lines:
                line.cancel()
            await asyncio.gather(*self._lines, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"HEAD /api/blobs/") and self.read:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                elif head.startswith(b"POST /api/blobs/"):
                    await self._take(reader)
                    writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
                else:
                    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> None:
        await self.open.wait()
        while size := int(await reader.readuntil(b"\r\n"), 16):
            self.hash.update((await reader.readexactly(size + 2))[:-2])
            self.read += size
        await reader.readexactly(2)


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def portal(request):
    with public_directory() as place:
        portal = Portal(place, "http://127.0.0.1:9", server=request.param).wait_until_ready()
        with portal.database() as database:
            database.execute(
                "insert into accounts_accesstoken (user_id, name, prefix, digest, scope, allowed, created_at) "
                "select id, 'script', 'th_of-t', %s, 'admin', '[]', now() from accounts_user where is_admin",
                [hashlib.sha256(SECRET.encode()).hexdigest()],
            )
            add_host(database, "disk", "http://127.0.0.1:9")
        yield portal
        assert portal.terminate() == 0
        assert SECRET not in portal.log


@pytest.fixture
async def disk(portal):
    disk = Disk()
    async with disk.serving() as url:
        with portal.database() as database:
            database.execute("update inference_host set base_url = %s", [url])
        yield disk


def uploading(**headers: str) -> bytes:
    head = request_bytes("POST", f"/api/blobs/{DIGEST}", Host="localhost", **headers)
    return head.replace(b"Content-Length: 0", b"Content-Length: %d" % (PIECES * MIB))


async def send(writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        for _ in range(PIECES):
            writer.write(PIECE)
            await writer.drain()


async def test_a_file_arrives_whole_and_is_not_held_in_memory(portal, disk):
    disk.open.set()
    before, most = portal.memory, 0
    async with asyncio.timeout(60), connection(portal.url) as (reader, writer):
        writer.write(uploading(Authorization=f"Bearer {SECRET}"))
        sending = asyncio.create_task(send(writer))
        while not sending.done():
            most = max(most, portal.memory)
            await asyncio.sleep(0.01)
        answer = await read_answer(reader)

    assert (answer.status, f"sha256:{disk.hash.hexdigest()}") == (201, DIGEST)
    assert most - before < 10 * MIB


async def test_a_script_waits_for_a_host_that_takes_nothing(portal, disk):
    before = portal.memory
    async with asyncio.timeout(60), connection(portal.url) as (reader, writer):
        writer.write(uploading(Authorization=f"Bearer {SECRET}"))
        sending = asyncio.create_task(send(writer))
        await asyncio.sleep(1.5)
        grown, is_held = portal.memory - before, not sending.done()
        disk.open.set()
        answer = await read_answer(reader)

    assert (answer.status, f"sha256:{disk.hash.hexdigest()}") == (201, DIGEST)
    assert is_held
    assert grown < 10 * MIB


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("files") / "model.gguf"
    with file.open("wb") as writing:
        for _ in range(PIECES):
            writing.write(PIECE)
    return file


async def test_ollama_s_client_uploads_it_and_again(portal, disk, file):
    """The second time the host has it, and is not sent it."""
    disk.open.set()
    async with asyncio.timeout(60), ollama.AsyncClient(portal.url, headers={"Authorization": f"Bearer {SECRET}"}) as to:
        digests = [await to.create_blob(file) for _ in range(2)]

    assert digests == [DIGEST] * 2
    assert disk.read == PIECES * MIB


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
async def test_curl_uploads_it(portal, disk, file):
    """It asks first whether it may."""
    disk.open.set()
    words = ["-X", "POST", "-T", str(file), "-H", f"Authorization: Bearer {SECRET}", "-w", "%{http_code}"]
    curl = await asyncio.create_subprocess_exec(
        "curl", "-s", *words, f"{portal.url}/api/blobs/{DIGEST}", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await curl.communicate()

    assert (out, f"sha256:{disk.hash.hexdigest()}") == (b"201", DIGEST)


@pytest.mark.parametrize("secret", ["", f"{SECRET}x"])
async def test_a_stranger_is_refused_before_the_file_is_read(portal, disk, secret):
    """S31, S48."""
    before = portal.memory
    async with asyncio.timeout(10), connection(portal.url) as (reader, writer):
        writer.write(uploading(Authorization=f"Bearer {secret}"))
        sending = asyncio.create_task(send(writer))
        status, headers = await read_head(reader)
        await asyncio.gather(sending, return_exceptions=True)

    assert (status, headers["connection"]) == (401, "close")
    assert (disk.read, portal.memory - before < 10 * MIB) == (0, True)
