"""Ollama's own endpoints: the same answers as from the host itself, for those who may have them."""

import asyncio
import json
from hashlib import sha256

import pytest
from asgiref.sync import sync_to_async

from tests.webui.gateway.conftest import token_for
from tests.webui.practice.wire import ask, connection, read_chunk, read_head, request_bytes
from webui.gateway import bodies
from webui.inference.hosts import refresh_once
from webui.inference.models import ModelAccess, ModelPolicy, Usage, WaitingLine

MESSAGES = [{"role": "user", "content": "什么是茶?"}]
PASSING = {
    *("created_at", "expires_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"),
}


def lasting(found):
    """All of an answer but its times."""
    if isinstance(found, dict):
        return {name: lasting(value) for name, value in found.items() if name not in PASSING}
    return [lasting(value) for value in found] if isinstance(found, list) else found


def content_of(answer):
    """What an answer says, read as a client does that does not care where its lines end."""
    return lasting([json.loads(line) for line in answer.body.split(b"\n") if line])


ASKED = {
    "chat": ("POST", "/api/chat", {"model": "practice", "messages": MESSAGES}),
    "chat at once": ("POST", "/api/chat", {"model": "practice", "messages": MESSAGES, "stream": False}),
    "thinking": ("POST", "/api/chat", {"model": "practice-thinker", "messages": MESSAGES}),
    "logprobs": ("POST", "/api/chat", {"model": "practice", "messages": MESSAGES, "logprobs": True}),
    "a name in capitals": ("POST", "/api/chat", {"model": " PRACTICE:latest", "messages": MESSAGES}),
    "keys in capitals": ("POST", "/api/chat", {"MODEL": "practice", "Messages": MESSAGES}),
    "load": ("POST", "/api/chat", {"model": "practice"}),
    "generate": ("POST", "/api/generate", {"model": "practice", "prompt": "Why?", "system": "Be short."}),
    "embed": ("POST", "/api/embed", {"model": "practice-embed", "input": ["a", "茶"], "dimensions": 8}),
    "embeddings": ("POST", "/api/embeddings", {"model": "practice-embed", "prompt": "a"}),
    "cut short": ("POST", "/api/chat", {"model": "practice", "messages": MESSAGES, "options": {"num_predict": 2}}),
    "an odd break of lines": ("POST", "/api/chat", {"model": "fault-nel", "messages": MESSAGES}),
    "an error in an answer": ("POST", "/api/chat", {"model": "fault-miderr", "messages": MESSAGES}),
    "version": ("GET", "/api/version", None),
    "no model": ("POST", "/api/chat", {"messages": MESSAGES}),
    "no model to generate": ("POST", "/api/generate", {"prompt": "a"}),
    "an unknown model": ("POST", "/api/chat", {"model": "nosuch", "messages": MESSAGES}),
    "an unknown model to embed": ("POST", "/api/embed", {"model": "nosuch", "input": "a"}),
    "an unknown model to show": ("POST", "/api/show", {"model": "nosuch"}),
    "wrong options": ("POST", "/api/chat", {"model": "practice", "messages": MESSAGES, "options": {"top_k": "x"}}),
    "no thinker": ("POST", "/api/chat", {"model": "practice", "messages": MESSAGES, "think": True}),
    "no tools": ("POST", "/api/chat", {"model": "practice", "messages": MESSAGES, "tools": [{"type": "function"}]}),
    "no embedder": ("POST", "/api/embed", {"model": "practice", "input": "a"}),
    "no chatter": ("POST", "/api/chat", {"model": "practice-embed", "messages": MESSAGES}),
    "nothing": ("POST", "/api/chat", None),
    "half": ("POST", "/api/chat", b'{"model": "practice", "messages": ['),
    "no json": ("POST", "/api/chat", b"hello"),
    "the last of two": ("POST", "/api/generate", b'{"model":"nosuch","prompt":"a","model":"practice"} and more'),
    "no such address": ("GET", "/api/nothing", None),
    "no such verb": ("GET", "/api/chat", None),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_the_gateway_answers_as_the_host_does(portal, practice, token, asked):
    verb, path, body = asked
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body, ensure_ascii=False).encode()
    direct, through = await ask(practice.url, *asked), await portal.ask(verb, path, body, token=token)

    assert (through.status, through.headers.get("content-type")) == (direct.status, direct.headers.get("content-type"))
    if "json" in through.headers["content-type"]:
        assert content_of(through) == content_of(direct)
    else:
        assert through.body == direct.body


async def test_a_stream_is_ascii_without_empty_lines(portal, token):
    answer = await portal.ask("POST", "/api/chat", {"model": "fault-nel", "messages": MESSAGES}, token=token)

    assert answer.body.isascii()
    assert answer.body.endswith(b"\n")
    assert b"" not in answer.body.split(b"\n")[:-1]


@pytest.mark.parametrize("path", ["/ollama/api/tags", "/ollama/api/version", "/ollama/", "/ollama"])
async def test_it_answers_under_a_prefix_too(portal, token, path):
    assert (await portal.ask("GET", path, token=token)).status == 200


