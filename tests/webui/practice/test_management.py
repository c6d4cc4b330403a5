"""Pulling, pushing, making, copying and deleting models."""

import asyncio
import hashlib

import pytest

from webui.practice import wire

from .wire import ask, connection, read_chunk, read_head, request_bytes


def statuses(answer) -> list[str]:
    return [line.get("status") or f"error: {line['error']}" for line in answer.lines]


async def names(send) -> list[str]:
    return [model["name"] for model in (await send("GET", "/api/tags")).value["models"]]


# Pull


async def test_a_pull_tells_how_each_layer_arrives_and_the_model_is_there(send):
    answer = await send("POST", "/api/pull", {"model": "practice-small"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert statuses(answer)[0] == "pulling manifest"
    assert statuses(answer)[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    layer = [line for line in answer.lines if line.get("total") == 12_075_136]
    assert "completed" not in layer[0]
    done = [line.get("completed", 0) for line in layer]
    assert done == sorted(done)
    assert layer[0]["status"] == f"pulling {layer[0]['digest'].removeprefix('sha256:')[:12]}"
    assert (await names(send))[0] == "practice-small:latest"


async def test_what_is_there_already_is_not_transferred_again(send):
    await send("POST", "/api/pull", {"model": "practice-small"})
    again = await send("POST", "/api/pull", {"name": "practice-small"})
    assert [line["completed"] == line["total"] for line in again.lines if "total" in line] == [True, True]


async def test_a_pull_goes_on_where_the_last_one_stopped(host, send):
    async with pull(host, "fault-pull-gate") as first:
        await first.until_half()
    await host.wait_for(lambda: host.requests[0].outcome == "left")
    host.release()
    second = await send("POST", "/api/pull", {"model": "fault-pull-gate"})
    assert second.lines[1]["completed"] * 2 >= second.lines[1]["total"]
    assert statuses(second)[-1] == "success"


async def test_a_pull_goes_on_while_anybody_follows_it(host):
    async with pull(host, "fault-pull-gate") as stays:
        async with pull(host, "fault-pull-gate") as leaves:
            await stays.until_half()
            await leaves.until_half()
        await host.wait_for(lambda: "left" in [request.outcome for request in host.requests])
        host.release()
        assert b'"success"' in await stays.rest()


async def test_a_pull_stops_when_its_last_follower_leaves(host, send):
    async with pull(host, "fault-pull-gate") as one, pull(host, "fault-pull-gate") as other:
        await one.until_half()
        await other.until_half()
    await host.wait_for(lambda: [request.outcome for request in host.requests] == ["left", "left"])
    host.release()
    assert "fault-pull-gate:latest" not in await names(send)
    again = await send("POST", "/api/pull", {"model": "fault-pull-gate"})
    assert again.lines[1]["completed"] * 2 == again.lines[1]["total"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("nosuch", "pull model manifest: file does not exist"),
        ("fault-pull-newer", "pull model manifest: 412: this model requires a newer version of Ollama"),
        ("fault-pull-broken", "max retries exceeded: unexpected EOF"),
    ],
)
async def test_a_pull_that_fails_says_so_inside_its_stream(send, name, error):
    answer = await send("POST", "/api/pull", {"model": name})
    assert answer.status == 200
    assert answer.lines[0] == {"status": "pulling manifest"}
    assert answer.lines[-1] == {"error": error}


async def test_without_a_stream_a_pull_tells_only_its_end(send):
    good = await send("POST", "/api/pull", {"model": "practice-small", "stream": False})
    bad = await send("POST", "/api/pull", {"model": "nosuch", "stream": False})
    assert (good.status, good.value) == (200, {"status": "success"})
    assert (bad.status, bad.value) == (500, {"error": "pull model manifest: file does not exist"})
    assert good.headers["content-type"] == bad.headers["content-type"] == "application/json"


# Push


async def test_a_push_tells_of_each_layer(send):
    answer = await send("POST", "/api/push", {"model": "practice"})
    assert statuses(answer)[0] == "retrieving manifest"
    assert statuses(answer)[-2:] == ["pushing manifest", "success"]
    assert {line["total"] for line in answer.lines if "total" in line} == {4_096_000_000, 487}


async def test_an_unknown_model_cannot_be_pushed(send):
    answer = await send("POST", "/api/push", {"model": "nosuch"})
    assert answer.status == 200
    assert statuses(answer)[:2] == ["retrieving manifest", "couldn't retrieve manifest"]
    assert "no such file" in answer.lines[-1]["error"]


# Create


async def test_a_model_made_from_another_shares_its_weights_and_speaks_alike(send):
    body = {"model": "Counter", "from": "practice-counting", "system": "Count.", "parameters": {"stop": ["4"]}}
    answer = await send("POST", "/api/create", body)
    assert [status.rsplit(" ", 1)[0] for status in statuses(answer)[:2]] == [
        "using existing layer",
        "creating new layer",
    ]
    assert statuses(answer)[-2:] == ["writing manifest", "success"]
    shown = (await send("POST", "/api/show", {"model": "counter"})).value
    assert shown["system"] == "Count."
    assert shown["parameters"] == 'stop                           "4"'
    assert shown["details"]["parent_model"] == "practice-counting:latest"
    said = await send("POST", "/api/chat", {"model": "counter", "messages": [{"role": "user", "content": "to 9"}]})
    assert said.text == "1 2 3 "
    assert "Counter:latest" in await names(send)


async def test_the_messages_of_a_model_come_before_those_sent(send):
    messages = [{"role": "user", "content": "One two three"}, {"role": "assistant", "content": "four five"}]
    await send("POST", "/api/create", {"model": "mine", "from": "practice", "messages": messages})
    asked = {"messages": [{"role": "user", "content": "Why?"}], "stream": False}
    counts = [(await send("POST", "/api/chat", asked | {"model": name})).value for name in ("practice", "mine")]
    assert counts[1]["prompt_eval_count"] - counts[0]["prompt_eval_count"] == 5


async def test_a_name_in_other_letters_overwrites_and_keeps_its_spelling(send):
    await send("POST", "/api/create", {"model": "Mine", "from": "practice"})
    await send("POST", "/api/create", {"model": "MINE", "from": "practice-thinker"})
    assert [name for name in await names(send) if name.lower() == "mine:latest"] == ["Mine:latest"]
    assert "thinking" in (await send("POST", "/api/show", {"model": "mine"})).value["capabilities"]


async def test_a_base_that_is_missing_is_pulled_first(send):
    answer = await send("POST", "/api/create", {"model": "mine", "from": "practice-small"})
    assert statuses(answer)[0] == "pulling manifest"
    assert statuses(answer).count("success") == 1
    assert "practice-small:latest" in await names(send)


async def test_a_model_is_made_from_an_uploaded_file_and_quantised(send):
    digest = await upload(send, b"GGUF...")
    body = {"model": "mine", "files": {"a.gguf": digest}, "quantize": "q4_K_M"}
    answer = await send("POST", "/api/create", body)
    assert statuses(answer)[0] == "parsing GGUF"
    assert "quantizing F16 model to Q4_K_M" in statuses(answer)
    assert statuses(answer)[-1] == "success"
    details = (await send("POST", "/api/show", {"model": "mine"})).value["details"]
    assert details["quantization_level"] == "Q4_K_M"


async def test_a_file_that_was_not_uploaded_fails_inside_the_stream(send):
    body = {"model": "mine", "files": {"a.gguf": f"sha256:{'0' * 64}"}}
    answer = await send("POST", "/api/create", body)
    assert answer.status == 200
    assert statuses(answer)[0] == "parsing GGUF"
    assert answer.lines[-1] == {"error": f"open /models/blobs/sha256-{'0' * 64}: no such file or directory"}


async def test_quantising_what_is_quantised_is_refused(send):
    body = {"model": "mine", "from": "practice", "quantize": "Q8_0"}
    answer = await send("POST", "/api/create", body)
    assert answer.status == 500
    assert answer.value["error"] == "quantization is only supported for F16, BF16 and F32 models"


MODELFILE = '''# mine
FROM practice-counting
SYSTEM """Count
slowly."""
PARAMETER stop 4
parameter stop "5"
PARAMETER temperature 0.5
MESSAGE user count to 9
LICENSE free
'''


async def test_an_old_host_makes_models_from_modelfiles(old_host):
    made = await ask(old_host.url, "POST", "/api/create", {"name": "mine", "modelfile": MODELFILE})
    shown = (await ask(old_host.url, "POST", "/api/show", {"name": "mine"})).value
    assert statuses(made)[-1] == "success"
    assert shown["system"] == "Count\nslowly."
    assert shown["license"] == "free"
    assert shown["messages"] == [{"role": "user", "content": "count to 9"}]
    assert [line.split() for line in shown["parameters"].splitlines()] == [
        ["stop", '"4"'],
        ["stop", '"5"'],
        ["temperature", "0.5"],
    ]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"model": "mine", "from": "practice"}, "path or Modelfile are required"),
        ({"name": "mine", "modelfile": "SYSTEM x"}, "no FROM line"),
    ],
)
async def test_an_old_host_wants_a_modelfile(old_host, body, error):
    answer = await ask(old_host.url, "POST", "/api/create", body)
    assert (answer.status, answer.value) == (400, {"error": error})


