"""The transport, against servers that say exactly these bytes."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from webui.ollama import connection as connection_module
from webui.ollama.framing import InChunks
from webui.ollama.transport import Transport

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"


class Server:
    """Reads a request's head, then does what the test says."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.heads: list[bytes] = []
        self.hung_up = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                answer = self.answers.pop(0)
                if callable(answer):
                    await answer(reader, writer)
                else:
                    writer.write(answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, IndexError):
            self.hung_up.set()
        finally:
            writer.close()


@pytest.fixture
async def host():
    """``async with host(answer, ...) as (server, client)``: one answer to each request."""

    @asynccontextmanager
    async def host(*answers, context: ssl.SSLContext | None = None, **options):
        server = Server(*answers)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
        port = listening.sockets[0].getsockname()[1]
        scheme = "https" if context else "http"
        client = httpx.AsyncClient(
            transport=Transport(**options), base_url=f"{scheme}://127.0.0.1:{port}", timeout=5, trust_env=False
        )
        async with listening, client:
            yield server, client

    return host


# Bodies


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (HELLO, b"hello"),
        (OK + b"content-length: 0\r\n\r\n", b""),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;note=x\r\nlo\r\n0\r\n\r\n", b"hello"),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", b"0123456789"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO, b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    ],
)
async def test_a_body_ends_where_the_host_says(host, answer, body):
    async with host(answer) as (_, client):
        assert (await client.get("/")).content == body


async def test_a_body_without_a_length_ends_with_the_connection(host):
    async def answer(reader, writer):
        writer.write(OK + b"\r\nhello")
        writer.close()

    async with host(answer) as (_, client):
        assert (await client.get("/")).content == b"hello"


async def test_the_answer_to_head_has_no_body(host):
    async with host(OK + b"Content-Length: 5\r\n\r\n", HELLO) as (server, client):
        assert (await client.head("/")).headers["content-length"] == "5"
        assert (await client.get("/")).content == b"hello"
    assert server.connections == 1


async def test_where_the_bytes_are_cut_does_not_matter(host):
    async def answer(reader, writer):
        for byte in OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe\r\no\r\n0\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with host(answer) as (_, client):
        assert (await client.get("/")).content == b"he\r\no"


async def test_each_piece_is_passed_on_when_it_arrives(host):
    sent = asyncio.Event()

    async def answer(reader, writer):
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await sent.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with host(answer) as (_, client), client.stream("GET", "/") as response:
        pieces = response.aiter_raw()
        assert await anext(pieces) == b"one"
        sent.set()
        assert await anext(pieces) == b"two"