async def test_a_list_is_what_the_host_has(portal, practice, token):
    direct, through = await ask(practice.url, "GET", "/api/tags"), await portal.ask("GET", "/api/tags", token=token)

    assert sorted(through.value["models"], key=str) == sorted(direct.value["models"], key=str)


async def test_models_in_memory_are_those_of_the_hosts(portal, practice, token):
    await portal.ask("POST", "/api/generate", {"model": "practice"}, token=token)
    direct, through = await ask(practice.url, "GET", "/api/ps"), await portal.ask("GET", "/api/ps", token=token)

    assert len(through.value["models"]) == 1
    assert lasting(through.value) == lasting(direct.value)


async def test_what_a_model_is_told_without_the_host_s_places(portal, practice, token):
    direct = (await ask(practice.url, "POST", "/api/show", {"model": "practice"})).value
    through = (await portal.ask("POST", "/api/show", {"name": "practice"}, token=token)).value

    assert "FROM /models/blobs" in direct.pop("modelfile")
    assert "/models/" not in through["modelfile"]
    assert "\nFROM practice\n" in through.pop("modelfile")
    assert through == direct


async def test_of_what_file_of_the_host_s_a_model_was_made_is_not_told(portal, practice, token):
    digest = f"sha256:{sha256(b'GGUF').hexdigest()}"
    await ask(practice.url, "POST", f"/api/blobs/{digest}", b"GGUF")
    await ask(practice.url, "POST", "/api/create", {"model": "mine", "files": {"a.gguf": digest}})
    await refresh_once(portal.host)
    told = [
        (await portal.ask("POST", "/api/show", {"name": "mine"}, token=token)).value["details"],
        *(model["details"] for model in (await portal.ask("GET", "/api/tags", token=token)).value["models"]),
    ]

    assert "/models/" not in str(told)
    assert "/models/" in str((await ask(practice.url, "POST", "/api/show", {"name": "mine"})).value["details"])


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/api/chat", {"messages": MESSAGES}),
        ("/api/generate", {"prompt": "a"}),
        ("/api/embed", {"input": "a"}),
        ("/api/embeddings", {"prompt": "a"}),
        ("/api/show", {}),
    ],
)
async def test_a_model_for_others_does_not_exist(portal, token, path, more):
    """S32: word for word as for one that no host has."""
    await sync_to_async(ModelAccess.objects.create)(key="practice:latest", audience="administrators")
    there = await portal.ask("POST", path, {"model": "practice", **more}, token=token)
    nowhere = await portal.ask("POST", path, {"model": "nothing1", **more}, token=token)

    assert there.status == 404
    assert there.body.replace(b"practice", b"nothing1") == nowhere.body
    assert there.headers.keys() == nowhere.headers.keys()


@pytest.mark.parametrize("more", [{"messages": "odd"}, {"messages": MESSAGES, "options": []}, {"think": "odd"}])
async def test_nothing_tells_whether_there_is_a_model_for_others(portal, practice, token, more):
    """S32. No host hears what is asked of either, and nobody stands in a line or in the ledger for it."""
    await sync_to_async(ModelAccess.objects.create)(key="practice:latest", audience="administrators")
    there = await portal.ask("POST", "/api/chat", {"model": "practice", **more}, token=token)
    nowhere = await portal.ask("POST", "/api/chat", {"model": "nothing1", **more}, token=token)

    assert there.status == 404
    assert there.body.replace(b"practice", b"nothing1") == nowhere.body
    assert practice.requests == []
    assert not await Usage.objects.aexists()
    assert not await WaitingLine.objects.aexists()


async def test_a_model_for_others_is_not_named_as_what_another_was_made_from(portal, practice, token):
    """S32."""
    await ask(practice.url, "POST", "/api/create", {"model": "mine", "from": "practice"})
    await refresh_once(portal.host)
    await sync_to_async(ModelAccess.objects.create)(key="practice:latest", audience="administrators")
    told = [
        (await portal.ask("POST", "/api/show", {"name": "mine"}, token=token)).value["details"],
        *(model["details"] for model in (await portal.ask("GET", "/api/tags", token=token)).value["models"]),
    ]

    assert "practice:latest" not in str(told)
    assert "practice:latest" in str((await ask(practice.url, "POST", "/api/show", {"name": "mine"})).value["details"])


async def test_lists_leave_out_models_for_others(portal, token):
    """S32."""
    await portal.ask("POST", "/api/generate", {"model": "practice"}, token=token)
    await sync_to_async(ModelAccess.objects.create)(key="practice:latest", audience="administrators")
    lists = [(await portal.ask("GET", path, token=token)).value["models"] for path in ("/api/tags", "/api/ps")]

    assert "practice:latest" not in {model["name"] for models in lists for model in models}
    assert len(lists[0]) > 5


