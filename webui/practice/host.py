"""The practice host: routes, and a memory of what it was asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar
from urllib.parse import unquote

from . import answers, asked, faults, openai
from .access import is_refused
from .answers import Form, Times
from .asked import Asked
from .library import NOT_FOUND, Library, Refusal
from .management import Management, Route
from .measures import with_time
from .memory import Memory
from .models import PRACTICE, fault_models, full_name
from .openai import OpenAILine
from .replies import Reply, reply_to
from .wire import BLOBS, Call, Line

VERSION, OLD_VERSION = "0.33.0", "0.5.4"
REMEMBERED = 10_000  # requests
STEP_S = 0.06  # of a download
CATCH_UP_S = 1.0
TURN = 8  # pieces, after which others have a turn
BAD_REQUEST, FORBIDDEN, NOT_ALLOWED, NOT_IMPLEMENTED, BUSY = 400, 403, 405, 501, 503

SomeLine = TypeVar("SomeLine", bound=Line)


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
    prompt_tokens: int = 0  # as it told at its end
    output_tokens: int = 0

    def count(self, told: Mapping[str, Any]) -> None:
        """Keep the figures of what was told last."""
        self.prompt_tokens, self.output_tokens = told.get("prompt_eval_count", 0), told.get("eval_count", 0)


class Pace:
    """When the next piece is due: a pause that took too long makes the following ones shorter."""

    def __init__(self) -> None:
        self._due = time.monotonic()

    def until_next_s(self, speed: float) -> float:
        now = time.monotonic()
        self._due = max(self._due, now - CATCH_UP_S) + 1 / speed
        return max(0.0, self._due - now)


class PracticeHost:
    """``async with PracticeHost() as host`` serves at ``host.url``.

    ``speed`` is pieces a second, None: no pause. ``slots`` are answers at once per model. With ``faults`` the models
    that misbehave are listed, and ``/practice/...`` tells tests in other processes what was asked. An ``old`` host
    makes models as hosts before 0.5.5 do.
    """

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        speed: float | None = None,
        slots: int = 1,
        faults: bool = False,
        old: bool = False,
    ) -> None:
        self.speed = speed
        self.busy_for: float = 0  # so many questions more it turns away
        self.requests: list[Request] = []
        self._address, self._port = address, port
        self._version = OLD_VERSION if old else VERSION
        self._gate = asyncio.Event()
        self._memory = Memory(slots)
        self._library = Library(
            [*PRACTICE, *(fault_models() if faults else [])],
            pause_s=lambda: STEP_S if self.speed else 0,
            gate=self._gate,
            old=old,
        )
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._routes: dict[tuple[str, str], Route] = {
            ("GET", "/"): self._root,
            ("GET", "/api/version"): self._tell_version,
            ("GET", "/api/tags"): self._tags,
            ("GET", "/api/ps"): self._ps,
            ("POST", "/api/show"): self._show,
            ("POST", "/api/chat"): self._chat,
            ("POST", "/api/generate"): self._generate,
            ("POST", "/api/embed"): self._embed,
            ("POST", "/api/embeddings"): self._embed_one,
            ("POST", "/v1/chat/completions"): _as_openai(self._chat_for_openai),
            ("POST", "/v1/completions"): _as_openai(self._generate_for_openai),
            ("POST", "/v1/embeddings"): _as_openai(self._embed_for_openai),
            ("GET", "/v1/models"): _as_openai(self._list_for_openai),
            ("GET", openai.MODELS): _as_openai(self._model_for_openai),
            **Management(self._library, self._recorded).routes,
            **(self._test_routes if faults else {}),
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
        path = next(filter(call.path.startswith, (BLOBS, openai.MODELS)), call.path)
        verbs = [verb for verb, known in self._routes if known == path]
        route = self._routes.get((call.verb, path))
        if not route and call.verb == "HEAD" and not path.startswith("/v1/"):
            route = self._routes.get(("GET", path))
        if is_refused(call.headers, self._address):
            await line.answer(FORBIDDEN)
        elif route:
            await _or_refuse(route, line, call)
        elif verbs:
            await line.text(NOT_ALLOWED, "405 method not allowed", allow=", ".join(verbs))
        else:
            await line.text(NOT_FOUND, "404 page not found")

    @asynccontextmanager
    async def _recorded(self, call: Call, body: dict[str, Any]) -> AsyncIterator[Request]:
        """Remember a request, and how it ends."""
        request = Request(call.path, str(body.get("model", "")), body, time.monotonic())
        self.requests.append(request)
        del self.requests[:-REMEMBERED]
        await self._tell_observers()
        outcome = "left"
        try:
            yield request
            outcome = "done"
        except Refusal:
            outcome = "done"
            raise
        except faults.Ended:
            outcome = "fault"
            raise
        finally:
            request.ended, request.outcome = time.monotonic(), outcome
            await self._tell_observers()

    async def _tell_observers(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # Short answers

    async def _root(self, line: Line, _: Call) -> None:
        await line.text(200, "Ollama is running", "text/plain; charset=utf-8")

    async def _tell_version(self, line: Line, _: Call) -> None:
        await line.json({"version": self._version})

    async def _tags(self, line: Line, _: Call) -> None:
        await line.json({"models": [answers.as_tag(model) for model in self._library.models()]})

    async def _ps(self, line: Line, _: Call) -> None:
        await line.json({"models": [answers.as_running(entry) for entry in self._memory.running()]})

    async def _show(self, line: Line, call: Call) -> None:
        body = call.body()
        name = str(body.get("model") or body.get("name") or "")
        if not name:
            raise Refusal("model is required", BAD_REQUEST)
        model = self._library.find(name)
        if model is None:
            raise Refusal(f"model '{full_name(name)}' not found", NOT_FOUND)
        await line.json(answers.as_shown(model))

    # For tests in other processes; people's questions are shown to nobody

    @property
    def _test_routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("GET", "/practice/requests"): self._tell_requests,
            ("POST", "/practice/settings"): self._set,
            ("POST", "/practice/release"): self._release,
        }

    async def _tell_requests(self, line: Line, _: Call) -> None:
        await line.json([asdict(request) for request in self.requests])

    async def _set(self, line: Line, call: Call) -> None:
        """``speed``: pieces a second; 0 or null: no pause."""
        self.speed = float(call.body().get("speed") or 0) or None
        await line.answer(200)

    async def _release(self, line: Line, _: Call) -> None:
        self.release()
        await line.answer(200)

    # Vectors

    async def _embed(self, line: Line, call: Call) -> None:
        body = call.body()
        async with self._recorded(call, body) as request:
            vectors = self._vectors(body)
            await line.json(vectors)
            request.count(vectors)

    async def _embed_one(self, line: Line, call: Call) -> None:
        body = call.body()
        async with self._recorded(call, body):
            self._check_embeds(body, 500)
            prompt = str(body.get("prompt") or "")
            await line.json({"embedding": answers.vector(prompt) if prompt else []})

    def _vectors(self, body: dict[str, Any]) -> dict[str, Any]:
        texts = _texts(body.get("input"))
        self._check_embeds(body, NOT_IMPLEMENTED)
        vectors = [answers.vector(text, body.get("dimensions")) for text in texts]
        usage = {"total_duration": 1, "load_duration": 1, "prompt_eval_count": len(texts)} if texts else {}
        return {"model": body.get("model"), "embeddings": vectors, **usage}

    def _check_embeds(self, body: dict[str, Any], status: int) -> None:
        name = str(body.get("model") or "")
        if not name:
            raise Refusal("model '' not found", NOT_FOUND)
        model = self._library.find(name)
        if model is None:
            raise Refusal(f'model "{name}" not found, try pulling it first', NOT_FOUND)
        if "embedding" not in model.capabilities:
            raise Refusal("This server does not support embeddings. Start it with `--embeddings`", status)

    # Answers of models

    async def _chat(self, line: Line, call: Call) -> None:
        body = call.body()
        async with self._recorded(call, body) as request:
            await self._answer(line, asked.of_chat(body, self._library), request, answers.as_chat)

    async def _generate(self, line: Line, call: Call) -> None:
        body = call.body()
        async with self._recorded(call, body) as request:
            await self._answer(line, asked.of_generate(body, self._library), request, answers.as_generate)

    # The same in OpenAI's form

    async def _chat_for_openai(self, line: OpenAILine, call: Call) -> None:
        body = call.body()
        async with self._recorded(call, body) as request:
            wanted, line.form = openai.chat_body(body), openai.Chat(body)
            await self._answer(line, asked.of_chat(wanted, self._library), request, answers.as_chat)

    async def _generate_for_openai(self, line: OpenAILine, call: Call) -> None:
        body = call.body()
        async with self._recorded(call, body) as request:
            wanted, line.form = openai.completion_body(body), openai.Completion(body)
            await self._answer(line, asked.of_generate(wanted, self._library), request, answers.as_generate)

    async def _embed_for_openai(self, line: OpenAILine, call: Call) -> None:
        body = call.body()
        async with self._recorded(call, body):
            wanted, line.form = openai.embed_body(body), openai.Vectors(body)
            await line.json(self._vectors(wanted))

    async def _list_for_openai(self, line: OpenAILine, _: Call) -> None:
        line.form = openai.Same({})
        await line.json(openai.as_models(self._library.models()))

    async def _model_for_openai(self, line: OpenAILine, call: Call) -> None:
        line.form = openai.Same({})
        name = unquote(call.path.removeprefix(openai.MODELS))
        model = self._library.find(name)
        if model is None:
            raise Refusal(f"model '{full_name(name)}' not found", NOT_FOUND)
        await line.json(openai.as_model(name, model))

    async def _answer(self, line: Line, wanted: Asked, request: Request, form: Form) -> None:
        if wanted.unloads:
            self._memory.entry(wanted.model).unload()
            await line.json(form(wanted.name, "", "") | {"done": True, "done_reason": "unload"})
            return
        if self._memory.is_full or self.busy_for > 0:
            self.busy_for = max(0, self.busy_for - 1)
            raise Refusal("server busy, please try again.  maximum pending requests exceeded", BUSY)
        await line.while_present(self._say(line, wanted, request, form))

    async def _say(self, line: Line, wanted: Asked, request: Request, form: Form) -> None:
        began = time.monotonic()
        async with self._memory.granted(wanted.model, wanted.keep_alive_s) as entry:
            if not wanted.messages:
                await line.json(form(wanted.name, "", "") | {"done": True, "done_reason": "load"})
                return
            fault = _fault_of(wanted.model.speaks)
            earlier = sum(each.model == request.model for each in self.requests) - 1
            speaker = faults.Speaker(line, fault, self._gate, is_wedged=entry.is_wedged, earlier=earlier)
            await speaker.refuse()
            times, reply = Times(began, time.monotonic()), reply_to(wanted)
            if wanted.stream:
                await self._speak(speaker, wanted, reply, request, form, times)
            else:
                whole = _whole(wanted, reply, form, times)
                await line.json(whole)
                request.count(whole)

    async def _speak(
        self, speaker: faults.Speaker, wanted: Asked, reply: Reply, request: Request, form: Form, times: Times
    ) -> None:
        name = wanted.name
        await speaker.begin()
        pace = Pace()
        for at, (piece, thought) in enumerate(reply.pieces):
            text = with_time(piece)
            await speaker.say(at, form(name, text, thought) | answers.logprobs(wanted, [text or thought]))
            request.pieces_sent = at + 1
            await self._tell_observers()
            await self._pause(speaker, pace, at)
        if wanted.model.early_calls and reply.calls:
            await speaker.say(len(reply.pieces), answers.with_calls(form(name, "", ""), reply.calls))
        late = [] if wanted.model.early_calls else reply.calls
        last = form(name, "", "") | answers.ending(wanted, form, reply, times)
        await speaker.end(answers.with_calls(last, late))
        request.count(last)

    async def _pause(self, speaker: faults.Speaker, pace: Pace, at: int) -> None:
        if speaker.hurries:
            return
        if self.speed:
            await asyncio.sleep(pace.until_next_s(self.speed))
        elif at % TURN == TURN - 1:
            await asyncio.sleep(0)


def _as_openai(route: Callable[[OpenAILine, Call], Awaitable[None]]) -> Route:
    async def spoken(line: Line, call: Call) -> None:
        await _or_refuse(route, OpenAILine(line), call)

    return spoken


async def _or_refuse(route: Callable[[SomeLine, Call], Awaitable[None]], line: SomeLine, call: Call) -> None:
    """Answer a call; what the route cannot do is an answer, too."""
    try:
        await route(line, call)
    except Refusal as refusal:
        await line.json({"error": str(refusal)}, refusal.status)
    except ValueError as error:
        await line.json({"error": str(error)}, BAD_REQUEST)
    except faults.Broken as broken:
        raise ConnectionResetError from broken
    except faults.Ended:
        return


def _whole(wanted: Asked, reply: Reply, form: Form, times: Times) -> dict[str, Any]:
    """The answer in one object."""
    value = form(wanted.name, "".join(reply.text), "".join(reply.thinking))
    return answers.with_calls(
        value | answers.ending(wanted, form, reply, times) | answers.logprobs(wanted, reply.text), reply.calls
    )


def _fault_of(name: str) -> str:
    return name.removeprefix("fault-").partition(":")[0] if name.startswith("fault-") else ""


def _texts(found: object) -> list[str]:
    """The texts to embed; an empty one alone is none."""
    if found is None or found == "":
        return []
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refusal("invalid input type", BAD_REQUEST)
    return texts
