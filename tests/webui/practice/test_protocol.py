"""The host answers as Ollama does: statuses, headers, keys and their order are those of recorded answers."""

import asyncio
from datetime import UTC, datetime

import pytest

from webui.practice import PracticeHost

from .wire import ask, connection, read_answer, request_bytes

STREAM = "application/x-ndjson"
JSON = "application/json; charset=utf-8"
COUNTERS = [
    *("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration"),
    *("eval_count", "eval_duration"),
]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}},
        },
    },
}


def chat(model: str = "practice", text: str = "Why?", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def test_an_answer_streams_one_object_per_chunk(send):
    answer = await send("POST", "/api/chat", chat(options={"num_predict": 4}))
    assert answer.status == 200
    assert answer.headers["content-type"] == STREAM
    assert all(chunk.endswith(b"\n") and chunk.count(b"\n") == 1 for chunk in answer.chunks)
    first, *_, last = answer.lines
    assert list(first) == ["model", "created_at", "message", "done"]
    assert list(first["message"]) == ["role", "content"]
    assert [key for key in last if key != "load_duration"] == [
        *("model", "created_at", "message", "done", "done_reason"),
        *(key for key in COUNTERS if key != "load_duration"),
    ]
    assert last["done_reason"] == "length"
    assert last["eval_count"] == 4
    assert last["message"]["content"] == ""


async def test_an_answer_as_a_whole_says_what_its_stream_says(send):
    streamed = await send("POST", "/api/chat", chat())
    whole = await send("POST", "/api/chat", chat(stream=False))
    assert whole.headers["content-type"] == JSON
    assert not whole.body.endswith(b"\n")
    assert whole.value["message"]["content"] == streamed.text
    assert whole.value["done_reason"] == "stop"


async def test_thinking_comes_before_the_text(send):
    answer = await send("POST", "/api/chat", chat("practice-thinker"))
    thinks = [bool(line["message"].get("thinking")) for line in answer.lines[:-1]]
    assert thinks == sorted(thinks, reverse=True)
    assert any(thinks)
    assert not all(thinks)


@pytest.mark.parametrize("think", [True, "low", "high"])
async def test_a_thinker_thinks_when_told_to(send, think):
    answer = await send("POST", "/api/chat", chat("practice-thinker", think=think, stream=False))
    assert answer.value["message"]["thinking"]


async def test_a_thinker_told_not_to_think_does_not(send):
    answer = await send("POST", "/api/chat", chat("practice-thinker", think=False, stream=False))
    assert "thinking" not in answer.value["message"]


async def test_a_tool_is_called_in_the_last_line(send):
    answer = await send("POST", "/api/chat", chat("practice-tools", "Weather in Paris", tools=[WEATHER]))
    (line,) = answer.lines
    (call,) = line["message"]["tool_calls"]
    assert list(line["message"]) == ["role", "content", "tool_calls"]
    assert line["done_reason"] == "stop"
    assert len(call["id"]) == 32
    assert call["function"] == {"index": 0, "name": "get_weather", "arguments": {"city": "Paris", "unit": "c"}}


async def test_a_tool_is_called_before_the_last_line_by_models_that_parse(send):
    answer = await send("POST", "/api/chat", chat("practice-tools-early", "Weather in Paris", tools=[WEATHER]))
    *text, calling, last = answer.lines
    assert text
    assert calling["done"] is False
    assert calling["message"]["tool_calls"][0]["id"].startswith("call_")
    assert "tool_calls" not in last["message"]


async def test_the_result_of_a_tool_is_told(send):
    said = [
        {"role": "user", "content": "Weather in Paris"},
        {"role": "assistant", "content": "", "tool_calls": []},
        {"role": "tool", "tool_name": "get_weather", "content": "11 degrees"},
    ]
    body = {"model": "practice-tools", "messages": said, "tools": [WEATHER]}
    answer = await send("POST", "/api/chat", body)
    assert "get_weather says: 11 degrees" in answer.text


async def test_logprobs_stand_beside_their_piece(send):
    body = chat(logprobs=True, top_logprobs=1, options={"num_predict": 1})
    (first, _) = (await send("POST", "/api/chat", body)).lines
    (entry,) = first["logprobs"]
    assert list(entry) == ["token", "logprob", "bytes", "top_logprobs"]
    assert bytes(entry["bytes"]).decode() == first["message"]["content"]


async def test_a_completion_streams_its_own_keys(send):
    body = {"model": "practice", "prompt": "Why?", "options": {"num_predict": 2}}
    answer = await send("POST", "/api/generate", body)
    first, *_, last = answer.lines
    assert list(first) == ["model", "created_at", "response", "done"]
    assert list(last)[:6] == ["model", "created_at", "response", "done", "done_reason", "context"]


async def test_stop_strings_end_the_text_and_are_not_said(send):
    answer = await send("POST", "/api/chat", chat("practice-counting", "to 20", options={"stop": ["7"]}))
    assert answer.text == "1 2 3 4 5 6 "
    assert answer.lines[-1]["done_reason"] == "stop"


async def test_a_prefill_is_continued_where_it_stops(send):
    said = [{"role": "user", "content": "count to 12"}, {"role": "assistant", "content": "1 2 3"}]
    answer = await send("POST", "/api/chat", {"model": "practice-counting", "messages": said})
    assert answer.text == " 4 5 6 7 8 9 10 11 12"


async def test_angles_are_escaped_and_other_scripts_are_not(send):
    body = await send("POST", "/api/chat", chat(text="茶 <b> & \u2028\u0085", stream=False))
    assert "茶 \\u003cb\\u003e \\u0026 \\u2028\u0085".encode() in body.body


# Loading


@pytest.mark.parametrize(
    ("path", "content"),
    [("/api/chat", {"message": {"role": "assistant", "content": ""}}), ("/api/generate", {"response": ""})],
)
async def test_nothing_asked_loads_the_model_and_says_so_without_a_stream(send, path, content):
    answer = await send("POST", path, {"model": "practice"})
    assert answer.headers["content-type"] == JSON
    assert list(answer.value) == ["model", "created_at", *content, "done", "done_reason"]
    assert content.items() <= answer.value.items()
    assert answer.value["done_reason"] == "load"
    assert await running(send) == ["practice:latest"]


async def test_an_unloaded_model_is_gone(send):
    await send("POST", "/api/chat", {"model": "practice"})
    answer = await send("POST", "/api/generate", {"model": "practice", "keep_alive": 0})
    assert answer.value["done_reason"] == "unload"
    assert await running(send) == []


async def test_a_model_unloaded_while_it_answers_goes_on_to_its_end(host, send):
    asking = asyncio.create_task(send("POST", "/api/chat", chat("fault-gate")))
    await host.wait_for(lambda: host.requests and host.requests[0].pieces_sent == 5)
    await send("POST", "/api/generate", {"model": "fault-gate", "keep_alive": 0})
    assert await running(send) == ["fault-gate:latest"]
    host.release()
    assert (await asking).lines[-1]["done"] is True
    assert await running(send) == []


@pytest.mark.parametrize(
    ("keep_alive", "seconds"), [("10m", 600), (90, 90), ("1h30m", 5400), (-1, 292 * 365.25 * 86400)]
)
async def test_a_model_stays_as_long_as_asked_and_keeps_to_it(send, keep_alive, seconds):
    await send("POST", "/api/chat", chat(keep_alive=keep_alive))
    await send("POST", "/api/chat", chat())
    (entry,) = (await send("GET", "/api/ps")).value["models"]
    left = datetime.fromisoformat(entry["expires_at"]) - datetime.now(UTC)
    assert abs(left.total_seconds() - seconds) < 2
    assert list(entry) == ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"]


async def running(send) -> list[str]:
    return [model["name"] for model in (await send("GET", "/api/ps")).value["models"]]


# Waiting


async def test_who_waits_for_a_slot_hears_nothing_until_it_is_free(host):
    async with connection(host.url) as first, connection(host.url) as second:
        first[1].write(request_bytes("POST", "/api/chat", chat("fault-gate")))
        await host.wait_for(lambda: host.requests and host.requests[0].pieces_sent == 5)
        second[1].write(request_bytes("POST", "/api/chat", chat("fault-gate", "Second")))
        await host.wait_for(lambda: len(host.requests) == 2)
        assert host.requests[1].pieces_sent == 0
        host.release()
        assert (await read_answer(first[0])).lines[-1]["done"]
        assert (await read_answer(second[0])).lines[-1]["done"]
    await host.wait_for(lambda: all(request.outcome == "done" for request in host.requests))
    assert host.requests[1].ended > host.requests[0].ended


async def test_a_caller_who_leaves_frees_the_slot(host, send):
    async with connection(host.url) as (_, writer):
        writer.write(request_bytes("POST", "/api/chat", chat("fault-gate")))
        await host.wait_for(lambda: host.requests and host.requests[0].pieces_sent == 5)
    await host.wait_for(lambda: host.requests[0].outcome == "left")
    host.release()
    assert (await send("POST", "/api/chat", chat("fault-gate"))).lines[-1]["done"]


async def test_a_caller_who_leaves_while_the_model_loads_aborts_the_loading(host, send):
    async with connection(host.url) as (_, writer):
        writer.write(request_bytes("POST", "/api/chat", chat("practice-slow-load")))
        await host.wait_for(lambda: host.requests)
    await host.wait_for(lambda: host.requests[0].outcome == "left")
    assert await running(send) == []


async def test_one_connection_serves_many_requests(host):
    async with connection(host.url) as (reader, writer):
        for _ in range(3):
            writer.write(request_bytes("POST", "/api/chat", chat()))
            assert (await read_answer(reader)).lines[-1]["done"]


async def test_a_request_sent_during_an_answer_is_answered_after_it(host):
    async with connection(host.url) as (reader, writer):
        writer.write(request_bytes("POST", "/api/chat", chat("fault-gate")))
        await host.wait_for(lambda: host.requests and host.requests[0].pieces_sent == 5)
        writer.write(request_bytes("GET", "/"))
        host.release()
        assert (await read_answer(reader)).lines[-1]["done"]
        assert (await read_answer(reader)).body == b"Ollama is running"


# Names and keys


async def test_the_model_is_echoed_as_it_was_sent(send):
    answer = await send("POST", "/api/chat", chat(" PRACTICE:Latest ", stream=False))
    assert answer.value["model"] == " PRACTICE:Latest "


async def test_keys_match_in_any_case_the_last_wins_and_the_rest_is_ignored(send):
    raw = b'{"MODEL":"nosuch","model":"practice","Messages":[{"Role":"user","CONTENT":"hi"}],"x":1} trailing'
    assert (await send("POST", "/api/chat", raw)).status == 200


# Refusals

REFUSALS = [
    ("POST", "/api/chat", b"", 400, "missing request body"),
    ("POST", "/api/chat", b'{"model":', 400, "unexpected EOF"),
    ("POST", "/api/chat", {}, 400, "model is required"),
    ("POST", "/api/chat", chat("a b"), 400, "invalid model name"),
    ("POST", "/api/chat", chat("nosuch"), 404, "model 'nosuch' not found"),
    ("POST", "/api/generate", {}, 404, "model '' not found"),
    ("POST", "/api/show", {}, 400, "model is required"),
    ("POST", "/api/show", {"model": "nosuch"}, 404, "model 'nosuch:latest' not found"),
    ("POST", "/api/embed", {"model": "nosuch"}, 404, 'model "nosuch" not found, try pulling it first'),
    ("POST", "/api/embed", {"model": "practice-embed", "input": 5}, 400, "invalid input type"),
    (
        "POST",
        "/api/embed",
        {"model": "practice", "input": "x"},
        501,
        "This server does not support embeddings. Start it with `--embeddings`",
    ),
    ("DELETE", "/api/delete", {"model": "nosuch"}, 404, "model 'nosuch' not found"),
    ("DELETE", "/api/delete", {}, 400, "model is required"),
    ("POST", "/api/copy", {"source": "nosuch", "destination": "x"}, 404, 'model "nosuch" not found'),
    ("POST", "/api/copy", {"source": "practice", "destination": "a b"}, 400, 'destination "a b" is invalid'),
    ("POST", "/api/pull", {}, 400, "invalid model name"),
    ("POST", "/api/create", {"model": "x"}, 400, "neither 'from' or 'files' was specified"),
    (
        "POST",
        "/api/create",
        {"model": "x", "modelfile": "FROM practice"},
        400,
        "neither 'from' or 'files' was specified",
    ),
    (
        "POST",
        "/api/create",
        {"model": "x", "from": "practice", "template": "{{"},
        400,
        "template error: template: :1: unclosed action",
    ),
    ("POST", "/api/create", {"model": "x", "files": {"/a": "sha256:1"}}, 400, "file path must be relative"),
    ("POST", "/api/blobs/sha256:12", b"x", 400, "invalid digest format"),
    ("POST", "/api/chat", chat(think=True), 400, '"practice" does not support thinking'),
    (
        "POST",
        "/api/chat",
        chat(tools=[WEATHER]),
        400,
        "registry.ollama.ai/library/practice:latest does not support tools",
    ),
    ("POST", "/api/chat", chat("practice-embed"), 400, '"practice-embed" does not support chat'),
    ("POST", "/api/chat", chat(keep_alive="5"), 400, 'time: missing unit in duration "5"'),
    ("POST", "/api/chat", chat(top_logprobs=21), 400, "top_logprobs must be between 0 and 20"),
    ("POST", "/api/chat", chat(options={"num_ctx": "x"}), 500, 'option "num_ctx" must be of type integer'),
    ("POST", "/api/chat", chat(options={"stop": "x"}), 500, 'option "stop" must be of type array'),
    (
        "POST",
        "/api/chat",
        chat(format="xml"),
        500,
        'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object',
    ),
]


@pytest.mark.parametrize(("verb", "path", "body", "status", "error"), REFUSALS)
async def test_what_cannot_be_is_refused_in_the_words_of_ollama(send, verb, path, body, status, error):
    answer = await send(verb, path, body)
    assert (answer.status, answer.value) == (status, {"error": error})


async def test_a_wrong_verb_and_an_unknown_route_are_refused_in_plain_text(send):
    wrong, unknown = await send("GET", "/api/chat"), await send("GET", "/api/nosuch")
    assert (wrong.status, wrong.body, wrong.headers["allow"]) == (405, b"405 method not allowed", "POST")
    assert (unknown.status, unknown.body) == (404, b"404 page not found")
    assert wrong.headers["content-type"] == unknown.headers["content-type"] == "text/plain"


async def test_head_is_answered_without_a_body(host):
    async with connection(host.url) as (reader, writer):
        writer.write(request_bytes("HEAD", "/api/version") + request_bytes("GET", "/"))
        assert (await read_answer(reader, has_body=False)).status == 200
        assert (await read_answer(reader)).body == b"Ollama is running"


async def test_more_callers_than_the_queue_holds_are_told_so(monkeypatch):
    monkeypatch.setattr("webui.practice.memory.QUEUE_LIMIT", 1)
    async with PracticeHost() as host, connection(host.url) as first, connection(host.url) as second:
        first[1].write(request_bytes("POST", "/api/chat", chat("fault-gate")))
        await host.wait_for(lambda: host.requests and host.requests[0].pieces_sent == 5)
        second[1].write(request_bytes("POST", "/api/chat", chat("fault-gate")))
        answer = await read_answer(second[0])
    assert answer.status == 503
    assert answer.value["error"] == "server busy, please try again.  maximum pending requests exceeded"


@pytest.mark.parametrize(
    ("host_name", "origin", "status"),
    [
        ("localhost:11435", "", 200),
        ("host.docker.internal", "", 200),
        ("10.1.2.3", "", 200),
        ("127.0.0.1", "http://localhost:8000", 200),
        ("10.1.2.3:1", "http://10.1.2.3:1", 200),
        ("127.0.0.1", "http://192.168.1.5:8000", 403),
        ("127.0.0.1", "https://evil.example", 403),
    ],
)
async def test_pages_of_other_places_may_not_ask(send, host_name, origin, status):
    origins = {"Origin": origin} if origin else {}
    assert (await send("GET", "/api/version", Host=host_name, **origins)).status == status


# For tests in other processes


async def test_another_process_sees_what_was_asked_and_opens_the_gate(host, send):
    async with connection(host.url) as (reader, writer):
        writer.write(request_bytes("POST", "/api/chat", chat("fault-gate")))
        await host.wait_for(lambda: host.requests and host.requests[0].pieces_sent == 5)
        (told,) = (await send("GET", "/practice/requests")).value
        assert (told["endpoint"], told["model"], told["pieces_sent"]) == ("/api/chat", "fault-gate", 5)
        assert (await send("POST", "/practice/release")).status == 200
        assert (await read_answer(reader)).lines[-1]["done"]


async def test_what_was_asked_is_shown_only_to_tests(old_host):
    assert (await ask(old_host.url, "GET", "/practice/requests")).status == 404


async def test_another_process_sets_the_speed(host, send):
    await send("POST", "/practice/settings", {"speed": 200})
    assert host.speed == 200
    await send("POST", "/practice/settings", {"speed": None})
    assert host.speed is None


# Vectors


async def test_vectors_have_length_one_and_are_the_same_for_the_same_text(send):
    body = {"model": "practice-embed", "input": ["a", "b", "a"], "dimensions": 8}
    answer = (await send("POST", "/api/embed", body)).value
    first, second, third = answer["embeddings"]
    assert first == third != second
    assert len(first) == 8
    assert abs(sum(value * value for value in first) - 1) < 1e-9
    assert list(answer) == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]


async def test_nothing_to_embed_gives_no_vectors(send):
    assert (await send("POST", "/api/embed", {"model": "practice-embed"})).value["embeddings"] == []
    assert (await send("POST", "/api/embeddings", {"model": "practice-embed"})).value == {"embedding": []}