async def test_a_token_for_some_models_knows_no_others(portal, alice):
    """S36."""
    some = await sync_to_async(token_for)(alice, allowed=["practice:latest"])
    listed = (await portal.ask("GET", "/api/tags", token=some)).value["models"]
    statuses = [
        (await portal.ask("POST", "/api/chat", {"model": model, "messages": MESSAGES}, token=some)).status
        for model in ("practice", "practice-thinker")
    ]

    assert [model["name"] for model in listed] == ["practice:latest"]
    assert statuses == [200, 404]


async def test_what_concerns_everybody_is_the_operators_to_say(portal, practice, token):
    """S33."""
    await sync_to_async(ModelPolicy.objects.create)(key="practice:latest", num_ctx=4096, keep_alive="10m")
    wishes = {"num_ctx": 10**9, "num_gpu": 0, "temperature": 0.5, "nonsense": 1}
    body = {"model": "practice", "messages": MESSAGES, "options": wishes, "keep_alive": -1, "shift": False}
    answer = await portal.ask("POST", "/api/chat", {**body, "_debug_render_only": True}, token=token)

    assert practice.requests[-1].body == {
        "model": "practice",
        "messages": MESSAGES,
        "options": {"temperature": 0.5, "num_ctx": 4096},
        "keep_alive": "10m",
    }
    assert answer.headers["teahouse-ignored"] == "num_ctx, num_gpu, keep_alive, shift"


async def test_what_is_nested_too_deep_is_refused(portal, token):
    """S48. So deep that it could be read, and not be written again."""
    deep = ["[" * depth + "]" * depth for depth in range(910, 1000, 3)]
    bodies = [f'{{"model": "practice", "tools": {tools}}}'.encode() for tools in deep]
    answers = [await portal.ask("POST", "/api/chat", body, token=token) for body in bodies]

    assert {answer.status for answer in answers} == {400}


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model": "a", "Model": "b"}', "b"),
        (b'{"Model": "a", "model": "b"}', "b"),
        (b'{"MODEL": "a", "model": "b", "MODEL": "c"}', "c"),
        (b'{"MODEL": "a", "model": null}', "a"),
    ],
)
def test_of_several_the_last_one_counts_however_it_is_written(body, model):
    assert bodies.parse(body) == {"model": model}


async def test_nobody_unloads_a_model(portal, token):
    """S33."""
    await portal.ask("POST", "/api/generate", {"model": "practice", "keep_alive": 0}, token=token)

    assert len((await portal.ask("GET", "/api/ps", token=token)).value["models"]) == 1


@pytest.mark.parametrize("model", ["practice:cloud", "practice:7b-cloud", "../practice", "http://a/b", "实践", "a b"])
async def test_names_that_mean_something_else_do_not_reach_a_host(portal, practice, token, model):
    answer = await portal.ask("POST", "/api/chat", {"model": model, "messages": MESSAGES}, token=token)

    assert answer.status in {400, 403}
    assert practice.requests == []


async def test_who_leaves_ends_the_run(portal, practice, token):
    body = {"model": "fault-gate", "messages": MESSAGES}
    async with connection(portal.url) as (reader, writer):
        writer.write(request_bytes("POST", "/api/chat", body, Authorization=f"Bearer {token}"))
        await read_head(reader)
        await read_chunk(reader)
    await practice.wait_for(lambda: practice.requests[-1].outcome == "left", within_s=1)


async def test_who_leaves_the_line_is_out_of_it(portal, practice, token):
    body = {"model": "practice-slow-load", "messages": MESSAGES}
    async with connection(portal.url) as (_, writer):
        writer.write(request_bytes("POST", "/api/chat", body, Authorization=f"Bearer {token}"))
        await practice.wait_for(lambda: practice.requests)
    await practice.wait_for(lambda: practice.requests[-1].outcome == "left", within_s=1)


@pytest.mark.parametrize("asked", [{"stream": True}, {"stream": False}])
async def test_a_run_is_in_the_ledger_with_what_the_host_counted(portal, token, alice, asked):
    answer = await portal.ask("POST", "/api/chat", {"model": "practice", "messages": MESSAGES, **asked}, token=token)
    last = content_of(answer)[-1]
    row = await sync_to_async(Usage.objects.get)()

    assert (row.user_id, row.door, row.model, row.outcome) == (alice.pk, "api", "practice", "done")
    assert (row.prompt_tokens, row.output_tokens) == (last["prompt_eval_count"], last["eval_count"])


async def test_many_at_once_all_get_theirs(portal, token):
    body = {"model": "practice", "messages": MESSAGES}
    answers = await asyncio.gather(*(portal.ask("POST", "/api/chat", body, token=token) for _ in range(12)))

    assert {answer.status for answer in answers} == {200}
    assert all(content_of(answer)[-1]["done"] for answer in answers)


async def test_without_a_host_there_is_a_sentence(portal, token):
    await sync_to_async(portal.host.delete)()
    answer = await portal.ask("POST", "/api/chat", {"model": "practice", "messages": MESSAGES}, token=token)

    assert (answer.status, answer.value) == (503, {"error": "no Ollama host answers"})
