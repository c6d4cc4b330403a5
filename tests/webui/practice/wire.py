"""A caller that sees every byte of an answer."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """``chunks`` of a chunked answer; ``is_whole``: it ended as HTTP wants it."""

    status: int
    headers: dict[str, str]
    body: bytes
    chunks: list[bytes]
    is_whole: bool = True

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def value(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return "".join(line["message"]["content"] for line in self.lines if "message" in line)


def request_bytes(verb: str, path: str, body: object = None, **headers: str) -> bytes:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    given = {"Host": "127.0.0.1", "Content-Length": str(len(raw))} | headers
    lines = [f"{verb} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode() + raw


@asynccontextmanager
async def connection(url: str):
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=2**25)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(url: str, verb: str, path: str, body: object = None, **headers: str) -> Answer:
    async with asyncio.timeout(20), connection(url) as (reader, writer):
        writer.write(request_bytes(verb, path, body, **headers))
        return await read_answer(reader, has_body=verb != "HEAD")


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> Answer:
    status, headers = await read_head(reader)
    if not has_body:
        return Answer(status, headers, b"", [])
    if headers.get("transfer-encoding") != "chunked":
        return Answer(status, headers, await reader.readexactly(int(headers["content-length"])), [])
    chunks: list[bytes] = []
    try:
        while chunk := await read_chunk(reader):
            chunks.append(chunk)
    except (ConnectionError, asyncio.IncompleteReadError):
        return Answer(status, headers, b"".join(chunks), chunks, is_whole=False)
    return Answer(status, headers, b"".join(chunks), chunks)


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    assert first.startswith("HTTP/1.1 ")
    headers = dict(line.split(": ", 1) for line in rest if line)
    return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk; b"" for the last."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]
