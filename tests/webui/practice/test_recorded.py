"""Answers recorded from a running Ollama, and the same requests to the practice host."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .test_protocol import WEATHER, chat

RECORDED = Path(__file__).parent / "recorded"
VARYING = {"load_duration", "context"}  # absent where zero
ONE = {"num_predict": 1}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
BASE64 = {"encoding_format": "base64", "dimensions": 3}
FROM_THE_WEB = {
    "role": "user",
    "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}],
}
REQUESTS: dict[str, tuple[str, str, object]] = {
    "chat_load": ("POST", "/api/chat", {"model": "practice"}),
    "chat_logprobs": ("POST", "/api/chat", chat(logprobs=True, top_logprobs=1, options=ONE)),
    "chat_nostream": ("POST", "/api/chat", chat(stream=False)),
    "chat_stream": ("POST", "/api/chat", chat(options={"num_predict": 4})),
    "chat_think": ("POST", "/api/chat", chat("practice-thinker", options=ONE)),
    "chat_tools_native": ("POST", "/api/chat", chat("practice-tools", tools=[WEATHER])),
    "chat_tools_parser": ("POST", "/api/chat", chat("practice-tools-early", tools=[WEATHER])),
    "copy": ("POST", "/api/copy", {"source": "practice", "destination": "mine"}),
    "create_from": ("POST", "/api/create", {"model": "mine", "from": "practice", "system": "Be brief."}),
    "delete404": ("DELETE", "/api/delete", {"model": "nosuch"}),
    "embed": ("POST", "/api/embed", {"model": "practice-embed", "input": ["a", "b"]}),
    "embeddings": ("POST", "/api/embeddings", {"model": "practice-embed", "prompt": ""}),
    "err_405": ("GET", "/api/chat", None),
    "err_chat404": ("POST", "/api/chat", chat("nosuch")),
    "err_option": ("POST", "/api/chat", chat(options={"num_ctx": "x"})),
    "gen_stream": ("POST", "/api/generate", {"model": "practice", "prompt": "Why?", "options": {"num_predict": 2}}),
    "gen_unload": ("POST", "/api/generate", {"model": "practice", "keep_alive": 0}),
    "ps": ("GET", "/api/ps", None),
    "show404": ("POST", "/api/show", {"model": "nosuch"}),
    "v1_chat": ("POST", "/v1/chat/completions", chat()),
    "v1_chat_think": ("POST", "/v1/chat/completions", chat("practice-thinker")),
    "v1_completion": ("POST", "/v1/completions", {"model": "practice", "prompt": "Why?", "max_tokens": 2}),
    "v1_completion_stream": ("POST", "/v1/completions", {"model": "practice", "prompt": "Why?", **USAGE}),
    "v1_embeddings": ("POST", "/v1/embeddings", {"model": "practice-embed", "input": ["a", "b"]}),
    "v1_embeddings_base64": ("POST", "/v1/embeddings", {"model": "practice-embed", "input": "a", **BASE64}),
    "v1_err_405": ("GET", "/v1/chat/completions", None),
    "v1_err_embed404": ("POST", "/v1/embeddings", {"model": "nosuch", "input": "a"}),
    "v1_err_image": ("POST", "/v1/chat/completions", {"model": "practice", "messages": [FROM_THE_WEB]}),
    "v1_err_messages": ("POST", "/v1/chat/completions", {"model": "practice", "messages": []}),
    "v1_err_model404": ("POST", "/v1/chat/completions", chat("nosuch")),
    "v1_err_type": ("POST", "/v1/chat/completions", chat(temperature="x")),
    "v1_model": ("GET", "/v1/models/practice", None),
    "v1_models": ("GET", "/v1/models", None),
    "v1_stream": ("POST", "/v1/chat/completions", chat(max_tokens=1, **USAGE)),
}
NOTHING_OF_THE_MODEL = [
    *("delete404", "embeddings", "err_405", "err_chat404", "err_option", "show404"),
    *(name for name in REQUESTS if name.startswith("v1_err")),
]


@dataclass(frozen=True)
class Recorded:
    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def read(cls, name: str) -> "Recorded":
        head, _, body = (RECORDED / f"{name}.http").read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
        first, *rest = head.decode().splitlines()
        headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in rest)}
        return cls(int(first.split()[1]), headers, body)


@pytest.mark.parametrize("name", REQUESTS)
async def test_status_and_headers_are_those_recorded(send, name):
    recorded, answer = Recorded.read(name), await send(*REQUESTS[name])
    assert answer.status == recorded.status
    assert answer.headers.keys() == recorded.headers.keys()
    for header in ("content-type", "transfer-encoding", "allow"):
        assert answer.headers.get(header) == recorded.headers.get(header)


@pytest.mark.parametrize("host_name", ["ollama", "example.com:11434", "8.8.8.8"])
async def test_a_name_that_leads_elsewhere_is_refused_as_recorded(send, host_name):
    recorded, answer = Recorded.read("err_host"), await send("GET", "/api/tags", Host=host_name)
    assert (answer.status, answer.body) == (recorded.status, b"")
    assert answer.headers.keys() == recorded.headers.keys()


@pytest.mark.parametrize("name", sorted(REQUESTS.keys() - {"copy", "err_405", "v1_err_405"}))
async def test_the_keys_and_their_order_are_those_recorded(send, name):
    await send("POST", "/api/chat", {"model": "practice"})
    recorded, answer = Recorded.read(name), await send(*REQUESTS[name])
    assert shapes(answer.body) == shapes(recorded.body)


@pytest.mark.parametrize("name", NOTHING_OF_THE_MODEL)
async def test_answers_without_anything_of_the_model_are_those_recorded(send, name):
    recorded, answer = Recorded.read(name), await send(*REQUESTS[name])
    assert answer.body.removesuffix(b"\n") == recorded.body.removesuffix(b"\n")


def shapes(body: bytes) -> list[Any]:
    """The kinds of lines in the order in which they come, however many there are of each."""
    lines = [line.removeprefix(b"data: ") for line in body.splitlines() if line]
    found = [line if line == b"[DONE]" else shape(json.loads(line)) for line in lines]
    return [kind for at, kind in enumerate(found) if kind not in found[:at]]


def shape(value: Any) -> Any:
    """The keys of an object in their order; of a list, those of its first item; arguments are what a tool takes."""
    if isinstance(value, dict):
        return [
            (key, None if key == "arguments" else shape(inner)) for key, inner in value.items() if key not in VARYING
        ]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__
