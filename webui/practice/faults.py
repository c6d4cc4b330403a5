"""How the fault models misbehave, chosen by what follows ``fault-`` in their name."""

import asyncio
from typing import Any

from .wire import JSON, Line, dumps

HTML = b"<!doctype html><title>Bad gateway</title><h1>nginx</h1>"
BREAKS_AFTER = 5  # pieces
TOO_LONG = 10 * 1024 * 1024
ODD = {
    "badutf": b"caf\xe9 \xff\xfe",
    "nul": b"a\\u0000b\\u001b[31m",
    "nel": "x\u0085y\u2028z\u2029".encode(),
}

ENDINGS = {"rst", "trunc", "miderr"}
JUNK = {
    "garbage": (b"{oops\n", b"null\n", b"[1,2]\n", b"\n", b'{"message":null}\n'),
    "rubbish": (b"{oops\n",) * 4,
    "noline": (b"x" * TOO_LONG,),
    "big": (b"x" * TOO_LONG, b"\n"),
}
TOO_MANY, BUSY = 429, 503
# How often a busy model refuses before it answers, how, and when it says that it wants to be asked again.
REFUSALS = {"busy": (2, BUSY, ""), "limited": (1, TOO_MANY, "2")}


class Ended(Exception):
    """The answer ended as the fault wants it."""


class Broken(Ended):
    """And the connection is of no more use."""


class Speaker:
    """Sends the lines of one answer, or fails to.

    ``is_wedged``: the model answers nobody any more. ``earlier``: how often it was asked before.
    """

    def __init__(
        self, line: Line, fault: str, gate: asyncio.Event, *, is_wedged: bool = False, earlier: int = 0
    ) -> None:
        self._line = line
        self._fault = fault
        self._gate = gate
        self._is_wedged = is_wedged
        self._earlier = earlier

    async def refuse(self) -> None:
        """Go wrong before the first line, if that is the fault."""
        if self._is_wedged or self._fault == "hangheader":
            await asyncio.Event().wait()
        times, busy, retry_after = REFUSALS.get(self._fault, (0, BUSY, ""))
        if self._earlier < times:
            await self._line.answer(busy, dumps({"error": "too many requests"}), JSON, retry_after=retry_after)
            raise Ended
        if self._fault.startswith("st"):
            status, _, kind = self._fault.removeprefix("st").partition("-")
            await self._answer_badly(int(status), kind)
            raise Ended
        if self._fault == "html":
            await self._line.answer(200, HTML, "text/html")
            raise Ended

    async def _answer_badly(self, status: int, kind: str) -> None:
        if kind == "html":
            await self._line.answer(status, HTML, "text/html")
        elif kind == "empty":
            await self._line.answer(status)
        else:
            await self._line.json({"error": f"the host says {status}"}, status)

    async def begin(self) -> None:
        await self._line.begin_stream()

    @property
    def hurries(self) -> bool:
        """Whether everything is said at once."""
        return self._fault == "fast"

    async def say(self, at: int, value: dict[str, Any]) -> None:
        if at == BREAKS_AFTER:
            await self._break()
        if self._fault == "half":
            for byte in dumps(value) + b"\n":
                await self._line.chunk(bytes([byte]))
        elif self._fault == "surr" and at == 1:
            await self._surrogates(value)
        else:
            await self._line.object(value)

    async def end(self, value: dict[str, Any]) -> None:
        await self._line.object(value)
        await self._line.end_stream()

    async def _break(self) -> None:
        if self._fault in ENDINGS:
            await self._end_badly()
        elif self._fault == "gate":
            await self._gate.wait()
        elif self._fault == "hang":
            await asyncio.Event().wait()
        elif self._fault == "slow":
            await asyncio.sleep(31)
        elif self._fault in ODD:
            await self._line.chunk(b'{"message":{"role":"assistant","content":"' + ODD[self._fault] + b'"}}\n')
        for junk in JUNK.get(self._fault, ()):
            await self._line.chunk(junk)

    async def _end_badly(self) -> None:
        if self._fault == "rst":
            self._line.reset()
            raise Broken
        if self._fault == "miderr":
            await self._line.object({"error": "the <b>runner</b> has stopped"})
        await self._line.end_stream()
        raise Ended

    async def _surrogates(self, value: dict[str, Any]) -> None:
        """An emoji cut in two, then half of one."""
        for half in (b"\\ud83d", b"\\ude00", b" \\ud83d"):
            await self._line.chunk(b'{"message":{"role":"assistant","content":"' + half + b'"}}\n')
        await self._line.object(value)
