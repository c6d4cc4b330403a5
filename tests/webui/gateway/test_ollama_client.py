"""Ollama's own client, given the portal's address and a token, hears what the host itself would tell it."""

import asyncio
from functools import partial

import ollama
import pytest
from pydantic import BaseModel

from tests.webui.gateway.test_native import lasting
from webui.practice import PracticeHost

CHAT = [{"role": "user", "content": "什么是茶?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


def weather(days: int) -> str:
    """The weather of the next days.

    Args:
      days: how many
    """
    return f"rain for {days} days"


TOOLS = [{"role": "user", "content": "The weather of the next 3 days"}]
# Everything the client can ask, in an order that makes sense: what is made is there afterwards.
CALLS = {
    "chat": lambda to: to.chat("practice", CHAT),
    "chat, streamed": lambda to: to.chat("practice", CHAT, stream=True),
    "thinking": lambda to: to.chat("practice-thinker", CHAT, think=True, stream=True),
    "an answer after a tool": lambda to: to.chat(
        "practice-tools", [*TOOLS, {"role": "tool", "tool_name": "weather", "content": "rain"}], tools=[weather]
    ),
    "tools": lambda to: to.chat("practice-tools", TOOLS, tools=[weather]),
    "tools, streamed": lambda to: to.chat("practice-tools-early", TOOLS, tools=[weather], stream=True),
    "JSON": lambda to: to.chat("practice", CHAT, format="json"),
    "JSON by a schema": lambda to: to.chat("practice", CHAT, format=SCHEMA),
    "an image": lambda to: to.chat("practice-vision", [{**CHAT[0], "images": [PNG]}]),
    "options": lambda to: to.chat("practice", CHAT, options={"num_predict": 2, "seed": 1, "temperature": 0.0}),
    "log probabilities": lambda to: to.chat("practice", CHAT, logprobs=True, top_logprobs=2),
    "generate": lambda to: to.generate("practice-counting", "to 3", system="Be short."),
    "generate, streamed": lambda to: to.generate("practice-counting", "to 3", stream=True),
    "generate with an image": lambda to: to.generate("practice-vision", "What is it?", images=[PNG]),
    "embed": lambda to: to.embed("practice-embed", ["a", "茶"], dimensions=8),
    "embeddings": lambda to: to.embeddings("practice-embed", "a"),
    "show": lambda to: to.show("practice-thinker"),
    "pull": lambda to: to.pull("practice-small"),
    "pull, streamed": lambda to: to.pull("practice-small", stream=True),
    "push": lambda to: to.push("practice-small", stream=True),
    "create": lambda to: to.create("mine", from_="practice", system="Be brief.", parameters={"temperature": 0.5}),
    "create, streamed": lambda to: to.create("ours", from_="practice", messages=CHAT, license="MIT", stream=True),
    "copy": lambda to: to.copy("mine", "other"),
    "delete": lambda to: to.delete("mine"),
    "what was made": lambda to: to.show("other"),
    "chat with what was made": lambda to: to.chat("ours", CHAT),
    "list": lambda to: to.list(),
    "ps": lambda to: to.ps(),
    "no such model": lambda to: to.chat("nosuch", CHAT),
    "no such model, streamed": lambda to: to.generate("nosuch", "a", stream=True),
    "an error in an answer": lambda to: to.chat("fault-miderr", CHAT, stream=True),
    "an odd break of lines": lambda to: to.chat("fault-nel", CHAT),
    "no embedder": lambda to: to.embed("practice", "a"),
    "no thinker": lambda to: to.chat("practice", CHAT, think=True),
    "pull of nothing known": lambda to: to.pull("nosuch", stream=True),
    "delete of nothing": lambda to: to.delete("nosuch"),
}


# What the client that waits does in its own way.
WAITED_FOR = [
    *("chat", "chat, streamed", "tools, streamed", "generate", "embed", "show", "pull, streamed", "create", "copy"),
    *("delete", "list", "no such model, streamed", "an error in an answer", "delete of nothing"),
]


def heard(answer: BaseModel | list[BaseModel] | ollama.ResponseError) -> object:
    """All of it but times; of the lines about one thing, which may be more or fewer, the last."""
    if isinstance(answer, ollama.ResponseError):
        return answer.status_code, answer.error
    if isinstance(answer, list):
        steps = {(getattr(part, "status", n), getattr(part, "digest", n)): part for n, part in enumerate(answer)}
        return [heard(part) for part in steps.values()]
    found = lasting(answer.model_dump())
    for model in found.get("models", [found]):
        model.pop("modified_at", None)
        if "modelfile" in model:  # without places on the host
            model["modelfile"] = model["modelfile"].partition("FROM ")[0]
    return {**found, "models": sorted(found["models"], key=str)} if "models" in found else found


async def everything(client: ollama.AsyncClient) -> dict[str, object]:
    return {name: heard(await _asked(client, call)) for name, call in CALLS.items()}


async def _asked(client: ollama.AsyncClient, call):
    try:
        answer = await call(client)
        return [part async for part in answer] if hasattr(answer, "__aiter__") else answer
    except ollama.ResponseError as error:
        return error


def things_waited_for(client: ollama.Client) -> dict[str, object]:
    return {name: heard(_asked_at_once(client, CALLS[name])) for name in WAITED_FOR}


def _asked_at_once(client: ollama.Client, call):
    try:
        answer = call(client)
        return list(answer) if hasattr(answer, "__next__") else answer
    except ollama.ResponseError as error:
        return error


@pytest.fixture
def headers(admin_token):
    return {"Authorization": f"Bearer {admin_token}"}


async def test_it_hears_the_same_as_from_the_host(portal, jobs, headers):
    async with PracticeHost(faults=True) as other, ollama.AsyncClient(other.url) as client:
        direct = await everything(client)
    async with ollama.AsyncClient(f"{portal.url}/ollama", headers=headers) as client:
        through = await everything(client)

    assert through == direct
    assert direct["tools"]["message"]["tool_calls"][0]["function"]["arguments"] == {"days": 3}


async def test_the_one_that_waits_hears_the_same_too(portal, jobs, admin_token, monkeypatch):
    """Its token comes from the environment."""
    async with PracticeHost(faults=True) as other:
        direct = await asyncio.to_thread(with_client, other.url)
    monkeypatch.setenv("OLLAMA_API_KEY", admin_token)

    assert await asyncio.to_thread(with_client, portal.url) == direct


def with_client(url: str) -> dict[str, object]:
    with ollama.Client(url) as client:
        return things_waited_for(client)


async def test_it_uploads_a_file_and_makes_a_model_of_it(portal, jobs, practice, headers, tmp_path):
    file = tmp_path / "a.gguf"
    file.write_bytes(b"GGUF" + b"\0" * 1_000_000)
    async with ollama.AsyncClient(portal.url, headers=headers) as client:
        digests = [await client.create_blob(file) for _ in range(2)]
        made = await client.create("mine", files={"a.gguf": digests[0]}, quantize="Q8_0")
        answer = await client.chat("mine", CHAT)
    with ollama.Client(portal.url, headers=headers) as client:
        digests.append(await asyncio.to_thread(partial(client.create_blob, file)))

    assert (made.status, answer.done, len(set(digests))) == ("success", True, 1)


async def test_it_sees_a_pull_go_on(portal, jobs, practice, headers):
    async with asyncio.timeout(10), ollama.AsyncClient(portal.url, headers=headers) as client:
        steps = [step async for step in await client.pull("practice-small", stream=True)]

    assert steps[0].status == "pulling manifest"
    assert any(step.completed == step.total == 12_075_136 for step in steps)
    assert steps[-1].status == "success"


async def test_a_member_who_manages_is_told_that_they_may_not(portal, token):
    async with ollama.AsyncClient(portal.url, headers={"Authorization": f"Bearer {token}"}) as client:
        with pytest.raises(ollama.ResponseError) as raised:
            await client.pull("practice-small")

    assert (raised.value.status_code, raised.value.error) == (403, "this token may not manage models")
