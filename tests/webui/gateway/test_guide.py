"""The calls of the guide that our users have on their desks, with only the address and the token changed.

They get what a current Ollama answers, and Ollama's own errors where the guide is older than it.
"""

import asyncio
import json
import os
import shutil
import sys
from dataclasses import replace

import pytest
import requests
from django.utils import timezone

from tests.webui.gateway.test_managing import last_of_each
from tests.webui.gateway.test_native import lasting
from tests.webui.practice.wire import ask
from webui.inference.models import InstalledModel
from webui.practice import PracticeHost, registry

ITS_MODELS = ["llama2", "llama3"]
NO_EMBEDDER = "This server does not support embeddings. Start it with `--embeddings`"


class Place:
    """Where the calls go: a host, or the portal with a token."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self.token = token
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}


@pytest.fixture
async def host(monkeypatch):
    """Asked by itself."""
    monkeypatch.setattr(registry, "SMALL", replace(registry.SMALL, name="mistral:latest"))
    async with PracticeHost(faults=True) as host:
        await stock(host.url)
        yield Place(host.url)


@pytest.fixture
async def gateway(host, portal, practice, jobs, admin_token):
    await stock(practice.url)
    for model in ITS_MODELS:
        known = {"name": f"{model}:latest", "digest": model, "loaded": True, "seen_at": timezone.now()}
        await InstalledModel.objects.acreate(host=portal.host, **known)
    return Place(portal.url, admin_token)


async def stock(url: str) -> None:
    for model in ITS_MODELS:
        assert (await ask(url, "POST", "/api/copy", {"source": "practice", "destination": model})).status == 200


# curl

CURL = {
    "list": ("/api/tags",),
    "pull": ("/api/pull", "-d", '{"name": "mistral"}'),
    "delete": ("-X", "DELETE", "/api/delete", "-d", '{"name": "llama2"}'),
    "create": ("/api/create", "-d", r'{"name": "my-llama","modelfile": "FROM llama3\nSYSTEM 你是一个法律助手" }'),
}


async def by_curl(place: Place) -> dict[str, list]:
    """The status and the lines of every answer."""
    said = {}
    for name, line in CURL.items():
        words = [f"{place.url}{word}" if word.startswith("/") else word for word in line]
        shown = [word for name, value in place.headers.items() for word in ("-H", f"{name}: {value}")]
        curl = await asyncio.create_subprocess_exec(
            "curl", "-s", "-w", "\n%{http_code}", *words, *shown, stdout=asyncio.subprocess.PIPE
        )
        body, _, status = (await curl.communicate())[0].rpartition(b"\n")
        lines = [_without_times(json.loads(part)) for part in body.splitlines()]
        said[name] = [int(status), *last_of_each(lines)]
    return said


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
async def test_its_lines_of_curl(host, gateway):
    direct, through = await by_curl(host), await by_curl(gateway)

    assert through == direct
    assert "llama3:latest" in {model["name"] for model in through["list"][1]["models"]}
    assert (through["pull"][1], through["pull"][-1]) == ({"status": "pulling manifest"}, {"status": "success"})
    assert through["delete"] == [200]
    assert through["create"] == [400, {"error": "neither 'from' or 'files' was specified"}]


# requests

GENERATE = {
    "model": "llama3",
    "prompt": "输入文本",
    "system": "系统提示",
    "template": "{{ .Prompt }}",
    "context": [1, 2, 3],
    "stream": False,
    "options": {"temperature": 0.8, "top_p": 0.9, "max_tokens": 1000, "num_ctx": 4096},
}
MESSAGES = [
    {"role": "user", "content": "如何学习Python?"},
    {"role": "assistant", "content": "先掌握基础语法。"},
    {"role": "user", "content": "推荐一本书?"},
]
TUNED = {"num_ctx": 4096, "num_gqa": 8, "num_gpu": 1, "main_gpu": 0, "temperature": 0.7, "repeat_penalty": 1.1}


def by_requests(place: Place) -> dict[str, object]:
    def post(path: str, **body: object) -> requests.Response:
        return requests.post(f"{place.url}{path}", json=body, headers=place.headers)

    def read(answer: requests.Response) -> object:
        return answer.status_code, _without_times(answer.json()) if answer.text else None

    stream = {"model": "llama3", "prompt": "写一篇科幻小说开头", "stream": True}
    told = requests.post(f"{place.url}/api/generate", json=stream, headers=place.headers, stream=True)
    first = post("/api/generate", model="llama3", prompt="你好", stream=False)
    with pytest.raises(requests.exceptions.JSONDecodeError) as not_one:
        post("/api/chat", model="llama3", messages=MESSAGES).json()
    return {
        "list": read(requests.get(f"{place.url}/api/tags", headers=place.headers)),
        "pull": read(post("/api/pull", name="mistral", stream=False)),
        "delete": read(requests.delete(f"{place.url}/api/delete", json={"name": "llama2"}, headers=place.headers)),
        "generate": read(post("/api/generate", **GENERATE)),
        "streamed": "".join(json.loads(line)["response"] for line in told.iter_lines() if line),
        "chat": read(post("/api/chat", model="llama3", messages=MESSAGES, stream=False)),
        "chat without stream": str(not_one.value).split(":")[0],
        "embeddings": read(post("/api/embeddings", model="llama3", prompt="自然语言处理")),
        "embeddings that can be": read(post("/api/embeddings", model="practice-embed", prompt="自然语言处理")),
        "going on": read(
            post("/api/generate", model="llama3", prompt="继续上文", context=first.json()["context"], stream=False)
        ),
        "tuned": read(post("/api/generate", model="llama3", prompt="你好", options=TUNED, stream=False)),
        "wrong": read(post("/api/generate", model="llama3", prompt="你好", options={"temperature": "hot"})),
        "no such model": read(post("/api/generate", model="nosuch", prompt="你好")),
        "half a request": read(requests.post(f"{place.url}/api/chat", data='{"model":', headers=place.headers)),
    }


async def test_its_lines_of_python(host, gateway):
    direct, through = await asyncio.to_thread(by_requests, host), await asyncio.to_thread(by_requests, gateway)
    status, generated = through["generate"]

    assert {name: said for name, said in through.items() if said != direct[name]} == {}
    assert (through["pull"], through["delete"]) == ((200, {"status": "success"}), (200, None))
    assert (status, {"model", "response", "context", "done"} <= generated.keys()) == (200, True)
    assert through["streamed"]
    assert (through["chat"][1]["message"]["role"], "context" in through["chat"][1]) == ("assistant", False)
    assert through["chat without stream"] == "Extra data"
    assert through["embeddings"] == (500, {"error": NO_EMBEDDER})
    assert len(through["embeddings that can be"][1]["embedding"]) > 5
    assert [through[name][0] for name in ("going on", "tuned", "no such model")] == [200, 200, 404]
    assert through["wrong"] == (500, {"error": 'option "temperature" must be of type float32'})
    assert through["half a request"] == (400, {"error": "unexpected EOF"})


# The client

SCRIPT = """
import ollama
response = ollama.generate(model='llama3', prompt='用一句话解释人工智能', options={'temperature': 0.5})
print(response['response'])
stream = ollama.chat(model='llama3', messages=[{'role': 'user', 'content': '写一首五言绝句'}], stream=True)
for chunk in stream: print(chunk['message']['content'], end='', flush=True)
print()
embedding = ollama.embeddings(model='llama3', prompt='深度学习')
print(embedding['embedding'][:5])
"""


async def by_script(place: Place) -> list[str]:
    """What it prints; of an error the last line."""
    environment = {**os.environ, "OLLAMA_HOST": place.url, "OLLAMA_API_KEY": place.token, "PYTHONUTF8": "1"}
    script = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SCRIPT),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = (part.decode().splitlines() for part in await script.communicate())
    return [*out, err[-1]]


async def test_its_script(host, gateway):
    """A model that answers gives no vectors any more."""
    direct, through = await asyncio.gather(by_script(host), by_script(gateway))

    assert through == direct
    assert len(through) > 2
    assert through[-1] == f"ollama._types.ResponseError: {NO_EMBEDDER} (status code: 500)"


def _without_times(found: dict) -> dict:
    """And without dates, and the order of a list."""
    if "models" in found:
        found["models"] = sorted(({**model, "modified_at": ""} for model in found["models"]), key=str)
    return lasting(found)
