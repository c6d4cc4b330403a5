"""OpenAI's endpoints, as Ollama has them: a request becomes one of ``/api``, and its answer is put in other words."""

import base64
import json
import random
import struct
import time
from collections.abc import Coroutine, Iterable, Iterator
from datetime import datetime
from typing import Any

from .library import BAD_REQUEST, NOT_FOUND, Refusal
from .models import PracticeModel
from .wire import JSON, Line, dumps

Object = dict[str, Any]

MODELS = "/v1/models/"
EVENTS, PLAIN_JSON = "text/event-stream", "application/json"
EFFORTS = {"none": False, "minimal": "low", "xhigh": "max", "ultra": "max"} | {
    level: level for level in ("low", "medium", "high", "max")
}
IMAGES = ("data:;base64,", *(f"data:image/{kind};base64," for kind in ("jpeg", "jpg", "png", "webp")))
FLOATS = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
OPTIONS = {"max_tokens": "num_predict", "seed": "seed"} | {name: name for name in FLOATS}
NUMBERS = {"max_tokens": "int", "seed": "int"} | dict.fromkeys(FLOATS, "float64")


class OpenAILine(Line):
    """The same connection, on which an answer leaves in OpenAI's form. Without ``form`` there is nothing but errors."""

    def __init__(self, line: Line) -> None:
        super().__init__(line.reader, line.writer)
        self.form: Form | None = None
        self._line = line

    async def while_present(self, work: Coroutine[Any, Any, None]) -> None:
        await self._line.while_present(work)

    async def json(self, value: Any, status: int = 200, content_type: str = JSON) -> None:
        """An error that is found before the request is handed on has another type, and no end of its line."""
        if self.form is None:
            await self.answer(status, dumps(_error(value["error"], status)), JSON)
        elif status >= BAD_REQUEST:
            await self.answer(status, dumps(_error(value["error"], status)) + b"\n", PLAIN_JSON)
        elif self.form.streams:
            await self.begin_stream()
            await self.object(value)
            await self.end_stream()
        else:
            await self.answer(status, dumps(self.form.whole(value)) + b"\n", PLAIN_JSON)

    async def begin_stream(self, content_type: str = EVENTS) -> None:
        await super().begin_stream(EVENTS)

    async def object(self, value: Any) -> None:
        assert self.form  # noqa: S101  the handler sets it before there is anything to say
        for event in self.form.events(value):
            await self.chunk(b"data: " + dumps(event) + b"\n\n")
        if value.get("done"):
            await self.chunk(b"data: [DONE]\n\n")


class Form:
    """How the objects of one answer look."""

    prefix = ""

    def __init__(self, body: Object) -> None:
        self.body = body
        self.streams = body.get("stream") is True
        self.tells_usage = (body.get("stream_options") or {}).get("include_usage") is True
        self.id = f"{self.prefix}-{random.randrange(999)}"  # noqa: S311  a name, not a secret

    def whole(self, value: Object) -> Object:
        raise NotImplementedError

    def events(self, value: Object) -> Iterator[Object]:
        """What one object says, in several where OpenAI wants it apart. An error in an answer says nothing."""
        raise NotImplementedError


class Chat(Form):
    prefix = "chatcmpl"

    def __init__(self, body: Object) -> None:
        super().__init__(body)
        self._created = 0
        self._has_begun = False
        self._calls = False

    def whole(self, value: Object) -> Object:
        message = {"role": "assistant", "content": value["message"]["content"], **_reasoning(value), **_calls(value)}
        reason = "tool_calls" if _calls(value) else value.get("done_reason")
        choice = {"index": 0, "message": message, "finish_reason": reason, **_logprobs(value)}
        head = self._head("chat.completion", _seconds(value["created_at"]), value)
        return {**head, "choices": [choice], "usage": _usage(value)}

    def events(self, value: Object) -> Iterator[Object]:
        self._created = self._created or _seconds(value["created_at"])
        head = self._head("chat.completion.chunk", self._created, value)
        said = value.get("message") or {}
        if not self._has_begun or said.get("content") or said.get("thinking") or _calls(value):
            role = {} if self._has_begun else {"role": "assistant"}
            delta = {**role, "content": said.get("content", ""), **_reasoning(value), **_calls(value)}
            yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None, **_logprobs(value)}]}
            self._has_begun = True
            self._calls = self._calls or bool(_calls(value))
        if value.get("done"):
            reason = "tool_calls" if self._calls else value.get("done_reason") or "stop"
            yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
            if self.tells_usage:
                yield {**head, "choices": [], "usage": _usage(value)}

    def _head(self, kind: str, created: int, value: Object) -> Object:
        model = {"model": value.get("model", ""), "system_fingerprint": "fp_ollama"}
        return {"id": self.id, "object": kind, "created": created, **model}


