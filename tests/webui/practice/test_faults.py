"""Each fault, as bytes on the wire."""

import asyncio
import json

import pytest

from webui.practice.faults import BREAKS_AFTER

from .test_protocol import chat
from .wire import connection, read_answer, read_chunk, read_head, request_bytes


async def answer_of(send, model: str):
    return await send("POST", "/api/chat", chat(model))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503])
async def test_a_status_comes_with_json_html_or_nothing(send, status):
    as_json, as_html, as_nothing = [
        await answer_of(send, f"fault-st{status}{kind}") for kind in ("", "-html", "-empty")
    ]
    assert {as_json.status, as_html.status, as_nothing.status} == {status}
    assert "error" in as_json.value
    assert (as_html.headers["content-type"], as_html.body[:9]) == ("text/html", b"<!doctype")
    assert as_nothing.body == b""


@pytest.mark.parametrize("model", ["fault-hangheader", "fault-wedge"])
async def test_no_byte_comes_from_a_host_that_hangs(host, model):
    async with connection(host.url) as (reader, writer):
        writer.write(request_bytes("POST", "/api/chat", chat(model)))
        await host.wait_for(lambda: host.requests)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
    await host.wait_for(lambda: host.requests[0].outcome == "left")


async def test_a_wedged_model_answers_again_after_it_was_unloaded(host, send):
    async with connection(host.url) as (_, writer):
        writer.write(request_bytes("POST", "/api/chat", chat("fault-wedge")))
        await host.wait_for(lambda: host.requests)
    await send("POST", "/api/generate", {"model": "fault-wedge", "keep_alive": 0})
    assert (await answer_of(send, "fault-wedge")).lines[-1]["done"] is True


@pytest.mark.parametrize("model", ["fault-hang", "fault-slow"])
async def test_an_answer_freezes_after_some_pieces(host, model):
    async with connection(host.url) as (reader, writer):
        writer.write(request_bytes("POST", "/api/chat", chat(model)))
        await read_head(reader)
        for _ in range(BREAKS_AFTER):
            await read_chunk(reader)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)


async def test_an_answer_is_torn_off_by_a_reset(host):
    async with connection(host.url) as (reader, writer):
        writer.write(request_bytes("POST", "/api/chat", chat("fault-rst")))
        with pytest.raises(ConnectionResetError):
            await reader.read()
    await host.wait_for(lambda: host.requests[0].outcome == "fault")


async def test_an_answer_ends_cleanly_without_being_done(send):
    answer = await answer_of(send, "fault-trunc")
    assert answer.is_whole
    assert [line["done"] for line in answer.lines] == [False] * BREAKS_AFTER


async def test_an_error_ends_an_answer(send):
    answer = await answer_of(send, "fault-miderr")
    assert answer.is_whole
    assert answer.lines[-1] == {"error": "the <b>runner</b> has stopped"}


async def test_html_comes_instead_of_an_answer(send):
    answer = await answer_of(send, "fault-html")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")


async def test_lines_that_are_no_objects_stand_between_the_others(send):
    answer = await answer_of(send, "fault-garbage")
    assert answer.body.splitlines()[BREAKS_AFTER : BREAKS_AFTER + 3] == [b"{oops", b"null", b"[1,2]"]
    assert json.loads(answer.body.splitlines()[-1])["done"] is True


async def test_every_byte_comes_in_a_chunk_of_its_own_even_inside_characters(send):
    answer = await send("POST", "/api/chat", chat("fault-half", "汉字 😀"))
    assert {len(chunk) for chunk in answer.chunks[:-1]} == {1}
    assert "汉字" in answer.text
    assert "😀" in answer.text


@pytest.mark.parametrize(
    ("model", "raw"),
    [
        ("fault-badutf", b"caf\xe9 \xff\xfe"),
        ("fault-nul", b"a\\u0000b"),
        ("fault-nel", "x\u0085y\u2028z\u2029".encode()),
        ("fault-surr", b'"\\ud83d"'),
    ],
)
async def test_odd_bytes_stand_in_a_line(send, model, raw):
    answer = await answer_of(send, model)
    assert any(raw in chunk for chunk in answer.chunks)
    assert answer.is_whole


@pytest.mark.parametrize(("model", "ends"), [("fault-big", True), ("fault-noline", False)])
async def test_a_line_is_ten_megabytes_long(host, model, ends):
    async with connection(host.url) as (reader, writer):
        writer.write(request_bytes("POST", "/api/chat", chat(model)))
        answer = await read_answer(reader)
    at = next(at for at, chunk in enumerate(answer.chunks) if len(chunk) == 10 * 1024 * 1024)
    assert answer.chunks[at + 1].startswith(b"\n") is ends


async def test_two_thousand_pieces_come_without_a_pause(host, send):
    host.speed = 1
    answer = await answer_of(send, "fault-fast")
    assert answer.text == " ".join(str(number) for number in range(1, 2001))
    assert host.requests[0].pieces_sent >= 2000


async def test_harmful_text_is_sent_as_it_is(send):
    text = (await answer_of(send, "fault-xss")).text
    for harm in ("<script>", "onerror=", "javascript:", "hx-get", "ws-connect", "<style>", "<iframe", "data:text/html"):
        assert harm in text


async def test_fault_models_are_listed_only_when_wanted(host, old_host, send):
    listed = [model["name"] for model in (await send("GET", "/api/tags")).value["models"]]
    assert "fault-hang:latest" in listed
    async with connection(old_host.url) as (reader, writer):
        writer.write(request_bytes("GET", "/api/tags"))
        assert b"fault-" not in (await read_answer(reader)).body
