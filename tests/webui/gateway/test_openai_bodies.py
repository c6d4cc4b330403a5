"""Whatever a script sends to OpenAI's endpoints, and whatever a host answers, has an answer."""

import contextlib
import copy
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webui.gateway.test_openai import CALLED, SCHEMA, SEEN, WEATHER
from webui.gateway import openai_answers, openai_asked
from webui.gateway.refusals import Refused
from webui.ollama import Counters, OllamaError

ODD = [None, True, 5, -1, 1.5, 1e400, "", "x", "\ud83d", [], [5], [None], [[]], {}, {"a": 1}, {"type": []}]
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA"}}
BOTH = {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "stop": ["a"], "seed": 1}
CHAT = {
    **BOTH,
    "messages": [*SEEN, *CALLED, {"role": "user", "content": [SOUND], "reasoning": "a"}],
    "tools": [WEATHER],
    "response_format": SCHEMA,
    "reasoning": {"effort": "low"},
    "temperature": 1.0,
}
ASKED = {
    openai_asked.chat: CHAT,
    openai_asked.completion: {**BOTH, "prompt": "a", "suffix": "b", "logprobs": 1},
    openai_asked.vectors: {"model": "m", "input": ["a"], "dimensions": 1, "encoding_format": "float"},
}
CALL = {"id": "1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}}
SAID = {"role": "assistant", "content": "a", "thinking": "b", "tool_calls": [CALL]}
LINE = {"model": "m", "created_at": "", "message": SAID, "response": "a", "done": True, "done_reason": "stop"}


def places_in(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from places_in(each, (*path, name))


def with_one_odd(value):
    """The same again and again, each time with something odd somewhere."""
    for *path, name in filter(None, places_in(value)):
        for odd in ODD:
            changed = copy.deepcopy(value)
            place = changed
            for step in path:
                place = place[step]
            place[name] = odd
            yield changed


@pytest.mark.parametrize(("read", "sound"), ASKED.items(), ids=["chat", "completion", "vectors"])
def test_a_body_is_understood_or_refused(read, sound):
    read(sound)
    for body in with_one_odd(sound):
        with contextlib.suppress(Refused):
            said = {name: value for name, value in body.items() if value is not None}  # as a body is read
            json.dumps(read(said))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("form_for", [openai_answers.chat, openai_answers.completion])
def test_an_answer_is_put_in_other_words_or_called_odd(form_for, stream):
    for line in with_one_odd(LINE):
        form = form_for({"model": "m", "stream": stream})
        with contextlib.suppress(OllamaError):
            said = form.take(json.dumps(line).encode()) + form.end(Counters())
            assert said.isascii()


@given(content=st.text('[]{},:"embeddings 1.e-', max_size=60).map(str.encode), encoding=st.sampled_from(["", "base64"]))
def test_vectors_are_json_or_called_odd(content, encoding):
    form = openai_answers.vectors({"model": "a", "encoding_format": encoding})
    with contextlib.suppress(OllamaError):
        said = form.take(b'{"embeddings": [' + content) + form.end(Counters(prompt_tokens=1))
        assert json.loads(said)["usage"] == {"prompt_tokens": 1, "total_tokens": 1}


@given(
    vectors=st.lists(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=4), max_size=4),
    cuts=st.lists(st.integers(0, 200)),
)
def test_vectors_are_the_same_however_they_come(vectors, cuts):
    content = json.dumps({"model": "a", "embeddings": vectors, "total_duration": 1}).encode()
    ends = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    form = openai_answers.vectors({"model": "a"})
    said = b"".join(form.take(content[start:end]) for start, end in itertools.pairwise(ends))

    found = json.loads(said + form.end(Counters()))["data"]
    assert [each["embedding"] for each in found] == vectors
    assert [each["index"] for each in found] == list(range(len(vectors)))