class Completion(Form):
    prefix = "cmpl"

    def whole(self, value: Object) -> Object:
        head = {"id": self.id, "object": "text_completion", "created": _seconds(value["created_at"])}
        model = {"model": value["model"], "system_fingerprint": "fp_ollama"}
        return {**head, **model, "choices": [self._choice(value)], "usage": _usage(value)}

    def events(self, value: Object) -> Iterator[Object]:
        head = {"id": self.id, "object": "text_completion", "created": int(time.time())}
        model = {"model": value.get("model", ""), "system_fingerprint": "fp_ollama"}
        usage = {"usage": _usage({})} if self.tells_usage else {}
        yield {**head, "choices": [self._choice(value)], **model, **usage}
        if value.get("done") and self.tells_usage:
            yield {**head, "choices": [], **model, "usage": _usage(value)}

    def _choice(self, value: Object) -> Object:
        return {"text": value.get("response", ""), "index": 0, "finish_reason": value.get("done_reason")}


class Vectors(Form):
    def whole(self, value: Object) -> Object:
        encoding = self.body.get("encoding_format")
        data = [
            {"object": "embedding", "embedding": _encoded(vector, encoding), "index": index}
            for index, vector in enumerate(value["embeddings"])
        ]
        read = value.get("prompt_eval_count", 0)
        usage = {"prompt_tokens": read, "total_tokens": read}
        return {"object": "list", "data": data, "model": self.body.get("model", ""), "usage": usage}


class Same(Form):
    """What is in that form already, or is only refused."""

    def whole(self, value: Object) -> Object:
        return value


# Requests


def chat_body(body: Object) -> Object:
    """What it asks of ``/api/chat``. Raises Refusal."""
    _check_types(body, "ChatCompletionRequest")
    if not isinstance(body.get("messages") or [], list):
        raise Refusal(_mismatch(body["messages"], "ChatCompletionRequest.messages", "[]openai.Message"), BAD_REQUEST)
    if not body.get("messages"):
        raise Refusal("[] is too short - 'messages'", BAD_REQUEST)
    effort = (body.get("reasoning") or {}).get("effort") or body.get("reasoning_effort")
    if effort and effort not in EFFORTS:
        wanted = ", ".join(f'"{word}"' for word in ("minimal", "low", "medium", "high", "xhigh", "ultra", "max"))
        raise Refusal(f'invalid reasoning value: "{effort}" (must be {wanted}, or "none")', BAD_REQUEST)
    return {
        **_asked(body),
        "messages": [one for message in body["messages"] for one in _messages(message, body["messages"])],
        "tools": body.get("tools"),
        "format": _format(body.get("response_format") or {}),
        "think": EFFORTS[effort] if effort else None,
        "logprobs": body.get("logprobs"),
        "top_logprobs": body.get("top_logprobs"),
    }


def completion_body(body: Object) -> Object:
    """What it asks of ``/api/generate``. Raises Refusal."""
    _check_types(body, "CompletionRequest")
    if not isinstance(body.get("prompt") or "", str):
        raise Refusal(_mismatch(body["prompt"], "CompletionRequest.prompt", "string"), BAD_REQUEST)
    return {**_asked(body), "prompt": body.get("prompt"), "suffix": body.get("suffix")}


def embed_body(body: Object) -> Object:
    """What it asks of ``/api/embed``. Raises Refusal."""
    kind = body.get("encoding_format") or "float"
    if kind.lower() not in {"float", "base64"}:
        words = f"Invalid value for 'encoding_format' = {kind}. Supported values: ['float', 'base64']."
        raise Refusal(words, BAD_REQUEST)
    if body.get("input") in (None, []):
        raise Refusal("invalid input", BAD_REQUEST)
    return {"model": body.get("model"), "input": body["input"] or [""], "dimensions": body.get("dimensions")}


def _asked(body: Object) -> Object:
    stop = body.get("stop")
    options = {OPTIONS[name]: body[name] for name in OPTIONS if body.get(name) is not None}
    stops = {"stop": [stop] if isinstance(stop, str) else stop} if stop is not None else {}
    otherwise = {"temperature": 1.0, "top_p": 1.0}
    return {
        "model": body.get("model"),
        "stream": body.get("stream") is True,
        "options": otherwise | options | stops,
    }


