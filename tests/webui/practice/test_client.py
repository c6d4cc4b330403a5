"""Ollama's own client understands the host."""

import hashlib

import ollama
import pytest

QUESTION = [{"role": "user", "content": "Why?"}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"properties": {"days": {"type": "integer"}}}},
}


async def test_it_lists_and_shows_models(client):
    listed = [model.model for model in (await client.list()).models]
    assert "practice:latest" in listed
    shown = await client.show("practice-thinker")
    assert set(shown.capabilities) == {"completion", "thinking"}
    assert shown.modelinfo["general.architecture"] == "practice"


async def test_it_streams_a_chat(client):
    parts = [part async for part in await client.chat("practice", QUESTION, stream=True)]
    assert parts[-1].done
    assert parts[-1].eval_count == len(parts) - 1
    assert "practice model" in "".join(part.message.content for part in parts)


async def test_it_reads_a_whole_chat_with_thinking(client):
    answer = await client.chat("practice-thinker", QUESTION, think=True)
    assert answer.message.thinking
    assert answer.message.content


async def test_it_reads_calls_of_tools(client):
    messages = [{"role": "user", "content": "The weather of the next 3 days"}]
    answer = await client.chat("practice-tools", messages, tools=[WEATHER])
    (call,) = answer.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", {"days": 3})


async def test_it_streams_a_completion(client):
    parts = [part async for part in await client.generate("practice-counting", "to 3", stream=True)]
    assert "".join(part.response for part in parts) == "1 2 3"


async def test_it_reads_vectors(client):
    answer = await client.embed("practice-embed", ["a", "b"])
    assert len(answer.embeddings) == 2


async def test_it_follows_a_pull(client):
    steps = [step async for step in await client.pull("practice-small", stream=True)]
    assert steps[-1].status == "success"
    assert any(step.completed == step.total == 12_075_136 for step in steps)


async def test_it_makes_copies_and_deletes_a_model(client):
    made = await client.create("mine", from_="practice", system="Be brief.", parameters={"temperature": 0.5})
    assert made.status == "success"
    assert (await client.copy("mine", "other")).status == "success"
    assert (await client.delete("mine")).status == "success"
    assert (await client.show("other")).parameters.split() == ["temperature", "0.5"]


async def test_it_uploads_a_file_and_makes_a_model_from_it(client, tmp_path):
    file = tmp_path / "a.gguf"
    file.write_bytes(b"GGUF")
    digest = await client.create_blob(file)
    assert digest == f"sha256:{hashlib.sha256(b'GGUF').hexdigest()}"
    assert (await client.create("mine", files={"a.gguf": digest})).status == "success"


async def test_it_sees_what_runs_and_what_is_unloaded(client):
    await client.generate("practice", keep_alive=60)
    assert [model.model for model in (await client.ps()).models] == ["practice:latest"]
    await client.generate("practice", keep_alive=0)
    assert (await client.ps()).models == []


@pytest.mark.parametrize(
    ("model", "status", "error"),
    [
        ("nosuch", 404, "model 'nosuch' not found"),
        ("fault-st500", 500, "the host says 500"),
        ("fault-st503", 503, "the host says 503"),
    ],
)
async def test_it_tells_the_errors_of_a_host(client, model, status, error):
    with pytest.raises(ollama.ResponseError) as raised:
        await client.chat(model, QUESTION)
    assert (raised.value.status_code, raised.value.error) == (status, error)


async def test_it_tells_an_error_inside_a_stream(client):
    with pytest.raises(ollama.ResponseError, match="runner"):
        [part async for part in await client.chat("fault-miderr", QUESTION, stream=True)]
