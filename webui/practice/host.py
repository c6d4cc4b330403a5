"""The practice host: routes, slots, and a memory of what it was asked."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from . import faults
from .models import PRACTICE, PracticeModel, fault_models, full_name
from .scripts import Script, script_for
from .wire import Call, Line

VERSION = "0.33.0"
KEEP_ALIVE_S = 300
QUEUE_LIMIT = 512
NANO = 1_000_000_000
DIMENSIONS = 64


@dataclass(slots=True)
class Request:
    """What somebody asked, and how it ended: ``done``, ``left`` (by the caller) or ``fault``. Times are monotonic."""

    endpoint: str
    model: str
    body: dict[str, Any]
    started: float
    ended: float | None = None
    outcome: str = ""
    pieces_sent: int = 0


@dataclass(slots=True)
class Loaded:
    """A model in memory."""

    model: PracticeModel
    expires: float
    slots: asyncio.Semaphore = field(default_factory=asyncio.Semaphore)


class PracticeHost:
    """``async with PracticeHost() as host`` serves at ``host.url``. ``speed`` is pieces a second; None: no pause."""

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        speed: float | None = None,
        slots: int = 1,
        faults: bool = False,
    ) -> None:
        self.speed = speed
        self.requests: list[Request] = []
        self._address, self._port, self._slots = address, port, slots
        self._models = {model.name: model for model in [*PRACTICE, *(fault_models() if faults else [])]}
        self._memory: dict[str, Loaded] = {}
        self._waiting = 0
        self._changed = asyncio.Condition()
        self._gate = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._routes: dict[tuple[str, str], Callable[[Line, Call], Awaitable[None]]] = {
            ("GET", "/"): self._root,
            ("GET", "/api/version"): self._version,
            ("GET", "/api/tags"): self._tags,
            ("GET", "/api/ps"): self._ps,
            ("POST", "/api/show"): self._show,
            ("POST", "/api/chat"): self._chat,
            ("POST", "/api/generate"): self._generate,
            ("POST", "/api/embed"): self._embed,
        }

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"http://{self._address}:{self._port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self._address, self._port, limit=2**20)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            for line in self._lines:
                line.cancel()
            await asyncio.gather(*self._lines, return_exceptions=True)

    def release(self) -> None:
        """Let the models that wait at the gate go on, now and later."""
        self._gate.set()

    async def wait_for(self, condition: Callable[[], object], *, within_s: float = 10) -> None:
        """Wait until something holds of ``requests``."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    # Connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101  a stream callback runs in a task
        self._lines.add(task)
        line = Line(reader, writer)
        try:
            while call := await line.next_call():
                await self._route(line, call)
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            return
        finally:
            self._lines.discard(task)
            line.close()

    async def _route(self, line: Line, call: Call) -> None:
        verb = "GET" if call.verb == "HEAD" else call.verb
        if route := self._routes.get((verb, call.path)):
            await route(line, call)
        elif any(path == call.path for _, path in self._routes):
            await line.text(405, "405 method not allowed")
        else:
            await line.text(404, "404 page not found")

    async def _record(self, request: Request, **changes: object) -> None:
        for name, value in changes.items():
            setattr(request, name, value)
        async with self._changed:
            self._changed.notify_all()

    # Short answers

    async def _root(self, line: Line, call: Call) -> None:
        await line.text(200, "" if call.verb == "HEAD" else "Ollama is running")

    async def _version(self, line: Line, _: Call) -> None:
        await line.json({"version": VERSION})

    async def _tags(self, line: Line, _: Call) -> None:
        await line.json({"models": [_as_tag(model) for model in self._models.values()]})

    async def _ps(self, line: Line, _: Call) -> None:
        now = time.monotonic()
        loaded = [entry for entry in self._memory.values() if entry.expires > now]
        await line.json({"models": [_as_running(entry, now) for entry in loaded]})

    async def _show(self, line: Line, call: Call) -> None:
        body = await self._body(line, call)
        model = self._find(body) if body is not None else None
        if body is not None and model is None:
            name = full_name(str(body.get("model") or body.get("name") or ""))
            await line.json({"error": f"model '{name}' not found"}, 404)
        elif model:
            await line.json(
                {
                    "modelfile": f"# a practice model: {model.about}\nFROM practice\n",
                    "template": "{{ .Prompt }}",
                    "details": model.details,
                    "model_info": {"general.architecture": "practice", "practice.context_length": model.context},
                    "capabilities": list(model.capabilities),
                    "modified_at": _now(),
                }
            )

    async def _embed(self, line: Line, call: Call) -> None:
        body = await self._body(line, call)
        if body is None:
            return
        model = self._find(body)
        if model is None:
            await line.json({"error": f'model "{body.get("model")}" not found, try pulling it first'}, 404)
        elif "embedding" not in model.capabilities:
            await line.json({"error": "this model does not support embeddings"}, 501)
        else:
            texts = body.get("input") or []
            texts = [texts] if isinstance(texts, str) else texts
            answer = {"model": body.get("model"), "embeddings": [_vector(str(text)) for text in texts]}
            await line.json({**answer, "total_duration": 1, "load_duration": 1, "prompt_eval_count": len(texts)})

    # Answers of models

    async def _generate(self, line: Line, call: Call) -> None:
        body = await self._body(line, call)
        if body is None:
            return
        prompt = str(body.get("prompt") or "")
        await self._answer(line, call, {**body, "messages": [{"role": "user", "content": prompt}]}, _as_generate)

    async def _chat(self, line: Line, call: Call) -> None:
        body = await self._body(line, call)
        if body is not None:
            await self._answer(line, call, body, _as_chat)

    async def _answer(self, line: Line, call: Call, body: dict[str, Any], form: "Form") -> None:
        model = self._find(body)
        request = Request(call.path, str(body.get("model", "")), body, time.monotonic())
        self.requests.append(request)
        await self._record(request)
        if model is None or (model.name.startswith("fault-st404")):
            await line.json({"error": f"model '{body.get('model')}' not found"}, 404)
            await self._record(request, ended=time.monotonic(), outcome="done")
            return
        answering = asyncio.create_task(self._say(line, model, body, request, form))
        leaving = asyncio.create_task(line.peer_leaves())
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        outcome = "done"
        if not answering.done():
            outcome = "left"
            answering.cancel()
        leaving.cancel()
        results = await asyncio.gather(answering, leaving, return_exceptions=True)
        if isinstance(results[0], faults.Ended):
            outcome = "fault"
        elif isinstance(results[0], ConnectionError):
            outcome = "left"
        await self._record(request, ended=time.monotonic(), outcome=outcome)
        if outcome == "left" or isinstance(results[0], faults.Broken):
            raise ConnectionResetError

    async def _say(
        self, line: Line, model: PracticeModel, body: dict[str, Any], request: Request, form: "Form"
    ) -> None:
        if self._waiting >= QUEUE_LIMIT:
            await line.json({"error": "server busy, please try again.  maximum pending requests exceeded"}, 503)
            return
        began = time.monotonic()
        self._waiting += 1
        entry = self._memory.setdefault(model.name, Loaded(model, 0.0, asyncio.Semaphore(self._slots)))
        try:
            async with entry.slots:
                cold = entry.expires < time.monotonic()
                if cold:
                    await asyncio.sleep(model.load_s)
                entry.expires = time.monotonic() + KEEP_ALIVE_S
                loaded = time.monotonic()
                script = script_for(
                    model.name,
                    body.get("messages") or [],
                    think=body.get("think"),
                    continues=model.continues,
                )
                limit = (body.get("options") or {}).get("num_predict")
                if isinstance(limit, int) and 0 < limit < len(script.text):
                    script = Script(script.text[:limit], script.thinking)
                await self._speak(line, model, body, request, form, script, (began, loaded))
        finally:
            self._waiting -= 1

    async def _speak(
        self,
        line: Line,
        model: PracticeModel,
        body: dict[str, Any],
        request: Request,
        form: "Form",
        script: Script,
        times: tuple[float, float],
    ) -> None:
        name = str(body.get("model", ""))
        fault = model.name.removeprefix("fault-").partition(":")[0] if model.name.startswith("fault-") else ""
        said = [(True, piece) for piece in script.thinking] + [(False, piece) for piece in script.text]
        speaker = faults.Speaker(line, fault, self._gate)
        if body.get("stream") is False:
            text, thinking = "".join(script.text), "".join(script.thinking)
            await line.json(form(name, text, thinking) | _last(body, request, said, times))
            return
        await speaker.begin()
        for at, (thinking_, piece) in enumerate(said):
            await speaker.say(at, form(name, "" if thinking_ else piece, piece if thinking_ else ""))
            await self._record(request, pieces_sent=at + 1)
            if self.speed:
                await asyncio.sleep(1 / self.speed)
            elif at % 8 == 7:  # noqa: PLR2004  let others have a turn
                await asyncio.sleep(0)
        await speaker.end(form(name, "", "") | _last(body, request, said, times))

    # The catalogue

    def _find(self, body: dict[str, Any]) -> PracticeModel | None:
        name = full_name(str(body.get("model") or body.get("name") or ""))
        return self._models.get(name) or next((model for model in fault_models() if model.name == name), None)

    async def _body(self, line: Line, call: Call) -> dict[str, Any] | None:
        try:
            return call.body()
        except ValueError as error:
            await line.json({"error": str(error)}, 400)
            return None