def _messages(message: Object, of: list[Object]) -> Iterator[Object]:
    """Each part of a content becomes a message of its own."""
    role, content = message.get("role", ""), message.get("content")
    calls = {"tool_calls": [_call(call) for call in message["tool_calls"]]} if message.get("tool_calls") else {}
    result = {"tool_name": message.get("name") or _name_of(message.get("tool_call_id"), of)} if role == "tool" else {}
    if isinstance(content, str) or (content is None and calls):
        yield {"role": role, "content": content or "", **calls, **result}
    elif isinstance(content, list):
        for part in content:
            yield {"role": role, **_part(part)}
    else:
        raise Refusal(f"invalid message content type: {_go_type(content)}", BAD_REQUEST)


def _part(part: Object) -> Object:
    if part.get("type") == "text":
        return {"content": part["text"]}
    if part.get("type") != "image_url":
        raise Refusal("invalid message format", BAD_REQUEST)
    url = part["image_url"] if isinstance(part["image_url"], str) else part["image_url"]["url"]
    if url.startswith(("http://", "https://")):
        words = "image URLs are not currently supported, please use base64 encoded data instead"
        raise Refusal(words, BAD_REQUEST)
    beginning = next(filter(url.startswith, IMAGES), None)
    if beginning is None:
        raise Refusal("invalid image input", BAD_REQUEST)
    return {"content": "", "images": [url.removeprefix(beginning)]}


def _call(call: Object) -> Object:
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"])
    except ValueError as error:
        raise Refusal("invalid tool call arguments", BAD_REQUEST) from error
    return {"id": call.get("id"), "function": {"name": function["name"], "arguments": arguments}}


def _name_of(identity: object, messages: list[Object]) -> str:
    calls = [call for message in messages for call in message.get("tool_calls") or []]
    return next((call["function"]["name"] for call in reversed(calls) if call["id"] == identity), "")


def _format(wanted: Object) -> Any:
    return {"json_object": "json", "json_schema": (wanted.get("json_schema") or {}).get("schema")}.get(
        str(wanted.get("type"))
    )


def _check_types(body: Object, struct_name: str) -> None:
    for name, kind in NUMBERS.items():
        value = body.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise Refusal(_mismatch(value, f"{struct_name}.{name}", kind), BAD_REQUEST)


def _mismatch(value: object, field: str, wanted: str) -> str:
    kinds = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    return f"json: cannot unmarshal {kinds[type(value)]} into Go struct field {field} of type {wanted}"


def _go_type(value: object) -> str:
    return {bool: "bool", int: "float64", float: "float64"}.get(type(value), "<nil>")


# Answers


def _error(words: str, status: int) -> Object:
    kind = {BAD_REQUEST: "invalid_request_error", NOT_FOUND: "not_found_error"}.get(status, "api_error")
    return {"error": {"message": words, "type": kind, "param": None, "code": None}}


def as_models(models: Iterable[PracticeModel]) -> Object:
    return {"object": "list", "data": [as_model(model.name, model) for model in models]}


def as_model(name: str, model: PracticeModel) -> Object:
    """``name`` as it was asked for."""
    namespace = name.rpartition("/")[0].rpartition("/")[2] or "library"
    return {"id": name, "object": "model", "created": _seconds(model.modified), "owned_by": namespace}


def _encoded(vector: list[float], encoding: object) -> list[float] | str:
    is_base64 = str(encoding).lower() == "base64"
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if is_base64 else vector


def _reasoning(value: Object) -> Object:
    thinking = (value.get("message") or {}).get("thinking")
    return {"reasoning": thinking} if thinking else {}


def _calls(value: Object) -> Object:
    found = (value.get("message") or {}).get("tool_calls") or []
    calls = [
        {
            "id": call["id"],
            "index": call["function"]["index"],
            "type": "function",
            "function": {
                "name": call["function"]["name"],
                "arguments": dumps(call["function"]["arguments"]).decode(),
            },
        }
        for call in found
    ]
    return {"tool_calls": calls} if calls else {}


def _logprobs(value: Object) -> Object:
    return {"logprobs": {"content": value["logprobs"]}} if value.get("logprobs") else {}


def _usage(value: Object) -> Object:
    read, written = value.get("prompt_eval_count", 0), value.get("eval_count", 0)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _seconds(time_in_words: str) -> int:
    return int(datetime.fromisoformat(time_in_words).timestamp())
