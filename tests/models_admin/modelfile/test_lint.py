"""What the editor says of a Modelfile, and how it mends it."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.modelfile.lint import MOST, look
from webui.ollama.modelfile import ModelfileError, parse

BASES = {"qwen3:32b": 40_960, "tiny:latest": 2048}
GOLDEN = Path(__file__).parents[2] / "webui/ollama/data/modelfiles.jsonl"


def problems(text: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.kind) for problem in look(text, BASES).problems]


def mended(text: str) -> str:
    """With every problem mended that can be, one after the other."""
    for _ in range(20):
        draft = look(text, BASES)
        fixable = [problem for problem in draft.problems if problem.fixed is not None]
        if not fixable:
            break
        text = draft.fixed(fixable[0].key)
    return text


def test_a_good_one_has_no_problems():
    text = 'FROM qwen3:32b\n# a note\nPARAMETER temperature 0.2\nSYSTEM """Be\nkind."""\nMESSAGE user Hello\n'

    assert problems(text) == []
    assert look(text, BASES).ready


@pytest.mark.parametrize(
    ("line", "kind", "better"),
    [
        ("PARAMETER max_tokens 1024", "parameter", "PARAMETER num_predict 1024"),
        ("PARAMETER temprature 1", "parameter", "PARAMETER temperature 1"),
        ("PARAMETER quux 1", "parameter", ""),
        ("PARAMETER num_gqa 8", "gone", ""),
        ("PARAMETER mirostat 1", "ignored", ""),
        ("PARAMETER num_ctx 4096.5", "int", "PARAMETER num_ctx 4096"),
        ("PARAMETER top_k many", "int", ""),
        ("PARAMETER temperature hot", "float", ""),
        ("PARAMETER use_mmap perhaps", "bool", ""),
        ("PARAMETER  temperature 1", "blanks", "PARAMETER temperature 1"),
        ("PARAMETER num_ctx 65536", "context", "PARAMETER num_ctx 40960"),
        ("PARAM temperature 1", "command", "PARAMETER temperature 1"),
        ("Hello there", "command", ""),
        ("MESSAGE User Hi", "role", "MESSAGE user Hi"),
        ("MESSAGE bot Hi", "role", "MESSAGE user Hi"),
        ("ADAPTER /etc/passwd", "file", ""),
        ("REQUIRES soon", "requires", ""),
    ],
)
def test_a_problem_is_named_with_its_line_and_mended(line, kind, better):
    text = f"FROM qwen3:32b\n{line}\nSYSTEM Kind.\n"

    assert problems(text) == [(2, kind)]
    assert mended(text) == f"FROM qwen3:32b\n{better}\nSYSTEM Kind.\n".replace("\n\n", "\n")


def test_quotes_that_are_never_closed_are_closed_before_the_next_instruction():
    text = 'FROM qwen3:32b\nSYSTEM """Be\nkind.\n\nLICENSE Ours\n'

    assert problems(text) == [(2, "unclosed")]
    assert mended(text) == 'FROM qwen3:32b\nSYSTEM """Be\nkind."""\n\nLICENSE Ours\n'


def test_a_missing_base_is_added():
    text = "SYSTEM Kind.\n"

    assert problems(text) == [(1, "no-from")]
    assert mended(text) == "FROM qwen3:32b\nSYSTEM Kind.\n"


@pytest.mark.parametrize(
    "base",
    ["/etc/passwd", "./model.gguf", "~/x", "../x", "https://evil.example/x", "x.gguf", "C:\\x", "file:///etc/passwd"],
)
def test_a_base_is_never_a_file_or_an_address(base):
    """S34."""
    assert problems(f"FROM {base}") == [(1, "from-path")]


def test_a_base_the_host_has_not_is_not_fetched_from_the_internet():
    """S34."""
    assert problems("FROM nobody/has-it") == [(1, "from-unknown")]


@pytest.mark.parametrize("base", ["tiny", "TINY:latest", "library/tiny"])
def test_a_base_may_be_spelled_as_ollama_lets_one(base):
    assert problems(f"FROM {base}") == []


def test_several_problems_are_all_named():
    text = "FROM qwen3:32b\nPARAMETER max_tokens 1\nMESSAGE bot x\nPARAM y\nPARAMETER top_k 1.5\n"

    assert problems(text) == [(2, "parameter"), (3, "role"), (4, "command"), (5, "int")]


def test_a_template_is_warned_of_and_allowed():
    draft = look("FROM qwen3:32b\nTEMPLATE {{ .Prompt }}\n", BASES)

    assert (draft.problems[0].kind, draft.ready) == ("template", True)


def test_the_context_of_the_last_base_counts():
    assert problems("FROM qwen3:32b\nFROM tiny\nPARAMETER num_ctx 4096") == [(3, "context")]


@pytest.mark.parametrize(
    "case", [json.loads(line) for line in GOLDEN.read_text().splitlines()], ids=lambda c: str(c)[:40]
)
def test_what_is_ready_can_be_sent(case):
    draft = look(case["in"], BASES)
    if draft.ready:
        assert draft.modelfile().request()["from"]
    elif "error" in case:
        assert draft.problems


def test_the_longest_text_is_looked_at_in_a_moment():
    for line in ("PARAMETER max_tokens 1\n", "Hello\n", "FROM tiny\n", '"\n', "MESSAGE bot x\n", "a" * 1000 + "\n"):
        began = time.perf_counter()
        draft = look((line * 131_072)[:131_072], BASES)

        assert time.perf_counter() - began < 3
        assert len(draft.problems) <= MOST


@given(st.text(st.sampled_from('FROMSYTEparmet "\n#/_0.9茶\0\r'), max_size=200))
def test_nothing_breaks_it_and_what_is_ready_reads_again(text):
    draft = look(text, BASES)
    for problem in draft.problems:
        assert 1 <= problem.line <= draft.text.count("\n") + 1
    if draft.ready:
        try:
            parse(str(draft.modelfile())).request()
        except ModelfileError as error:
            pytest.fail(error.reason)


def test_a_file_that_was_uploaded_is_a_base():
    """S34."""
    digest = "sha256:" + "0" * 64
    draft = look(f"FROM @{digest}\nSYSTEM Kind.", {})

    assert draft.problems == []
    assert draft.modelfile().request() == {"files": {"model.gguf": digest}, "system": "Kind."}


@pytest.mark.parametrize("base", ["@sha256:00", "@sha256:" + "g" * 64, "@../sha256:" + "0" * 64])
def test_what_looks_like_an_uploaded_file_is_none(base):
    """S34."""
    assert not look(f"FROM {base}", {}).ready
