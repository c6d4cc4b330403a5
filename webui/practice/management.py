"""The routes that change which models the host has."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from .library import Library, Refusal, Status
from .wire import BLOBS, Call, Line

Route = Callable[[Line, Call], Awaitable[None]]
Record = Callable[[Call, dict[str, Any]], AbstractAsyncContextManager[object]]
CREATED, OK, NOT_FOUND = 201, 200, 404
PLAIN_JSON = "application/json"  # without a charset, as Ollama has it here


class Management:
    """``record`` remembers a request while it is answered."""

    def __init__(self, library: Library, record: Record) -> None:
        self._library = library
        self._record = record

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("POST", "/api/pull"): self._pull,
            ("POST", "/api/push"): self._push,
            ("POST", "/api/create"): self._create,
            ("POST", "/api/copy"): self._copy,
            ("DELETE", "/api/delete"): self._delete,
            ("HEAD", BLOBS): self._look_for_blob,
            ("POST", BLOBS): self._take_blob,
        }

    async def _pull(self, line: Line, call: Call) -> None:
        await self._progress(line, call, lambda body: self._library.pull(_name(body)))

    async def _push(self, line: Line, call: Call) -> None:
        await self._progress(line, call, lambda body: self._library.push(_name(body)))

    async def _create(self, line: Line, call: Call) -> None:
        await self._progress(line, call, self._library.create)

    async def _copy(self, line: Line, call: Call) -> None:
        body = call.body()
        async with self._record(call, body):
            self._library.copy(str(body.get("source") or ""), str(body.get("destination") or ""))
            await line.answer(OK)

    async def _delete(self, line: Line, call: Call) -> None:
        body = call.body()
        async with self._record(call, body):
            self._library.delete(_name(body))
            await line.answer(OK)

    async def _look_for_blob(self, line: Line, call: Call) -> None:
        found = self._library.has_blob(call.path.removeprefix(BLOBS))
        await line.answer(OK if found else NOT_FOUND, content_type="" if found else "application/json; charset=utf-8")

    async def _take_blob(self, line: Line, call: Call) -> None:
        digest = call.path.removeprefix(BLOBS)
        known = self._library.has_blob(digest)
        if not known:
            self._library.add_blob(digest, call.digest, call.size)
        await line.answer(OK if known else CREATED)

    # Progress

    async def _progress(
        self, line: Line, call: Call, work: Callable[[dict[str, Any]], AsyncGenerator[Status, None]]
    ) -> None:
        """Tell how a long work goes on, line by line, or only how it ended. It stops when the caller goes."""
        body = call.body()
        tell = _tell_the_end if body.get("stream") is False else _tell_each_line
        async with self._record(call, body), aclosing(work(body)) as lines:
            await line.while_present(tell(line, lines))


async def _tell_the_end(line: Line, lines: AsyncGenerator[Status, None]) -> None:
    try:
        async for _ in lines:
            pass
    except Refusal as refusal:
        await line.json({"error": str(refusal)}, refusal.status, PLAIN_JSON)
    else:
        await line.json({"status": "success"}, content_type=PLAIN_JSON)


async def _tell_each_line(line: Line, lines: AsyncGenerator[Status, None]) -> None:
    try:
        first = await anext(lines)
    except Refusal as refusal:
        await line.json({"error": str(refusal)}, refusal.status, PLAIN_JSON)
        return
    await line.begin_stream()
    await line.object(first)
    try:
        async for status in lines:
            await line.object(status)
    except Refusal as refusal:
        await line.object({"error": str(refusal)})
    await line.end_stream()


def _name(body: dict[str, Any]) -> str:
    return str(body.get("model") or body.get("name") or "")
