"""Answers that are passed on as they come."""

import json

import httpx
import pytest

from webui.ollama import Counters, OllamaClient, StreamCut, UnexpectedAnswer
from webui.ollama.relay import in_lines

DONE = {"message": {"content": ""}, "done": True, "eval_count": 3}
CALL = {"message": {"tool_calls": [{"function": {"name": "close", "arguments": {"done": True}}}]}, "done": False}


def line(value) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("kind", ["text/html; json", "application/json; charset=茶", "application/json, text/html"])
async def test_of_what_kind_an_answer_is_no_host_makes_up(kind):
    answer = httpx.Response(200, headers=[(b"content-type", kind.encode())], content=coming(line(DONE)))
    async with OllamaClient("http://host", transport=httpx.MockTransport(lambda _: answer)) as client:
        with pytest.raises(UnexpectedAnswer):
            await anext(client.relay("/api/chat", {}))


async def coming(*chunks: bytes):
    for chunk in chunks:
        yield chunk


async def passed_on(*chunks: bytes) -> list[bytes | Counters]:
    return [piece async for piece in in_lines(coming(*chunks))]


async def test_the_figures_follow_the_last_line():
    assert await passed_on(line(CALL), line(DONE)) == [line(CALL), line(DONE), Counters(output_tokens=3)]


async def test_a_tool_that_is_told_of_something_done_ends_no_answer():
    with pytest.raises(StreamCut):
        await passed_on(line(CALL))


@pytest.mark.parametrize("chunks", [[line(CALL) + line(DONE)[:-1]], [line(CALL), line(DONE)[:20], line(DONE)[20:-1]]])
async def test_the_last_line_counts_even_if_it_does_not_end(chunks):
    assert b"".join((await passed_on(*chunks))[:-1]) == line(CALL) + line(DONE)


async def test_half_a_line_is_not_passed_on():
    pieces = in_lines(coming(line(CALL), line(DONE)[:20]))

    assert await anext(pieces) == line(CALL)
    with pytest.raises(StreamCut):
        await anext(pieces)