async def test_several_pieces_that_arrive_together_are_one():
    body = InChunks()
    buffer = bytearray(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    assert (body.take(buffer), body.is_whole, buffer) == (b"onetwo", True, bytearray())


# Requests


async def test_a_body_is_sent_by_its_length_or_in_chunks(host):
    bodies = []

    async def read(reader, writer):
        bodies.append(await reader.readexactly(5))
        writer.write(HELLO)

    async def read_chunks(reader, writer):
        bodies.append(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(HELLO)

    async def parts():
        yield b"hel"
        yield b""
        yield b"lo"

    async with host(read, read_chunks) as (_, client):
        await client.post("/", content=b"hello")
        await client.post("/", content=parts())

    assert bodies == [b"hello", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"]


async def test_an_answer_in_the_middle_of_the_body_is_heard_and_the_connection_left(host):
    async def refuse(reader, writer):
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        answered.set()

    async def parts():
        yield b"a"
        await answered.wait()
        for _ in range(100):
            yield b"a"
            await asyncio.sleep(0)

    answered = asyncio.Event()
    async with host(refuse, HELLO) as (server, client):
        assert (await client.post("/", content=parts())).status_code == 413
        assert (await client.get("/")).status_code == 200
    assert server.connections == 2


async def test_a_line_break_in_a_header_is_not_sent(host):
    async with host(HELLO) as (server, client):
        with pytest.raises(httpx.LocalProtocolError):
            await client.get("/", headers={"X": "a\r\nB: c"})
    assert server.heads == []


# Connections


async def test_a_connection_serves_again(host):
    async with host(HELLO, HELLO) as (server, client):
        await client.get("/")
        await client.get("/")
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        HELLO + b"more than it said",
    ],
)
async def test_a_connection_that_cannot_serve_again_is_closed(host, answer):
    async with host(answer, HELLO) as (server, client):
        await client.get("/")
        await client.get("/")
    assert server.connections == 2


async def test_leaving_an_answer_closes_its_connection(host):
    async def answer(reader, writer):
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await reader.readexactly(1)

    async with host(answer) as (server, client):
        async with client.stream("GET", "/") as response:
            await anext(response.aiter_raw())
        async with asyncio.timeout(5):
            await server.hung_up.wait()


async def test_a_kept_connection_that_the_host_closed_meanwhile_is_replaced(host):
    async def answer_and_close_later(reader, writer):
        writer.write(HELLO)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with host(answer_and_close_later, HELLO) as (server, client):
        await client.get("/")
        assert (await client.get("/")).content == b"hello"
    assert server.connections == 2


async def test_a_request_on_a_new_connection_is_sent_once(host):
    async def close(reader, writer):
        writer.close()

    async with host(close, HELLO) as (server, client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/", content=b"")
    assert len(server.heads) == 1


async def test_a_request_whose_answer_began_is_sent_once(host):
    async def begin(reader, writer):
        writer.write(b"HTTP/1.1 200")
        writer.close()

    async with host(HELLO, begin, HELLO) as (server, client):
        await client.get("/")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")
    assert len(server.heads) == 2


async def test_a_certificate_is_checked_unless_told_otherwise(host, self_signed):
    async with host(HELLO, context=self_signed) as (_, client):
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
            await client.get("/")
    async with host(HELLO, context=self_signed, verify=False) as (_, client):
        assert (await client.get("/")).content == b"hello"


@pytest.fixture
def self_signed(tmp_path) -> ssl.SSLContext:
    """Of a server whose certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gpu-01")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    unencrypted = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted)
    path = tmp_path / "host.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


# Servers that misbehave


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 20000 OK\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b": no name\r\n\r\n",
        OK + b"Content-Length: -5\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"Content-Length: 99999999999999999999\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000,
        OK + b"X: " + b"a" * 70_000,
    ],
)
async def test_what_is_not_http_is_an_error(host, answer):
    async with host(answer) as (_, client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        OK + b"Content-Length: 6\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n6\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ],
)
async def test_an_answer_cut_off_is_an_error(host, answer):
    async def cut(reader, writer):
        writer.write(answer)
        writer.close()

    async with host(cut) as (_, client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")


async def test_what_came_before_a_reset_is_passed_on(host):
    heard = asyncio.Event()

    async def reset(reader, writer):
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await heard.wait()
        writer.transport.abort()

    async with host(reset) as (_, client), client.stream("GET", "/") as response:
        pieces = response.aiter_raw()
        assert await anext(pieces) == b"one"
        heard.set()
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await anext(pieces)


async def wait(reader, writer):
    await reader.read()


@pytest.mark.parametrize("name", ["head", "read"])
async def test_a_host_that_never_begins_is_given_up(host, name):
    async with host(wait) as (_, client):
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", extensions={"timeout": {name: 0.05}})


async def test_the_time_between_two_pieces_counts_not_the_time_of_all(host):
    async def drip(reader, writer):
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(6):
            await asyncio.sleep(0.05)
            writer.write(b"1\r\na\r\n")
        await reader.read()

    async with host(drip) as (_, client):
        request = client.build_request("GET", "/", extensions={"timeout": {"head": 60, "read": 0.15}})
        response = await client.send(request, stream=True)
        pieces = response.aiter_raw()
        heard = b""
        while heard != b"aaaaaa":
            heard += await anext(pieces)
        with pytest.raises(httpx.ReadTimeout):
            await anext(pieces)
        await response.aclose()


async def test_a_host_that_takes_nothing_is_given_up(host):
    async def parts():
        while True:
            yield b"a" * 100_000

    async def deaf(reader, writer):
        reader._transport.pause_reading()
        await asyncio.sleep(5)

    async with host(deaf) as (_, client):
        with pytest.raises(httpx.WriteTimeout):
            await client.post("/", content=parts(), extensions={"timeout": {"write": 0.05}})


async def test_nothing_listens(unused_tcp_port):
    async with httpx.AsyncClient(transport=Transport(), trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{unused_tcp_port}/")


async def test_what_nobody_reads_stays_with_the_host(host, monkeypatch):
    monkeypatch.setattr(connection_module, "READ_AHEAD", 1000)
    total = 50 * 1024 * 1024
    sent = 0

    async def flood(reader, writer):
        nonlocal sent
        writer.write(OK + b"Content-Length: %d\r\n\r\n" % total)
        while sent < total:
            writer.write(b"a" * 100_000)
            await writer.drain()
            sent += 100_000

    async with host(flood) as (_, client), client.stream("GET", "/") as response:
        pieces = response.aiter_raw()
        await anext(pieces)
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            await asyncio.sleep(0.05)
        assert sent < total / 2
        assert sum([len(piece) async for piece in pieces]) > total / 2
