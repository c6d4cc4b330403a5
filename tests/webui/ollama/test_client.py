"""The client, against answers recorded from a real Ollama and against hosts that misbehave."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from webui.ollama import (
    AccessDenied,
    HostBusy,
    HostFailed,
    HostUnreachable,
    LineTooLong,
    ModelFailed,
    ModelNotFound,
    OllamaClient,
    OllamaError,
    RequestRefused,
    StreamBroken,
    StreamCut,
    StreamSilent,
    UnexpectedAnswer,
)
from webui.practice import PracticeHost

RECORDED = Path(__file__).parents[1] / "practice" / "recorded"
QUESTION = [{"role": "user", "content": "Why?"}]


def recorded(name: str) -> httpx.Response:
    head, _, body = (RECORDED / f"{name}.http").read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
    first, *rest = head.decode().splitlines()
    headers = [tuple(line.split(": ", 1)) for line in rest if not line.startswith("Transfer-Encoding")]
    kept = [(name, value) for name, value in headers if name != "Content-Length"]
    return httpx.Response(int(first.split()[1]), headers=kept, content=body)


class Pieces(httpx.AsyncByteStream):
    """A body that has not been read yet."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self):
        yield self._content


class Host(httpx.AsyncBaseTransport):
    """Answers as told, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict]] = []
        self.headers: httpx.Headers | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.method, request.url.path, json.loads(await request.aread() or b"{}")))
        self.headers = request.headers
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, stream=Pieces(answer.content))


def client_of(*answers, **options) -> tuple[OllamaClient, Host]:
    host = Host(*answers)
    return OllamaClient("http://host", transport=host, **options), host


async def chat(client: OllamaClient, model="practice", **more) -> list:
    return [chunk async for chunk in client.chat(model=model, messages=QUESTION, **more)]


# What real hosts say


async def test_an_answer_arrives_in_pieces_and_the_last_one_counts():
    client, _ = client_of(recorded("chat_stream"))
    chunks = await chat(client)

    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert "".join(chunk.text for chunk in chunks)
    assert chunks[-1].counters.output_tokens > 0
    assert chunks[-1].counters.total_ms > 1


async def test_an_answer_can_come_in_one_piece():
    client, _ = client_of(recorded("chat_nostream"))
    (chunk,) = await chat(client)

    assert chunk.done
    assert chunk.text


async def test_thinking_comes_apart_from_the_answer():
    client, _ = client_of(recorded("chat_think"))
    chunks = await chat(client, think=True)

    assert "".join(chunk.thinking for chunk in chunks)


async def test_calls_of_tools_are_passed_on():
    client, _ = client_of(recorded("chat_tools_native"))
    (call,) = [call for chunk in await chat(client) for call in chunk.tool_calls]

    assert call["function"]["name"]


async def test_a_completion_carries_its_context():
    client, _ = client_of(recorded("gen_stream"))
    chunks = [chunk async for chunk in client.generate(model="tiny", prompt="Why?")]

    assert all(isinstance(token, int) for token in chunks[-1].context)
    assert chunks[-1].context


async def test_vectors_come_one_for_each_text():
    client, _ = client_of(recorded("embed"))
    found = await client.embed(model="embed", texts=["a", "b"])

    assert len(found.vectors) == 2


async def test_what_is_in_memory():
    client, _ = client_of(recorded("ps"))
    running = await client.running()

    assert running
    assert all(model.name and model.size > 0 and model.expires_at for model in running)


async def test_creating_reports_its_steps():
    client, host = client_of(recorded("create_from"))
    steps = [step async for step in client.create("mine", {"from": "tiny", "modelfile": "FROM tiny\n"})]

    assert steps[-1].status == "success"
    assert host.asked[0][2] == {
        "from": "tiny",
        "modelfile": "FROM tiny\n",
        "model": "mine",
        "name": "mine",
        "stream": True,
    }


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ("err_chat404", ModelNotFound, "not found"),
        ("err_option", HostFailed, "num_ctx"),
        ("err_405", RequestRefused, "405"),
        ("err_host", AccessDenied, "403"),
    ],
)
async def test_a_refusal_keeps_the_hosts_words(answer, error, words):
    client, _ = client_of(recorded(answer))

    with pytest.raises(error, match=words) as raised:
        await chat(client)
    assert type(raised.value) is error


# How a stream ends


async def test_a_stream_that_ends_without_done_was_cut():
    client, _ = client_of(httpx.Response(200, content='{"message":{"content":"a"},"done":false}\n'))

    with pytest.raises(StreamCut):
        await chat(client)


async def test_what_came_before_the_cut_is_kept():
    client, _ = client_of(httpx.Response(200, content='{"message":{"content":"a"},"done":false}\n'))
    answer = client.chat(model="m", messages=QUESTION)

    assert (await anext(answer)).text == "a"


async def test_an_error_inside_a_stream_is_the_models():
    client, _ = client_of(httpx.Response(200, content='{"error":"CUDA error: out of memory"}\n'))

    with pytest.raises(ModelFailed, match="CUDA"):
        await chat(client)


@pytest.fixture
async def practice():
    async with PracticeHost(faults=True) as host:
        yield host


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("fault-rst", StreamBroken),
        ("fault-trunc", StreamBroken),
        ("fault-miderr", ModelFailed),
        ("fault-st503", HostBusy),
        ("fault-st429", HostBusy),
        ("fault-st400", RequestRefused),
        ("fault-st400-html", UnexpectedAnswer),
        ("fault-st400-empty", RequestRefused),
        ("fault-st401", AccessDenied),
        ("fault-st401-html", AccessDenied),
        ("fault-st403-empty", AccessDenied),
        ("fault-st404", ModelNotFound),
        ("fault-st404-html", UnexpectedAnswer),
        ("fault-st404-empty", RequestRefused),
        ("fault-st499", RequestRefused),
        ("fault-st500", HostFailed),
        ("fault-st502-html", HostFailed),
        ("fault-st502-empty", HostFailed),
        ("fault-st503-html", HostBusy),
        ("fault-html", UnexpectedAnswer),
        ("fault-rubbish", UnexpectedAnswer),
        ("fault-big", LineTooLong),
        ("nosuch", ModelNotFound),
    ],
)
async def test_each_fault_has_its_error(practice, model, error):
    async with OllamaClient(practice.url) as client:
        with pytest.raises(error) as raised:
            await chat(client, model)
    assert type(raised.value) in {error, StreamCut}


async def test_a_host_that_falls_silent_is_given_up(practice):
    async with OllamaClient(practice.url, idle_s=0.1) as client:
        with pytest.raises(StreamSilent):
            await chat(client, "fault-hang")


async def test_a_host_that_never_begins_is_given_up(practice):
    async with OllamaClient(practice.url, first_byte_s=0.1) as client:
        with pytest.raises(StreamSilent):
            await chat(client, "fault-hangheader")


async def test_closing_the_answer_ends_the_request_at_the_host(practice):
    async with OllamaClient(practice.url) as client:
        answer = client.chat(model="fault-gate", messages=QUESTION)
        await anext(answer)
        await answer.aclose()
        await practice.wait_for(lambda: practice.requests[-1].outcome == "left")


async def test_cancelling_the_caller_ends_the_request_at_the_host(practice):
    async with OllamaClient(practice.url) as client:
        task = asyncio.create_task(chat(client, "fault-gate"))
        await practice.wait_for(lambda: practice.requests and practice.requests[-1].pieces_sent)
        task.cancel()
        await practice.wait_for(lambda: practice.requests[-1].outcome == "left")


async def test_nothing_at_the_address(unused_tcp_port):
    async with OllamaClient(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(HostUnreachable):
            await client.version()


async def test_a_redirect_is_not_followed():
    """S27."""
    client, host = client_of(httpx.Response(302, headers={"Location": "http://169.254.169.254/"}))

    with pytest.raises(UnexpectedAnswer, match="redirects"):
        await client.version()
    assert len(host.asked) == 1


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_of_the_machine_never_gets_to_see_a_question(practice, monkeypatch, name):
    """S30."""
    seen = []

    async def proxy(reader, writer):
        seen.append(await reader.read(1000))
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with OllamaClient(practice.url) as client:
            await client.version()

    assert seen == []


# Requests


async def test_only_what_was_given_is_sent():
    client, host = client_of(recorded("chat_stream"))
    await chat(client, options={"seed": 1}, think=False)

    assert host.asked[0][2].keys() == {"model", "messages", "stream", "options", "think"}


async def test_a_bearer_token_is_sent():
    client, host = client_of(httpx.Response(200, json={"version": "1"}), bearer="secret")
    await client.version()

    assert host.headers["Authorization"] == "Bearer secret"


async def test_old_and_new_hosts_both_find_the_name_of_the_model():
    client, host = client_of(*[httpx.Response(200, content='{"status":"success"}\n')] * 2, httpx.Response(200))
    [step async for step in client.pull("tiny", insecure=True)]
    [step async for step in client.push("tiny")]
    await client.delete("tiny")

    assert [(body["model"], body["name"]) for _, _, body in host.asked] == [("tiny", "tiny")] * 3
    assert [body.get("insecure") for _, _, body in host.asked] == [True, None, None]


async def test_a_model_is_loaded_and_unloaded_without_a_question():
    client, host = client_of(recorded("gen_unload"), recorded("gen_unload"))
    await client.load("tiny", keep_alive="30m")
    await client.unload("tiny")

    assert [body.get("keep_alive") for _, _, body in host.asked] == ["30m", 0]


async def test_a_copy_names_both():
    client, host = client_of(recorded("copy"))
    await client.copy("tiny", "mine")

    assert host.asked == [("POST", "/api/copy", {"source": "tiny", "destination": "mine"})]


@pytest.mark.parametrize(("status", "there"), [(200, True), (404, False)])
async def test_whether_a_blob_is_there(status, there):
    client, _ = client_of(httpx.Response(status))

    assert await client.has_blob("sha256:00") is there


async def test_a_blob_is_sent_in_pieces(practice):
    async def pieces():
        for _ in range(3):
            yield b"GGUF"

    async with OllamaClient(practice.url) as client:
        with pytest.raises(RequestRefused, match="digest"):
            await client.upload_blob("sha256:" + "0" * 64, pieces())


async def test_what_a_host_says_of_a_blob_is_not_collected_without_end(monkeypatch):
    monkeypatch.setattr("webui.ollama.client.ANSWER_LIMIT", 1000)

    async def pieces():
        yield b"{}"

    client, _ = client_of(httpx.Response(201, content=bytes(1001)))
    with pytest.raises(UnexpectedAnswer, match="too long"):
        await client.upload_blob("sha256:00", pieces())


async def test_a_pull_that_ends_without_success_was_cut():
    client, _ = client_of(httpx.Response(200, content='{"status":"pulling manifest"}\n'))

    with pytest.raises(StreamCut):
        [step async for step in client.pull("tiny")]


async def test_a_pull_that_fails_keeps_the_hosts_words():
    client, _ = client_of(
        httpx.Response(200, content='{"status":"a"}\n{"error":"pull model manifest: file does not exist"}\n')
    )

    with pytest.raises(ModelFailed, match="manifest"):
        [step async for step in client.pull("tiny")]


# Old hosts


async def test_a_host_too_old_for_several_vectors_is_asked_one_by_one():
    client, host = client_of(
        httpx.Response(404, text="404 page not found"),
        httpx.Response(200, json={"embedding": [3, 4]}),
        httpx.Response(200, json={"embedding": [0, 0]}),
    )
    found = await client.embed(model="embed", texts=["a", "b"])

    assert found.vectors == ((0.6, 0.8), (0.0, 0.0))
    assert [path for _, path, _ in host.asked] == ["/api/embed", "/api/embeddings", "/api/embeddings"]


async def test_a_model_that_is_not_there_is_not_taken_for_an_old_host():
    client, host = client_of(recorded("err_chat404"))

    with pytest.raises(ModelNotFound):
        await client.embed(model="nosuch", texts=["a"])
    assert len(host.asked) == 1


async def test_a_host_too_old_to_say_what_runs_has_nothing_running():
    client, _ = client_of(httpx.Response(404, text="404 page not found"))

    assert await client.running() == []


@pytest.mark.parametrize(
    ("shown", "capabilities"),
    [
        ({"template": "{{ .Prompt }}"}, ["completion"]),
        ({"template": "{{ .Tools }}{{ .Suffix }}"}, ["completion", "tools", "insert"]),
        ({"details": {"family": "bert"}}, ["embedding"]),
        ({"details": {"families": ["llama", "clip"]}}, ["completion", "vision"]),
        ({"projector_info": {"a": 1}}, ["completion", "vision"]),
        ({"capabilities": ["completion", "thinking"]}, ["completion", "thinking"]),
    ],
)
async def test_what_a_model_can_do_is_said_or_derived(shown, capabilities):
    client, _ = client_of(httpx.Response(200, json=shown))

    assert list((await client.show("m")).capabilities) == capabilities


async def test_an_old_host_puts_keys_in_another_order_and_leaves_some_out():
    client, _ = client_of(
        httpx.Response(200, content='{"message":{"content":"a"}}\n{"done_reason":"stop","done":true,"eval_count":1}\n')
    )
    chunks = await chat(client)

    assert [chunk.text for chunk in chunks] == ["a", ""]
    assert chunks[-1].done_reason == "stop"


# Hosts that lie


@pytest.mark.parametrize(
    "models",
    [
        None,
        "x",
        [7, "x", None],
        [{"name": 7, "size": "big", "details": "x", "capabilities": 5}],
        [{"name": "m", "size": -1, "details": {"family": ["x"]}, "capabilities": [1, None, "completion"]}],
    ],
)
async def test_a_list_of_models_in_another_shape_is_taken_for_what_it_holds(models):
    client, _ = client_of(httpx.Response(200, json={"models": models}), httpx.Response(200, json={"models": models}))

    for model in await client.models():
        assert isinstance(model.name, str)
        assert isinstance(model.size, int)
        assert all(isinstance(word, str) for word in model.capabilities)
    for running in await client.running():
        assert isinstance(running.size_vram, int)


@pytest.mark.parametrize(
    "line",
    [
        '{"message":"x","done":false}',
        '{"message":{"content":7,"thinking":["a"],"tool_calls":"x"}}',
        '{"message":null,"done":"yes"}',
        '{"eval_count":"many","total_duration":null}',
    ],
)
async def test_a_line_in_another_shape_does_no_harm(line):
    last = '{"done":true,"eval_count":"many","total_duration":"x","done_reason":7}'
    client, _ = client_of(httpx.Response(200, content=f"{line}\n{last}\n"))

    assert [chunk.text for chunk in await chat(client)] == ["", ""]


@pytest.mark.parametrize("body", [b"[]", b"7", b"<html>", b"\xff\xff", b'"x"'])
async def test_an_answer_that_is_no_object_is_not_ollamas(body):
    client, _ = client_of(httpx.Response(200, content=body))

    with pytest.raises(UnexpectedAnswer):
        await client.version()


async def test_an_endless_answer_is_given_up(monkeypatch):
    monkeypatch.setattr("webui.ollama.client.ANSWER_LIMIT", 1000)
    client, _ = client_of(httpx.Response(200, content=b"a" * 2000))

    with pytest.raises(UnexpectedAnswer, match="too long"):
        await client.version()


def _every_error(kind: type[OllamaError]) -> list[type[OllamaError]]:
    return [kind, *(found for each in kind.__subclasses__() for found in _every_error(each))]


def test_every_error_has_a_word_of_its_own():
    kinds = [error.kind for error in _every_error(OllamaError) if error.__module__ == OllamaError.__module__]

    assert len(set(kinds)) == len(kinds)


def test_what_a_host_says_is_shortened():
    assert len(str(RequestRefused("x" * 10_000))) == 500


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("2", 2), ("", None), ("soon", None), ("-1", None), ("9" * 20, None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
async def test_a_busy_host_may_say_when_to_come_again(said, seconds):
    client, _ = client_of(httpx.Response(429, headers={"Retry-After": said}))

    with pytest.raises(HostBusy) as raised:
        await chat(client)

    assert raised.value.retry_after_s == seconds
