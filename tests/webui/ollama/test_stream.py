"""From bytes to objects."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.ollama import ModelFailed, UnexpectedAnswer, stream
from webui.ollama.stream import BAD_LINES, Cleaner, Lines, error_text, objects, parse


async def chunks(*parts: bytes):
    for part in parts:
        yield part


def lines_of(*parts: bytes) -> list[bytes]:
    lines = Lines()
    return [line for part in parts for line in lines.take(part)] + lines.last()


async def objects_of(*parts: bytes) -> list[dict]:
    return [found async for found in objects(chunks(*parts))]


def test_lines_end_at_the_newline_byte_and_nowhere_else():
    text = '{"a":"\u2028\u2029\x85\x0b\x0c"}'.encode()

    assert lines_of(text + b"\n" + text) == [text, text]


def test_a_last_line_needs_no_newline():
    assert lines_of(b"a\nb") == [b"a", b"b"]


@given(st.lists(st.binary(max_size=20)), st.data())
def test_where_the_bytes_are_cut_does_not_matter(wanted, data):
    wanted = [line.replace(b"\n", b"") for line in wanted]
    raw = b"".join(line + b"\n" for line in wanted)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    parts = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    assert lines_of(*parts) == wanted


def test_a_line_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(stream, "LINE_LIMIT", 1000)

    with pytest.raises(UnexpectedAnswer, match="too long"):
        lines_of(*[b"a" * 300] * 4)


async def test_blank_lines_are_passed_over():
    assert await objects_of(b'\n\r\n{"a":1}\n  \n') == [{"a": 1}]


async def test_a_few_lines_of_something_else_are_passed_over():
    assert await objects_of(b"oops\n[1]\n7\n", b'{"a":1}\n') == [{"a": 1}]


async def test_many_lines_of_something_else_are_no_answer():
    with pytest.raises(UnexpectedAnswer):
        await objects_of(b"oops\n" * (BAD_LINES + 1))


async def test_an_error_line_ends_the_stream():
    with pytest.raises(ModelFailed, match="out of memory"):
        await objects_of(b'{"a":1}\n{"error":"out of memory"}\n')


async def test_what_came_before_an_error_line_is_passed_on():
    found = objects(chunks(b'{"a":1}\n{"error":"out of memory"}\n'))

    assert await anext(found) == {"a": 1}
    with pytest.raises(ModelFailed):
        await anext(found)


async def test_bytes_that_are_not_utf8_become_replacement_characters():
    assert await objects_of(b'{"a":"\xff"}\n') == [{"a": "\ufffd"}]


def test_json_that_is_nested_too_deep_is_no_object():
    assert parse(b"[" * 100_000) is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("plain", "plain"),
        (json.dumps({"error": {"code": 400, "message": "too long", "n_ctx": 512}}), "too long"),
        ({"message": "an object"}, "an object"),
        ({"other": 1}, '{"other": 1}'),
        ("{not json", "{not json"),
        (None, "None"),
    ],
)
def test_the_sentence_is_found_in_whatever_form_an_error_has(error, sentence):
    assert error_text(error) == sentence


def test_a_character_cut_in_two_is_joined_again():
    clean = Cleaner()

    assert clean("a\ud83c") + clean("\udf75b") == "a🍵b"


def test_half_a_character_at_the_end_is_replaced():
    clean = Cleaner()

    assert clean("a\ud83c", last=True) == "a\ufffd"


@pytest.mark.parametrize("piece", [None, 7, ["a"], {"a": 1}])
def test_a_piece_that_is_no_text_says_nothing(piece):
    assert Cleaner()(piece) == ""
