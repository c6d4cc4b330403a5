"""Whatever is sent to an address of the API is answered in words, and nothing breaks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_fuzz import ANY_JSON, VALUES, tries
from webui.asgi import api

SAID = [{"role": "user", "content": "Why?"}]
# What each address could be sent; of that something is left out, or something else put in its place.
FINE = {
    "/api/show": {"model": "practice", "verbose": True},
    "/api/chat": {"model": "practice", "messages": SAID, "stream": False, "format": "json", "options": {}},
    "/api/generate": {"model": "practice", "prompt": "Why?", "system": "", "context": [1], "raw": False, "images": []},
    "/api/embed": {"model": "practice-embed", "input": ["a"], "dimensions": 8, "truncate": True},
    "/api/embeddings": {"model": "practice-embed", "prompt": "a", "options": {}},
    "/api/pull": {"model": "practice-small", "insecure": False, "stream": False},
    "/api/push": {"name": "practice", "stream": True},
    "/api/create": {
        "model": "mine",
        "from": "practice",
        "parameters": {"temperature": 1},
        "messages": SAID,
        "files": {},
    },
    "/api/copy": {"source": "practice", "destination": "other"},
    "/api/delete": {"model": "other"},
    "/v1/chat/completions": {"model": "practice", "messages": SAID, "stream": True, "max_tokens": 3, "stop": ["a"]},
    "/v1/completions": {"model": "practice", "prompt": "Why?", "temperature": 1, "seed": 1, "suffix": ""},
    "/v1/embeddings": {"model": "practice-embed", "input": "a", "dimensions": 8, "encoding_format": "base64"},
}
MORE = [
    *(
        "think",
        "logprobs",
        "top_logprobs",
        "tools",
        "suffix",
        "template",
        "keep_alive",
        "adapters",
        "license",
        "quantize",
    ),
    *("modelfile", "renderer", "n", "response_format", "stream_options", "reasoning_effort", "user", "Model"),
]
MODELS = st.sampled_from(["practice", "practice-embed", " PRACTICE:latest", "nosuch", "a b", ""])
INSIDE = st.dictionaries(st.sampled_from(["temperature", "stop", "num_ctx", "role", "content", "type", "a"]), ANY_JSON)
ODD = MODELS | ANY_JSON | INSIDE | st.lists(INSIDE, max_size=2)
PARTS = st.sampled_from(["practice", "sha256:" + "0" * 64, "a%00", "..", "", "%ff", "a/b"])
RAW = st.binary(max_size=40) | VALUES.map(lambda value: value.encode("utf-8", "surrogatepass"))
VERBS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"]


@st.composite
def bodies(draw, path: str) -> bytes:
    fine = FINE.get(path, {})
    fields = draw(st.lists(st.sampled_from([*fine, *fine, *MORE]), max_size=2))
    missing = draw(st.sampled_from([None, None, None, *fine]))
    body = {name: value for name, value in fine.items() if name != missing} | {name: draw(ODD) for name in fields}
    return draw(st.just(json.dumps(body).encode()) | RAW | st.just(json.dumps(body).encode()))


@st.composite
def requests(draw) -> tuple[str, str, bytes]:
    verb, path = draw(st.sampled_from(sorted(api)))
    place = path.replace("{digest}", draw(PARTS)).replace("{model}", draw(PARTS))
    return draw(st.sampled_from([verb] * 20 + VERBS)), f"/ollama{place}", draw(bodies(path))


@pytest.mark.filterwarnings("ignore:Do not use the `random`")  # a thread of the portal's does meanwhile
@tries
@given(sent=st.lists(requests(), min_size=10, max_size=10))
async def test_no_request_breaks_the_api(portal, jobs, practice, admin_token, caplog, sent):
    """S48. An error is told in words, and is the host's if it is nobody's fault."""
    for verb, path, body in sent:
        asked = len(practice.requests)
        answer = await portal.ask(verb, path, body, token=admin_token)

        assert answer.is_whole
        assert answer.status < 500 or len(practice.requests) > asked, (verb, path, body, answer.body)
        if answer.status >= 400 and "json" in answer.headers["content-type"] and verb != "HEAD":
            assert list(answer.value) == ["error"]
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