Form = Callable[[str, str, str], dict[str, Any]]


def _as_chat(model: str, text: str, thinking: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **({"thinking": thinking} if thinking else {})}
    return {"model": model, "created_at": _now(), "message": message, "done": False}


def _as_generate(model: str, text: str, thinking: str) -> dict[str, Any]:
    thought = {"thinking": thinking} if thinking else {}
    return {"model": model, "created_at": _now(), "response": text, **thought, "done": False}


def _last(
    body: dict[str, Any], request: Request, said: list[tuple[bool, str]], times: tuple[float, float]
) -> dict[str, Any]:
    began, loaded = times
    now = time.monotonic()
    words = sum(len(str(message.get("content", "")).split()) for message in body.get("messages") or [])
    limit = (body.get("options") or {}).get("num_predict")
    return {
        "done": True,
        "done_reason": "length" if limit == len(said) else "stop",
        "total_duration": int((now - began) * NANO),
        "load_duration": int((loaded - began) * NANO),
        "prompt_eval_count": words + 10,
        "prompt_eval_duration": int(0.01 * NANO),
        "eval_count": len(said),
        "eval_duration": max(1, int((now - loaded) * NANO)),
    }


def _as_tag(model: PracticeModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": "2026-11-01T09:00:00Z",
        "size": model.size,
        "digest": model.digest,
        "details": model.details,
        "capabilities": list(model.capabilities),
    }


def _as_running(entry: Loaded, now: float) -> dict[str, Any]:
    expires = datetime.now(UTC) + timedelta(seconds=entry.expires - now)
    memory = {"expires_at": expires.isoformat(), "size_vram": entry.model.size, "context_length": entry.model.context}
    return _as_tag(entry.model) | memory


def _vector(text: str) -> list[float]:
    """The same for the same text, of length 1."""
    raw = hashlib.shake_256(text.encode()).digest(DIMENSIONS)
    values = [byte / 127.5 - 1 for byte in raw]
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values]


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
