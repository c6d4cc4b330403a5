"""OpenAI's endpoints: its own client, and the same answers as from the host's own ``/v1``."""

import asyncio
import json
import time

import openai
import pytest
from asgiref.sync import sync_to_async

from tests.webui.gateway.conftest import token_for
from tests.webui.practice.wire import ask, connection, read_chunk, read_head, request_bytes
from webui.accounts import tokens
from webui.gateway import openai_asked
from webui.gateway.refusals import Refused
from webui.inference.models import ModelAccess, ModelPolicy, Usage

MESSAGES = [{"role": "user", "content": "什么是茶?"}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"days": {"type": "integer"}}}},
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
SEEN = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "tea", "schema": {"type": "object"}}}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
CALLED = [
    {"role": "user", "content": "The weather of the next 3 days"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"days": 3}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
]


def chat(model="practice", **more):
    return "POST", "/v1/chat/completions", {"model": model, "messages": MESSAGES, **more}


def completion(**more):
    return "POST", "/v1/completions", {"model": "practice", "prompt": "Why?", **more}


def vectors(**more):
    return "POST", "/v1/embeddings", {"model": "practice-embed", "input": ["a", "茶"], **more}


def lasting(found):
    """All of an answer but names and times that are made for it."""
    if isinstance(found, dict):
        return {name: lasting(value) for name, value in found.items() if name not in {"id", "created"}}
    return [lasting(value) for value in found] if isinstance(found, list) else found


def content_of(answer):
    """What an answer says, in one object or in events."""
    said = [line.removeprefix(b"data: ") for line in answer.body.split(b"\n") if line]
    return [line if line == b"[DONE]" else lasting(json.loads(line)) for line in said]


ASKED = {
    "chat": chat(),
    "chat in events": chat(stream=True),
    "chat with usage": chat(**USAGE),
    "thinking": chat("practice-thinker", **USAGE),
    "thinking at once": chat("practice-thinker"),
    "no thinking": chat("practice-thinker", reasoning_effort="none"),
    "cut short": chat(max_tokens=2, **USAGE),
    "a stop": chat(stop="。"),
    "stops": chat(stop=["。", "x"], seed=1, temperature=0.5, top_p=0.5, presence_penalty=1, frequency_penalty=1),
    "logprobs": chat(logprobs=True, top_logprobs=1, max_tokens=2),
    "logprobs in events": chat(logprobs=True, top_logprobs=1, max_tokens=2, stream=True),
    "an image": chat("practice-vision", messages=SEEN),
    "json": chat(response_format={"type": "json_object"}),
    "a schema": chat(response_format=SCHEMA),
    "what a tool said": chat("practice-tools", messages=CALLED, tools=[WEATHER]),
    "a name in capitals": chat(" PRACTICE:latest"),
    "keys in capitals": ("POST", "/v1/chat/completions", {"MODEL": "practice", "Messages": MESSAGES}),
    "odd breaks of lines": chat("fault-nel"),
    "completion": completion(),
    "completion in events": completion(stream=True),
    "completion with usage": completion(max_tokens=2, **USAGE),
    "completion of nothing": completion(prompt="", stream=True),
    "vectors": vectors(),
    "vectors in base64": vectors(encoding_format="base64", dimensions=8),
    "a vector": vectors(input="a"),
    "a vector of nothing": vectors(input=""),
    "a model": ("GET", "/v1/models/practice", None),
    "no model": ("POST", "/v1/chat/completions", {"messages": MESSAGES}),
    "no model to complete": ("POST", "/v1/completions", {"prompt": "a"}),
    "no model to embed": ("POST", "/v1/embeddings", {"input": "a"}),
    "an unknown model": chat("nosuch"),
    "an unknown model in events": chat("nosuch", stream=True),
    "an unknown model to complete": completion(model="nosuch"),
    "an unknown model to embed": vectors(model="nosuch"),
    "an unknown model to look at": ("GET", "/v1/models/nosuch", None),
    "no messages": chat(messages=[]),
    "odd messages": chat(messages="x"),
    "a number for a content": chat(messages=[{"role": "user", "content": 5}]),
    "a text for a number": chat(temperature="hot"),
    "a text for a prompt": completion(prompt=["a"]),
    "an image of the web": chat(
        messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}]}]
    ),
    "no image": chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
    "an odd part": chat(messages=[{"role": "user", "content": [{"type": "video"}]}]),
    "an odd effort": chat(reasoning_effort="lots"),
    "an odd encoding": vectors(encoding_format="hex"),
    "no input": vectors(input=[]),
    "an odd input": vectors(input=5),
    "no thinker": chat(reasoning_effort="high"),
    "no tools": chat(tools=[WEATHER]),
    "no embedder": vectors(model="practice"),
    "no chatter": chat("practice-embed"),
    "half": ("POST", "/v1/chat/completions", b'{"model": "practice", "messages": ['),
    "no json": ("POST", "/v1/completions", b"hello"),
    "no such address": ("GET", "/v1/nothing", None),
    "no such verb": ("GET", "/v1/chat/completions", None),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_the_gateway_answers_as_the_host_does(portal, practice, token, asked):
    direct, through = await ask(practice.url, *asked), await portal.ask(*asked, token=token)

    assert through.status == direct.status
    assert through.headers["content-type"].partition(";")[0] == direct.headers["content-type"].partition(";")[0]
    if direct.headers["content-type"] != "text/plain":
        assert content_of(through) == content_of(direct)
    else:
        assert through.body == direct.body


