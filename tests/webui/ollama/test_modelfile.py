"""Modelfiles, beside what Ollama's own parser makes of them (data/modelfiles.jsonl was written with it)."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.ollama.modelfile import ROLES, Command, Modelfile, ModelfileError, parse

GOLDEN = [json.loads(line) for line in (Path(__file__).parent / "data" / "modelfiles.jsonl").read_text().splitlines()]
READABLE = [case for case in GOLDEN if "commands" in case]
# Their files exist for Ollama's client alone; ours are uploaded first.
WITH_FILES = ("ADAPTER", "DRAFT")


def name_of(case: dict) -> str:
    return json.dumps(case["in"])[:50]


def as_golden(command: Command) -> list[str]:
    """A command as Ollama's parser gives it."""
    if command.name == "message":
        return ["message", f"{command.key}: {command.value}"]
    if command.name == "parameter":
        return [command.key, command.value]
    return ["model" if command.name == "from" else command.name, command.value]


@pytest.mark.parametrize("case", READABLE, ids=name_of)
def test_what_ollama_reads_is_read_the_same(case):
    assert [as_golden(command) for command in parse(case["in"]).commands] == case["commands"]


@pytest.mark.parametrize("case", [case for case in GOLDEN if "error" in case], ids=name_of)
def test_what_ollama_refuses_is_refused_in_its_words(case):
    with pytest.raises(ModelfileError) as raised:
        parse(case["in"])
    place, _, reason = case["error"].rpartition("): ")

    assert raised.value.reason == reason
    if place:  # Ollama counts the newline that ends a bad command, we do not
        assert int(place.removeprefix("(line ")) - raised.value.line in {0, 1}


@pytest.mark.parametrize("case", [case for case in READABLE if "req" in case], ids=name_of)
def test_the_request_to_create_it_is_the_one_ollamas_client_sends(case):
    expected = {name: value for name, value in case["req"].items() if value}

    assert parse(case["in"]).request() == expected


@pytest.mark.parametrize("case", [case for case in READABLE if "req_error" in case], ids=name_of)
def test_what_cannot_be_created_is_refused_before_it_is_sent(case):
    with pytest.raises(ModelfileError) as raised:
        parse(case["in"]).request()

    assert raised.value.line > 1
    if not any(word in case["in"] for word in WITH_FILES):
        assert raised.value.reason == case["req_error"]


@pytest.mark.parametrize("case", [case for case in READABLE if '"' not in case["string"]], ids=name_of)
def test_it_is_written_as_ollama_writes_it(case):
    assert str(parse(case["in"])) == case["string"]


@pytest.mark.parametrize("case", READABLE, ids=name_of)
def test_what_was_read_is_read_the_same_after_it_was_written(case):
    commands = parse(case["in"]).commands
    again = parse(str(Modelfile(commands))).commands

    assert list(map(as_golden, again)) == list(map(as_golden, commands))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("FROM a\n\nBOGUS x\n", 3),
        ("FROM a\nSYSTEM\n", 2),
        ('FROM a\n\n\nSYSTEM "open\nand more\n', 4),
        ("FROM a\nSYS", 2),
    ],
)
def test_an_error_names_the_line_of_its_command(text, line):
    with pytest.raises(ModelfileError) as raised:
        parse(text)

    assert raised.value.line == line


@pytest.mark.parametrize("value", ['a"""\nb', '"""\nb', 'a\nb"""  \nc'])
def test_a_value_the_grammar_cannot_hold_is_not_written(value):
    with pytest.raises(ModelfileError, match="ends in"):
        str(Modelfile((Command("from", "a"), Command("system", value))))


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("num_ctx 99999999999", "invalid int value [99999999999]"),
        ("num_ctx 4_096", "invalid int value [4_096]"),
        ("num_ctx ４０９６", "invalid int value [４０９６]"),
        pytest.param(f"num_ctx {'9' * 5000}", f"invalid int value [{'9' * 5000}]", id="num_ctx of 5000 digits"),
        ("top_p 0_5", "invalid float value [0_5]"),
        ("temperature ０.５", "invalid float value [０.５]"),
        ("temperature nan", "invalid float value [nan]"),
        ("temperature inf", "invalid float value [inf]"),
        ("temperature 1e39", "invalid float value [1e39]"),
        ("use_mmap maybe", "invalid bool value [maybe]"),
    ],
)
def test_a_parameter_of_another_type_is_refused(parameter, reason):
    with pytest.raises(ModelfileError) as raised:
        parse(f"FROM a\nPARAMETER {parameter}\n").request()

    assert (raised.value.reason, raised.value.line) == (reason, 2)


@pytest.mark.parametrize(("text", "number"), [("1", 1.0), ("+.5", 0.5), ("5.", 5.0), ("-1E-3", -0.001)])
def test_a_number_is_read_however_it_is_written(text, number):
    assert parse(f"FROM a\nPARAMETER temperature {text}\n").request()["parameters"] == {"temperature": number}


@pytest.mark.parametrize("text", ["FROM a\r\nSYSTEM b\r\n", "FROM a\rSYSTEM b", "FROM a \r\n\r\nSYSTEM b\r"])
def test_a_line_ends_as_on_any_system(text):
    assert list(map(as_golden, parse(text).commands)) == [["model", "a"], ["system", "b"]]


def test_a_value_that_a_browser_sent_has_plain_newlines():
    assert parse('FROM a\r\nSYSTEM """b\r\nc"""\r\n').commands[1].value == "b\nc"


def test_quotes_within_a_line_close_nothing():
    assert parse('FROM a\nSYSTEM """b""" c\nd"""\n').commands[1].value == 'b""" c\nd'


# Each of these took time with the square of its length, and a test that hangs fails too.
@pytest.mark.parametrize(
    "text", ['FROM a\nSYSTEM """' + 500_000 * "\n" + '"""', 50_000 * "FROM a\n", "FROM a" + 500_000 * " " + "b"]
)
def test_a_long_text_is_read_as_fast_as_a_short_one(text):
    parse(text)


def test_a_long_value_is_written_as_fast_as_a_short_one():
    value = 500_000 * "\n"

    assert str(Modelfile((Command("system", value),))) == f'SYSTEM """{value}"""\n'


VALUES = st.text(st.characters(categories=["L", "M", "N", "P", "S"], include_characters=" \t\n"), max_size=40)
COMMANDS = st.one_of(
    st.builds(Command, st.sampled_from(["from", "system", "template", "license", "renderer"]), VALUES),
    st.builds(Command, st.just("parameter"), VALUES, st.from_regex(r"[a-z0-9_]{1,9}", fullmatch=True)),
    st.builds(Command, st.just("message"), VALUES, st.sampled_from(ROLES)),
)


@given(st.lists(COMMANDS, max_size=6))
def test_whatever_can_be_written_reads_the_same_again(commands):
    try:
        text = str(Modelfile((Command("from", "a"), *commands)))
    except ModelfileError:
        return

    assert list(map(as_golden, parse(text).commands[1:])) == list(map(as_golden, commands))


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with suppress(ModelfileError):
        parse(text)
