"""One Ollama host, over HTTP. Knows the wire, and nothing about people or pages."""

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx

from webui.text import clean_text, one_line

from .errors import (
    AccessDenied,
    HostBusy,
    HostFailed,
    HostUnreachable,
    HostUntrusted,
    ModelNotFound,
    OllamaError,
    RequestRefused,
    StreamBroken,
    StreamCut,
    StreamSilent,
    UnexpectedAnswer,
)
from .relay import Beginning, as_one, in_lines
from .stream import Cleaner, Object, error_text, objects, parse
from .transport import Resolve, Transport
from .types import (
    ChatChunk,
    Counters,
    Embeddings,
    GenerateChunk,
    InstalledModel,
    ModelDetails,
    Progress,
    RunningModel,
)

CONNECT_S, WRITE_S = 3.0, 10.0
# A cold model sends no byte, not even headers, before its first token.
FIRST_BYTE_S, IDLE_S = 310.0, 60.0
# To check or convert what is as large as a disk takes a host minutes, in which it says nothing.
WORK_S = 1800.0
SHORT_ANSWER_S = 10.0
NANO = 1_000_000  # Ollama counts nanoseconds
ANSWER_LIMIT = 64 * 1024 * 1024
COUNT_LIMIT = 2**63
PASSED_ON = re.compile(r"application/(x-nd)?json( *; *charset=[\w-]+)?", re.ASCII | re.IGNORECASE)
WORD_LIMIT, WORDS_LIMIT = 500, 50  # of what a page shows in passing

HTTP_OK, HTTP_NOT_FOUND, HTTP_ERROR = 200, 404, 500
HTTP_DENIED, HTTP_BUSY = {401, 403}, {429, 503}