@pytest.mark.parametrize("effort", [["high"], {"a": 1}, 5, True])
def test_an_effort_that_is_no_word_is_refused(effort):
    with pytest.raises(Refused) as refused:
        openai_asked.chat({"model": "practice", "messages": MESSAGES, "reasoning": {"effort": effort}})
    assert refused.value.status == 400


def test_a_long_conversation_with_tools_is_soon_read():
    """S48. Nobody else is answered meanwhile."""
    results = [{"role": "tool", "tool_call_id": "call_1", "content": "Rain"}] * 5000
    began = time.monotonic()
    said = openai_asked.chat({"model": "practice", "messages": [*CALLED, *results]})["messages"]

    assert (said[-1]["tool_name"], time.monotonic() - began < 1) == ("weather", True)


async def test_models_are_those_of_the_host(portal, practice, token):
    asked = "GET", "/v1/models"
    direct, through = (await ask(practice.url, *asked)).value, (await portal.ask(*asked, token=token)).value

    assert sorted(through.pop("data"), key=str) == sorted(direct.pop("data"), key=str)
    assert through == direct == {"object": "list"}


async def test_events_are_ascii_and_belong_together(portal, token):
    answer = await portal.ask(*chat("fault-nel", stream=True), token=token)
    events = [json.loads(event.removeprefix(b"data: ")) for event in answer.body.split(b"\n\n")[:-2]]

    assert answer.body.isascii()
    assert len({(event["id"], event["created"]) for event in events}) == 1


async def test_an_error_in_an_answer_is_an_event_and_no_end(portal, token):
    """A host ends such an answer as if it were whole."""
    answer = await portal.ask(*chat("fault-miderr", stream=True), token=token)
    *said, last = content_of(answer)

    assert len(said) > 2
    assert last == {
        "error": {"message": "the <b>runner</b> has stopped", "type": "api_error", "param": None, "code": None}
    }


@pytest.mark.parametrize("fault", ["garbage", "rst", "trunc", "big", "noline"])
async def test_a_broken_answer_does_not_look_whole(portal, token, fault):
    answer = await portal.ask(*chat(f"fault-{fault}", stream=True), token=token)

    assert answer.is_whole
    assert content_of(answer)[-1]["error"]["message"]


@pytest.mark.parametrize("fault", ["badutf", "surr", "half", "nul"])
async def test_odd_letters_break_no_answer(portal, token, fault):
    answer = await portal.ask(*chat(f"fault-{fault}", stream=True), token=token)
    *_, last, done = content_of(answer)

    assert (last["choices"][0]["finish_reason"], done) == ("stop", b"[DONE]")