# Copy, delete, blobs


async def test_a_copy_speaks_as_its_source_does(send):
    copied = await send("POST", "/api/copy", {"source": "practice-counting", "destination": "team/mine:v1"})
    assert (copied.status, copied.body) == (200, b"")
    body = {"model": "team/mine:v1", "messages": [{"role": "user", "content": "to 3"}]}
    assert (await send("POST", "/api/chat", body)).text == "1 2 3"


async def test_a_deleted_model_is_gone_for_callers_but_stays_in_memory(send):
    await send("POST", "/api/chat", {"model": "practice"})
    deleted = await send("DELETE", "/api/delete", {"name": "practice"})
    assert (deleted.status, deleted.body) == (200, b"")
    assert "practice:latest" not in await names(send)
    assert (await send("POST", "/api/chat", {"model": "practice"})).status == 404
    assert len((await send("GET", "/api/ps")).value["models"]) == 1


async def upload(send, content: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    await send("POST", f"/api/blobs/{digest}", content)
    return digest


async def test_a_blob_is_created_once(send):
    digest = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
    path = f"/api/blobs/{digest}"
    found = [await send(verb, path, b"x" if verb == "POST" else None) for verb in ("HEAD", "POST", "POST", "HEAD")]
    assert [answer.status for answer in found] == [404, 201, 200, 200]


async def test_a_blob_that_is_something_else_is_kept_under_its_true_digest(send):
    claimed, true = "sha256:" + "0" * 64, f"sha256:{hashlib.sha256(b'x').hexdigest()}"
    answer = await send("POST", f"/api/blobs/{claimed}", b"x")
    assert (answer.status, answer.value) == (400, {"error": f'digest mismatch, expected "{claimed}", got "{true}"'})
    assert (await send("HEAD", f"/api/blobs/{true.replace(':', '-')}")).status == 200
    assert (await send("GET", f"/api/blobs/{true}")).status == 405


async def test_a_caller_who_waits_to_be_told_to_go_on_is_told(host):
    digest = hashlib.sha256(b"x").hexdigest()
    async with connection(host.url) as (reader, writer):
        writer.write(
            request_bytes("POST", f"/api/blobs/sha256:{digest}", b"", Expect="100-continue", **{"Content-Length": "1"})
        )
        assert (await read_head(reader))[0] == 100
        writer.write(b"x")
        assert (await read_head(reader))[0] == 201


class Pull:
    """A pull that somebody follows."""

    def __init__(self, host, name: str) -> None:
        self._host, self._name = host, name

    async def __aenter__(self) -> "Pull":
        self._connection = connection(self._host.url)
        self._reader, writer = await self._connection.__aenter__()
        writer.write(request_bytes("POST", "/api/pull", {"model": self._name}))
        await read_head(self._reader)
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self._connection.__aexit__(*reason)

    async def until_half(self) -> None:
        async with asyncio.timeout(5):
            while b'"completed":6000000' not in await read_chunk(self._reader):
                pass

    async def rest(self) -> bytes:
        async with asyncio.timeout(5):
            return b"".join([chunk async for chunk in self._chunks()])

    async def _chunks(self):
        while chunk := await read_chunk(self._reader):
            yield chunk


def pull(host, name: str) -> Pull:
    return Pull(host, name)


async def test_a_file_may_be_larger_than_what_is_kept_of_a_request(host, monkeypatch):
    monkeypatch.setattr(wire, "MAX_BODY", 1000)
    file = b"x" * 200_000
    path = f"/api/blobs/sha256:{hashlib.sha256(file).hexdigest()}"

    assert (await ask(host.url, "POST", path, file)).status == 201
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await ask(host.url, "POST", "/api/pull", file)
