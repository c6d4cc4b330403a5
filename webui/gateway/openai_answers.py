"""Answers of hosts in OpenAI's words, while they come."""

import base64
import json
import random
import re
import struct
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol

from webui.gateway.bodies import Object
from webui.gateway.call import EVENTS
from webui.ollama import Counters, LineTooLong, UnexpectedAnswer
from webui.ollama.names import DEFAULT_NAMESPACE
from webui.ollama.stream import LINE_LIMIT, parse

JSON = "application/json"  # as hosts say it here
DONE = b"data: [DONE]\n\n"
VECTOR_LIMIT = 1024 * 1024  # of 16,000 numbers or more
ODD = "The answer is not in Ollama's form."
NUMBER = rb"\s*-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\s*"
FIRST = re.compile(rb'\s*\{.*?"embeddings"\s*:\s*\[\s*', re.DOTALL)
VECTOR = re.compile(rb",?\s*\[(" + NUMBER + rb"(?:," + NUMBER + rb")*)\]\s*")
LAST = re.compile(rb"\s*\]")


class Form(Protocol):
    """How an answer is put: what of it is said after some more of the host's bytes, and at the end."""

    content_type: str

    def take(self, content: bytes) -> bytes: ...

    def end(self, figures: Counters) -> bytes: ...


def chat(body: Object) -> Form:
    return ChatEvents(body) if body.get("stream") else Whole(body, _chat_in_one)


def completion(body: Object) -> Form:
    return CompletionEvents(body) if body.get("stream") else Whole(body, _completion_in_one)


def vectors(body: Object) -> Form:
    return Vectors(body)


def model(name: str, found: Object) -> Object:
    """A model of a list of Ollama's, under the name by which it was asked for."""
    namespace = name.rpartition("/")[0].rpartition("/")[2] or DEFAULT_NAMESPACE
    return {"id": name, "object": "model", "created": _seconds(found.get("modified_at")), "owned_by": namespace}


# In one object


class Whole:
    content_type = JSON

    def __init__(self, body: Object, put: Callable[[Object, Object, Counters], Object]) -> None:
        self._body = body
        self._put = put
        self._said = bytearray()

    def take(self, content: bytes) -> bytes:
        self._said += content
        if len(self._said) > LINE_LIMIT:
            raise LineTooLong("The answer is too long.")
        return b""

    def end(self, figures: Counters) -> bytes:
        value = parse(bytes(self._said))
        if value is None:
            raise UnexpectedAnswer(ODD)
        return json.dumps(self._put(self._body, value, figures)).encode()


def _chat_in_one(body: Object, value: Object, figures: Counters) -> Object:
    said, calls = _object(value.get("message")), _calls(value)
    message = {"role": said.get("role", "assistant"), "content": said.get("content", ""), **_reasoning(value), **calls}
    choice = {"index": 0, "message": message, "finish_reason": _reason(value, calls), **_logprobs(value)}
    return {**_head("chatcmpl", "chat.completion", body), "choices": [choice], "usage": _usage(figures)}


def _completion_in_one(body: Object, value: Object, figures: Counters) -> Object:
    choice = {"text": value.get("response", ""), "index": 0, "finish_reason": value.get("done_reason")}
    return {**_head("cmpl", "text_completion", body), "choices": [choice], "usage": _usage(figures)}


# In events


class Events:
    """Of every line of the host one event, sometimes more; ``head`` is what they have in common."""

    content_type = EVENTS

    def __init__(self, body: Object, head: Object) -> None:
        self._head = json.dumps(head)[1:-1]
        self._tells_usage = _object(body.get("stream_options")).get("include_usage") is True
        self._rest = b""

    def take(self, content: bytes) -> bytes:
        *lines, self._rest = (self._rest + content).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            raise LineTooLong("A line of the answer is too long.")
        return b"".join(map(self._line, lines))

    def end(self, figures: Counters) -> bytes:
        usage = self._event([], usage=_usage(figures)) if self._tells_usage else b""
        return (self._line(self._rest) if self._rest else b"") + usage + DONE

    def _line(self, line: bytes) -> bytes:
        value = parse(line)
        if value is None:
            raise UnexpectedAnswer(ODD)
        return b"".join(self._events(value))

    def _events(self, value: Object) -> Iterator[bytes]:
        raise NotImplementedError

    def _event(self, choices: list[Object], **more: object) -> bytes:
        rest = json.dumps({"choices": choices, **more})[1:-1]
        return f"data: {{{self._head}, {rest}}}\n\n".encode()