@pytest.mark.parametrize("fault", ["html", "st500", "st503-html", "st400-empty", "st401"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_host_that_fails_is_told_of_in_openai_s_form(portal, token, fault, stream, monkeypatch):
    monkeypatch.setattr("webui.inference.door.BUSY_PATIENCE_S", 0)
    answer = await portal.ask(*chat(f"fault-{fault}", stream=stream), token=token)

    assert answer.status >= 400
    assert set(answer.value["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "asked", [chat(), completion(), vectors(model="practice"), ("GET", "/v1/models/practice", None)]
)
async def test_a_model_for_others_does_not_exist(portal, token, asked):
    """S32: word for word as one that no host has."""
    await sync_to_async(ModelAccess.objects.create)(key="practice:latest", audience="administrators")
    verb, path, body = asked
    there = await portal.ask(verb, path, body, token=token)
    nowhere = await portal.ask(
        verb, path.replace("practice", "nothing1"), body and {**body, "model": "nothing1"}, token=token
    )

    assert there.status == 404
    assert there.body.replace(b"practice", b"nothing1") == nowhere.body
    assert there.headers.keys() == nowhere.headers.keys()


async def test_lists_leave_out_models_for_others(portal, token):
    """S32."""
    await sync_to_async(ModelAccess.objects.create)(key="practice:latest", audience="administrators")
    listed = {model["id"] for model in (await portal.ask("GET", "/v1/models", token=token)).value["data"]}

    assert "practice:latest" not in listed
    assert len(listed) > 5


async def test_what_operators_decide_holds_here_too(portal, practice, token):
    """S33: a host's own /v1 could not be told."""
    await sync_to_async(ModelPolicy.objects.create)(
        key="practice:latest", num_ctx=4096, keep_alive="10m", options={"top_p": 0.7, "top_k": 3}
    )
    wishes = {"options": {"num_ctx": 10**9}, "keep_alive": -1, "max_completion_tokens": 5, "nonsense": 1}
    answer = await portal.ask(*chat(seed=7, **wishes), token=token)

    assert practice.requests[-1].endpoint == "/api/chat"
    assert practice.requests[-1].body == {
        "model": "practice",
        "messages": MESSAGES,
        "options": {"temperature": 1.0, "top_p": 0.7, "top_k": 3, "seed": 7, "num_ctx": 4096},
        "keep_alive": "10m",
        "stream": False,
    }
    assert answer.headers["teahouse-ignored"] == "keep_alive, max_completion_tokens, options"


@pytest.mark.parametrize("asked", [{}, {"stream": True}, USAGE], ids=["at once", "in events", "with usage"])
async def test_a_run_is_in_the_ledger_with_what_the_host_counted(portal, practice, token, alice, asked):
    direct = (await ask(practice.url, *chat())).value["usage"]
    await portal.ask(*chat(**asked), token=token)
    row = await sync_to_async(Usage.objects.get)()

    assert (row.user_id, row.door, row.model, row.outcome) == (alice.pk, "api", "practice", "done")
    assert (row.prompt_tokens, row.output_tokens) == (direct["prompt_tokens"], direct["completion_tokens"])


async def test_vectors_are_in_the_ledger(portal, token):
    answer = (await portal.ask(*vectors(), token=token)).value
    row = await sync_to_async(Usage.objects.get)()

    assert (row.model, row.prompt_tokens, row.outcome) == ("practice-embed", answer["usage"]["prompt_tokens"], "done")


async def test_who_leaves_ends_the_run(portal, practice, token):
    async with connection(portal.url) as (reader, writer):
        writer.write(request_bytes(*chat("fault-gate", stream=True), Authorization=f"Bearer {token}"))
        await read_head(reader)
        await read_chunk(reader)
    await practice.wait_for(lambda: practice.requests[-1].outcome == "left", within_s=1)


# OpenAI's own client


@pytest.fixture
async def client_of():
    """A client for an address."""
    clients = []

    def make(url: str, key: str) -> openai.AsyncOpenAI:
        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        clients.append(openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def both(portal, practice, token, client_of):
    """The result of a call to the host, and of the same call to the gateway."""
    clients = client_of(practice.url, "x"), client_of(portal.url, token)

    async def both(call):
        return [await call(client) for client in clients]

    return both


async def test_the_client_chats(both):
    direct, through = await both(lambda client: client.chat.completions.create(model="practice", messages=MESSAGES))

    assert "练习模型" in through.choices[0].message.content
    assert lasting(through.model_dump()) == lasting(direct.model_dump())


async def test_the_client_reads_a_stream(both):
    async def call(client):
        stream = await client.chat.completions.create(model="practice-thinker", messages=MESSAGES, **USAGE)
        return [lasting(event.model_dump()) async for event in stream]

    direct, through = await both(call)

    assert through[-1]["usage"]["completion_tokens"] > 10
    assert through == direct


async def test_the_client_that_waits_reads_a_stream(portal, token):
    """Without an event loop of its own, as most scripts are."""

    def read():
        http = openai.DefaultHttpxClient(trust_env=False)
        with openai.OpenAI(base_url=f"{portal.url}/v1", api_key=token, http_client=http) as client:
            stream = client.chat.completions.create(model="practice-counting", messages=MESSAGES, stream=True)
            return "".join(event.choices[0].delta.content or "" for event in stream)

    assert (await asyncio.to_thread(read)).startswith("1 2 3")


@pytest.mark.parametrize("model", ["practice-tools", "practice-tools-early"])
async def test_the_client_calls_tools(both, model):
    async def call(client):
        messages = CALLED[:1]
        stream = await client.chat.completions.create(model=model, messages=messages, tools=[WEATHER], stream=True)
        events = [event async for event in stream]
        (called,) = [call for event in events for call in event.choices[0].delta.tool_calls or []]
        return called.function.name, json.loads(called.function.arguments), events[-1].choices[0].finish_reason

    direct, through = await both(call)

    assert through == direct == ("weather", {"days": 3}, "tool_calls")


async def test_the_client_asks_by_a_schema(both, practice):
    await both(
        lambda client: client.chat.completions.create(model="practice", messages=MESSAGES, response_format=SCHEMA)
    )

    assert practice.requests[-1].body["format"] == {"type": "object"}


async def test_the_client_sends_an_image(both, practice):
    direct, through = await both(lambda client: client.chat.completions.create(model="practice-vision", messages=SEEN))

    assert practice.requests[-1].body["messages"][-1]["images"] == [PIXEL]
    assert lasting(through.model_dump()) == lasting(direct.model_dump())


async def test_the_client_completes(both):
    direct, through = await both(lambda client: client.completions.create(model="practice-counting", prompt="to 3"))

    assert through.choices[0].text == "1 2 3"
    assert lasting(through.model_dump()) == lasting(direct.model_dump())


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
async def test_the_client_embeds(both, encoding):
    direct, through = await both(
        lambda client: client.embeddings.create(model="practice-embed", input=["a", "茶"], dimensions=8, **encoding)
    )

    assert len(through.data) == 2
    assert through == direct


async def test_the_client_lists_models(both):
    async def call(client):
        return {model.id async for model in client.models.list()}

    direct, through = await both(call)

    assert "practice:latest" in through
    assert through == direct


async def test_the_client_looks_at_a_model(both):
    direct, through = await both(lambda client: client.models.retrieve("practice-vision:latest"))

    assert through.id == "practice-vision:latest"
    assert through == direct


ERRORS = {
    "nosuch": openai.NotFoundError,
    "practice:cloud": openai.PermissionDeniedError,
    "a b": openai.BadRequestError,
    "fault-st429": openai.InternalServerError,
    "fault-st500": openai.InternalServerError,
}


@pytest.mark.parametrize(("model", "error"), ERRORS.items())
async def test_the_client_knows_what_went_wrong(portal, token, client_of, model, error, monkeypatch):
    monkeypatch.setattr("webui.inference.door.BUSY_PATIENCE_S", 0)
    with pytest.raises(error) as raised:
        await client_of(portal.url, token).chat.completions.create(model=model, messages=MESSAGES)

    assert raised.value.body["message"]


async def test_the_client_is_told_that_its_token_ended(portal, token, client_of):
    await sync_to_async(lambda: tokens.revoke(tokens.found(token)))()

    with pytest.raises(openai.AuthenticationError) as raised:
        await client_of(portal.url, token).models.list()
    assert raised.value.body["message"] == "unauthorized"


async def test_the_client_notices_an_error_in_a_stream(portal, token, client_of):
    stream = await client_of(portal.url, token).chat.completions.create(
        model="fault-miderr", messages=MESSAGES, stream=True
    )

    with pytest.raises(openai.APIError, match="has stopped"):
        async for _ in stream:
            pass


async def test_a_token_for_some_models_knows_no_others(portal, alice, client_of):
    """S36."""
    client = client_of(portal.url, await sync_to_async(token_for)(alice, allowed=["practice:latest"]))

    assert [model.id async for model in client.models.list()] == ["practice:latest"]
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="practice-thinker", messages=MESSAGES)