class OllamaClient:
    """Every endpoint of a host; ``transport`` is where tests come in. Raises OllamaError.

    ``authority``: a certificate (PEM) that is trusted beside the usual ones. ``resolve``: see Transport.
    """

    def __init__(
        self,
        base_url: str,
        *,
        bearer: str | None = None,
        verify: bool = True,
        authority: str | None = None,
        resolve: Resolve | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        first_byte_s: float = FIRST_BYTE_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._first_byte_s = first_byte_s
        self._idle_s = idle_s
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={
                "Accept-Encoding": "identity",
                "User-Agent": "teahouse",
                **({"Authorization": f"Bearer {bearer}"} if bearer else {}),
            },
            timeout=httpx.Timeout(None, connect=CONNECT_S, write=WRITE_S),
            transport=transport or Transport(verify=verify, authority=authority, resolve=resolve),
            trust_env=False,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    # What the host is and has

    async def version(self) -> str:
        return _word((await self._get("/api/version")).get("version"))

    async def models(self) -> list[InstalledModel]:
        return [_installed(model) for model in _list(await self._get("/api/tags"), "models")]

    async def running(self) -> list[RunningModel]:
        """The models in memory; none when the host is too old to say."""
        try:
            return [_running(model) for model in _list(await self._get("/api/ps"), "models")]
        except RequestRefused as error:
            if error.status == HTTP_NOT_FOUND:
                return []
            raise

    async def show(self, model: str) -> ModelDetails:
        return _details(await self._call("POST", "/api/show", {"model": model, "name": model}))

    # Answers

    async def chat(
        self,
        *,
        model: str,
        messages: Sequence[Mapping[str, object]],
        options: Mapping[str, object] | None = None,
        think: bool | str | None = None,
        format: str | Mapping[str, object] | None = None,  # noqa: A002  Ollama's word
        keep_alive: str | int | None = None,
        tools: Sequence[Mapping[str, object]] | None = None,
    ) -> AsyncGenerator[ChatChunk, None]:
        """Yield the answer as it arrives. Closing the iterator aborts the request at the host."""
        body = _given(
            model=model,
            messages=list(messages),
            stream=True,
            options=options,
            think=think,
            format=format,
            keep_alive=keep_alive,
            tools=tools,
        )
        text, thinking = Cleaner(), Cleaner()
        async for line in self._until_done("/api/chat", body):
            message = _object(line.get("message"))
            done = line.get("done") is True
            yield ChatChunk(
                text=text(message.get("content"), last=done),
                thinking=thinking(message.get("thinking"), last=done),
                tool_calls=tuple(_items(message.get("tool_calls"))),
                done=done,
                done_reason=_text(line.get("done_reason")) or None,
                counters=_counters(line) if done else None,
            )

    async def generate(  # noqa: PLR0913  the fields of the endpoint
        self,
        *,
        model: str,
        prompt: str,
        suffix: str | None = None,
        system: str | None = None,
        template: str | None = None,
        context: Sequence[int] | None = None,
        raw: bool | None = None,
        images: Sequence[str] | None = None,
        options: Mapping[str, object] | None = None,
        think: bool | str | None = None,
        format: str | Mapping[str, object] | None = None,  # noqa: A002  Ollama's word
        keep_alive: str | int | None = None,
    ) -> AsyncGenerator[GenerateChunk, None]:
        """Yield a raw completion as it arrives."""
        body = _given(
            model=model,
            prompt=prompt,
            suffix=suffix,
            system=system,
            template=template,
            context=context,
            raw=raw,
            images=images,
            stream=True,
            options=options,
            think=think,
            format=format,
            keep_alive=keep_alive,
        )
        text, thinking = Cleaner(), Cleaner()
        async for line in self._until_done("/api/generate", body):
            done = line.get("done") is True
            yield GenerateChunk(
                text=text(line.get("response"), last=done),
                thinking=thinking(line.get("thinking"), last=done),
                done=done,
                done_reason=_text(line.get("done_reason")) or None,
                counters=_counters(line) if done else None,
                context=tuple(_items(line.get("context"))),
            )

    async def embed(
        self,
        *,
        model: str,
        texts: Sequence[str],
        dimensions: int | None = None,
        singly: bool = False,
        options: Mapping[str, object] | None = None,
        keep_alive: str | int | None = None,
    ) -> Embeddings:
        """Vectors of several texts; a host too old for that, or ``singly``, is asked one by one."""
        said = _given(model=model, options=options, keep_alive=keep_alive)
        if singly:
            return await self._embed_singly(said, texts)
        try:
            body = {**said, **_given(input=list(texts), dimensions=dimensions)}
            answer = await self._call("POST", "/api/embed", body, patient=True)
        except RequestRefused as error:
            if error.status != HTTP_NOT_FOUND or isinstance(error, ModelNotFound):
                raise
            return await self._embed_singly(said, texts)
        vectors = tuple(tuple(vector) for vector in answer.get("embeddings") or ())
        return Embeddings(vectors, _count(answer.get("prompt_eval_count")))

    async def relay(self, path: str, body: Mapping[str, object]) -> AsyncGenerator[Beginning | bytes | Counters, None]:
        """Yield the head of an answer, its bytes as they come, and its figures. Closing the iterator aborts it."""
        # ASCII: half a surrogate pair, which JSON may hold, is no UTF-8.
        content = json.dumps(body).encode()
        async with self._open("POST", path, content, WORK_S, idle_s=WORK_S) as answer:
            kind = answer.headers.get("content-type", "")
            if not PASSED_ON.fullmatch(kind):
                raise UnexpectedAnswer(_start_of(await _bounded(answer, SHORT_ANSWER_S)))
            yield Beginning(kind)
            read = in_lines if "ndjson" in kind else as_one
            async with aclosing(read(answer.aiter_raw())) as pieces:
                async for piece in pieces:
                    yield piece

    async def ask(self, verb: str, path: str, body: Mapping[str, object] | None = None) -> Object:
        """A short answer in the host's own form."""
        return await self._call(verb, path, body)

    async def load(
        self, model: str, *, keep_alive: str | int | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        """Bring a model into memory; a question with other options to load it with would load it anew."""
        body = _given(model=model, keep_alive=keep_alive, options=options, stream=False)
        await self._call("POST", "/api/generate", body, patient=True)

    async def unload(self, model: str) -> None:
        await self.load(model, keep_alive=0)

    # Management

    def pull(self, model: str, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        return self._progress("/api/pull", _named(model, insecure=insecure))

    def push(self, model: str, *, insecure: bool = False) -> AsyncGenerator[Progress, None]:
        return self._progress("/api/push", _named(model, insecure=insecure))

    def create(self, model: str, request: Mapping[str, object]) -> AsyncGenerator[Progress, None]:
        """``request`` has the structured fields and ``modelfile``, so that hosts before and after 0.5.5 understand."""
        return self._progress("/api/create", {**request, **_named(model)})

    async def copy(self, source: str, destination: str) -> None:
        await self._call("POST", "/api/copy", {"source": source, "destination": destination})

    async def delete(self, model: str) -> None:
        await self._call("DELETE", "/api/delete", _named(model))

    async def has_blob(self, digest: str) -> bool:
        async with self._open("HEAD", f"/api/blobs/{digest}", None, SHORT_ANSWER_S) as answer:
            return answer.status_code == HTTP_OK

    async def upload_blob(self, digest: str, content: AsyncIterable[bytes]) -> None:
        limits = {"connect": CONNECT_S, "write": WRITE_S, "head": WORK_S, "read": SHORT_ANSWER_S}
        async with _wire_errors():
            request = self._http.build_request(
                "POST", f"/api/blobs/{digest}", content=content, extensions={"timeout": limits}
            )
            answer = await self._http.send(request, stream=True)
            async with aclosing(answer):
                raw = await _bounded(answer, SHORT_ANSWER_S)
            if not answer.is_success:
                raise _refusal(answer, raw)

    # The wire

    async def _get(self, path: str) -> Object:
        return await self._call("GET", path, None)

    async def _call(self, verb: str, path: str, body: Mapping[str, object] | None, *, patient: bool = False) -> Object:
        """One answer as a whole."""
        limit = self._first_byte_s if patient else SHORT_ANSWER_S
        async with self._open(verb, path, body, limit) as answer:
            raw = await _bounded(answer, limit)
        if not raw:
            return {}
        found = parse(raw)
        if found is None:
            raise UnexpectedAnswer(_start_of(raw))
        if "error" in found:
            raise RequestRefused(error_text(found["error"]), HTTP_OK)
        return found

    async def _until_done(self, path: str, body: Mapping[str, object]) -> AsyncGenerator[Object, None]:
        """The lines of an answer up to the one that says it is done, and never fewer."""
        done = False
        async with self._lines(path, body) as found:
            # Read to the end even after the last line: only then can the connection be used again.
            async for line in found:
                if not done:
                    yield line
                done = done or line.get("done") is True
        if not done:
            raise StreamCut("The answer ended without being done.")

    async def _progress(self, path: str, body: Mapping[str, object]) -> AsyncGenerator[Progress, None]:
        async with self._lines(path, body, idle_s=WORK_S) as found:
            async for line in found:
                yield Progress(
                    status=_text(line.get("status")),
                    digest=_text(line.get("digest")),
                    total=_count(line.get("total")),
                    completed=_count(line.get("completed")),
                )
                if line.get("status") == "success":
                    return
        raise StreamCut("The host ended without saying success.")

    @asynccontextmanager
    async def _lines(
        self, path: str, body: Mapping[str, object], *, idle_s: float | None = None
    ) -> AsyncIterator[AsyncIterator[Object]]:
        """The objects of a streamed answer."""
        async with self._open("POST", path, body, self._first_byte_s, idle_s=idle_s) as answer:
            if "json" not in answer.headers.get("content-type", "json"):
                raise UnexpectedAnswer(_start_of(await _bounded(answer, SHORT_ANSWER_S)))
            async with aclosing(objects(answer.aiter_raw())) as found:
                yield found

    @asynccontextmanager
    async def _open(
        self,
        verb: str,
        path: str,
        body: Mapping[str, object] | bytes | None,
        first_byte_s: float,
        *,
        idle_s: float | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """A response that is not an error. Leaving the block closes the connection unless it was read to its end."""
        limits = {"connect": CONNECT_S, "write": WRITE_S, "head": first_byte_s, "read": idle_s or self._idle_s}
        async with _wire_errors():
            said: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
            request = self._http.build_request(verb, path, extensions={"timeout": limits}, **said)
            answer = await self._http.send(request, stream=True)
            try:
                if answer.status_code != HTTP_OK and verb != "HEAD":
                    raw = await _bounded(answer, SHORT_ANSWER_S)
                    refusal = _refusal(answer, raw)
                    refusal.raw = raw
                    raise refusal
                yield answer
            finally:
                await answer.aclose()

    async def _embed_singly(self, said: Mapping[str, object], texts: Sequence[str]) -> Embeddings:
        vectors = []
        for text in texts:
            answer = await self._call("POST", "/api/embeddings", {**said, "prompt": text}, patient=True)
            vectors.append(_unit(answer.get("embedding") or ()))
        return Embeddings(tuple(vectors))


@asynccontextmanager
async def _wire_errors() -> AsyncIterator[None]:
    """Speak of hosts and answers, not of sockets."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        untrusted = isinstance(error.__cause__, ssl.SSLCertVerificationError)
        raise (HostUntrusted if untrusted else HostUnreachable)(_plain(error)) from error
    except httpx.ReadTimeout as error:
        raise StreamSilent(_plain(error)) from error
    except (httpx.TransportError, httpx.StreamError) as error:
        raise StreamBroken(_plain(error)) from error


async def _bounded(answer: httpx.Response, limit_s: float) -> bytes:
    raw = bytearray()
    try:
        async with asyncio.timeout(limit_s):
            async for chunk in answer.aiter_raw():
                raw += chunk
                if len(raw) > ANSWER_LIMIT:
                    raise UnexpectedAnswer("The answer is too long.")
    except TimeoutError as error:
        raise StreamSilent("The answer did not end.") from error
    return bytes(raw)


def _refusal(answer: httpx.Response, raw: bytes) -> OllamaError:
    """What a status means. A page of HTML comes from some proxy, and says nothing to people."""
    status, found = answer.status_code, parse(raw)
    is_page = found is None and "html" in answer.headers.get("content-type", "")
    message = _message_of(found, "" if is_page else _start_of(raw)) or f"Status {status}."
    if status in HTTP_BUSY:
        return HostBusy(message, _seconds_until(answer.headers.get("retry-after", "")))
    if 300 <= status < 400:  # noqa: PLR2004  redirects are not followed
        return UnexpectedAnswer(f"The host redirects ({status}).")
    kind = _kind_of_refusal(status, message if found else "")
    if is_page and kind is RequestRefused:
        return UnexpectedAnswer(_start_of(raw))
    return kind(message, status)


def _kind_of_refusal(status: int, said: str) -> type[RequestRefused]:
    if status in HTTP_DENIED:
        return AccessDenied
    if status >= HTTP_ERROR:
        return HostFailed
    return ModelNotFound if status == HTTP_NOT_FOUND and "not found" in said else RequestRefused


def _message_of(found: Object | None, otherwise: str) -> str:
    return error_text(found["error"]) if found and "error" in found else otherwise


def _seconds_until(retry_after: str) -> float | None:
    """From the header Retry-After: seconds, or a date."""
    if re.fullmatch(r"[0-9]{1,9}", retry_after):
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
        return max(0.0, at.timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _plain(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _start_of(raw: bytes) -> str:
    return raw[:500].decode("utf-8", "replace")


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _named(model: str, **fields: object) -> dict[str, object]:
    """Old hosts read ``name`` and ignore ``model``, new ones the reverse."""
    return {"model": model, "name": model, "stream": True, **{k: v for k, v in fields.items() if v}}


def _object(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _list(answer: Object, name: str) -> list[Object]:
    return [item for item in _items(answer.get(name)) if isinstance(item, dict)]


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return clean_text(value) if isinstance(value, str) else ""


def _word(value: object) -> str:
    """A name, or another word that a page shows between its own."""
    return one_line(value[:WORD_LIMIT]) if isinstance(value, str) else ""


def _words(value: object) -> tuple[str, ...]:
    return tuple(_word(item) for item in _items(value)[:WORDS_LIMIT] if isinstance(item, str))


def _count(value: object) -> int:
    """A number of bytes, tokens or nanoseconds; nothing for what is none."""
    return max(0, int(value)) if isinstance(value, int | float) and abs(value) < COUNT_LIMIT else 0


def _installed(model: Object) -> InstalledModel:
    details = _object(model.get("details"))
    return InstalledModel(
        name=_word(model.get("name") or model.get("model")),
        digest=_word(model.get("digest")),
        size=_count(model.get("size")),
        modified_at=_text(model.get("modified_at")),
        family=_word(details.get("family")),
        parameter_size=_word(details.get("parameter_size")),
        quantization=_word(details.get("quantization_level")),
        capabilities=_words(model.get("capabilities")),
    )


def _running(model: Object) -> RunningModel:
    return RunningModel(
        name=_word(model.get("name") or model.get("model")),
        digest=_word(model.get("digest")),
        size=_count(model.get("size")),
        size_vram=_count(model.get("size_vram")),
        expires_at=_text(model.get("expires_at")),
        context_length=_count(model.get("context_length")),
    )


def _details(shown: Object) -> ModelDetails:
    info = {key: value for key, value in _object(shown.get("model_info")).items() if "tokenizer" not in key}
    details = _object(shown.get("details"))
    return ModelDetails(
        capabilities=_words(shown.get("capabilities")) or tuple(_derived_capabilities(shown)),
        context_length=_count(next((value for key, value in info.items() if key.endswith(".context_length")), 0)),
        family=_word(details.get("family")),
        parameter_size=_word(details.get("parameter_size")),
        quantization=_word(details.get("quantization_level")),
        template=_text(shown.get("template")),
        parameters=_text(shown.get("parameters")),
        license=_text(shown.get("license")),
        system=_text(shown.get("system")),
        modelfile=_text(shown.get("modelfile")),
        info=info,
    )


def _derived_capabilities(shown: Object) -> list[str]:
    """For hosts before 0.6.4, which do not name them."""
    details = _object(shown.get("details"))
    families = {_text(details.get("family")), *_words(details.get("families"))}
    if families & {"bert", "nomic-bert"}:
        return ["embedding"]
    template = _text(shown.get("template"))
    found = ["completion"]
    found += ["tools"] if re.search(r"\.Tools\b", template) else []
    found += ["insert"] if re.search(r"\.Suffix\b", template) else []
    found += ["vision"] if shown.get("projector_info") or families & {"clip", "mllama"} else []
    return found


def _counters(line: Object) -> Counters:
    def ms(name: str) -> float:
        return _count(line.get(name)) / NANO

    return Counters(
        prompt_tokens=_count(line.get("prompt_eval_count")),
        output_tokens=_count(line.get("eval_count")),
        total_ms=ms("total_duration"),
        load_ms=ms("load_duration"),
        prompt_ms=ms("prompt_eval_duration"),
        output_ms=ms("eval_duration"),
    )


def _unit(vector: Sequence[Any]) -> tuple[float, ...]:
    """Of length 1, as newer hosts send it."""
    length = sum(x * x for x in vector) ** 0.5 or 1.0
    return tuple(x / length for x in vector)