class ChatEvents(Events):
    def __init__(self, body: Object) -> None:
        super().__init__(body, _head("chatcmpl", "chat.completion.chunk", body))
        self._role: Object = {"role": "assistant"}  # of the first event alone
        self._calls: Object = {}

    def _events(self, value: Object) -> Iterator[bytes]:
        text, thought, calls = _object(value.get("message")).get("content"), _reasoning(value), _calls(value)
        said = {"content": text or "", **calls}
        if thought and (text or calls):  # OpenAI's scripts do not look for both in one
            yield self._choice(thought, **_logprobs(value))
            yield self._choice(said)
        elif thought or text or calls or self._role or value.get("logprobs") or not value.get("done"):
            yield self._choice({"content": text or "", **thought, **calls}, **_logprobs(value))
        self._calls = self._calls or calls
        if value.get("done"):
            yield self._event([{"index": 0, "delta": {}, "finish_reason": _reason(value, self._calls) or "stop"}])

    def _choice(self, delta: Object, **more: object) -> bytes:
        role, self._role = self._role, {}
        return self._event([{"index": 0, "delta": {**role, **delta}, "finish_reason": None, **more}])


class CompletionEvents(Events):
    def __init__(self, body: Object) -> None:
        super().__init__(body, _head("cmpl", "text_completion", body))

    def _events(self, value: Object) -> Iterator[bytes]:
        choice = {"text": value.get("response", ""), "index": 0, "finish_reason": value.get("done_reason")}
        yield self._event([choice], **({"usage": _usage(Counters())} if self._tells_usage else {}))


# Vectors


class Vectors:
    """One after the other as they come: many texts have many megabytes of them."""

    content_type = JSON

    def __init__(self, body: Object) -> None:
        self._model = body.get("model", "")
        self._put = _in_base64 if str(body.get("encoding_format")).lower() == "base64" else _in_a_list
        self._rest = b""
        self._count = 0
        self._in_list, self._is_whole = False, False

    def take(self, content: bytes) -> bytes:
        self._rest += content
        at = self._begin() if not self._in_list else 0
        said = []
        while self._in_list and not self._is_whole and (found := VECTOR.match(self._rest, at)):
            said.append(self._vector(found[1]))
            at = found.end()
        self._is_whole = self._is_whole or (self._in_list and LAST.match(self._rest, at) is not None)
        self._rest = self._rest[at:]
        if len(self._rest) > VECTOR_LIMIT:
            raise LineTooLong("A vector is too long.")
        return b"".join(said)

    def end(self, figures: Counters) -> bytes:
        if not self._is_whole:
            raise UnexpectedAnswer(ODD)
        usage = {"prompt_tokens": figures.prompt_tokens, "total_tokens": figures.prompt_tokens}
        rest = json.dumps({"model": self._model, "usage": usage})[1:-1]
        return (b"" if self._count else BEFORE_VECTORS) + f"], {rest}}}".encode()

    def _begin(self) -> int:
        found = FIRST.match(self._rest)
        self._in_list = found is not None
        return found.end() if found else 0

    def _vector(self, numbers: bytes) -> bytes:
        before = b", " if self._count else BEFORE_VECTORS
        index, self._count = self._count, self._count + 1
        return before + b'{"object": "embedding", "embedding": %b, "index": %d}' % (self._put(numbers), index)


BEFORE_VECTORS = b'{"object": "list", "data": ['


def _in_a_list(numbers: bytes) -> bytes:
    return b"[" + numbers + b"]"


def _in_base64(numbers: bytes) -> bytes:
    values = [float(number) for number in numbers.split(b",")]
    try:
        return b'"' + base64.b64encode(struct.pack(f"<{len(values)}f", *values)) + b'"'
    except OverflowError as error:  # no host has such large numbers
        raise UnexpectedAnswer(ODD) from error


# Parts of an answer


def _head(beginning: str, kind: str, body: Object) -> Object:
    return {
        "id": f"{beginning}-{random.randrange(10**9)}",  # noqa: S311  a name, not a secret
        "object": kind,
        "created": int(time.time()),
        "model": body.get("model", ""),
        "system_fingerprint": "fp_ollama",
    }


def _usage(figures: Counters) -> Object:
    read, written = figures.prompt_tokens, figures.output_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _reason(value: Object, calls: Object) -> object:
    reason = value.get("done_reason")
    return "tool_calls" if calls and reason == "stop" else reason


def _reasoning(value: Object) -> Object:
    thinking = _object(value.get("message")).get("thinking")
    return {"reasoning": thinking} if thinking else {}


def _calls(value: Object) -> Object:
    found = _object(value.get("message")).get("tool_calls")
    calls = [_call(_object(call)) for call in found] if isinstance(found, list) else []
    return {"tool_calls": calls} if calls else {}


def _call(call: Object) -> Object:
    function = _object(call.get("function"))
    arguments = json.dumps(function.get("arguments", {}), ensure_ascii=False, separators=(",", ":"))
    return {
        "id": call.get("id", ""),
        "index": function.get("index", 0),
        "type": "function",
        "function": {"name": function.get("name", ""), "arguments": arguments},
    }


def _logprobs(value: Object) -> Object:
    return {"logprobs": {"content": value["logprobs"]}} if value.get("logprobs") else {}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _seconds(time_in_words: object) -> int:
    try:
        return int(datetime.fromisoformat(str(time_in_words)).timestamp())
    except (ValueError, OverflowError):
        return 0
