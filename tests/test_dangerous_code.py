"""What our own code must not do, whatever for: each of these has opened a door in somebody's program."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from re import _constants as kinds  # the parser's own names: there is no other way to look into an expression
from re import _parser as parser

import pytest
from django.conf import settings

ROOT = Path(__file__).parent.parent
CODE = [
    ROOT / "manage.py",
    *(path for place in ("webui", "chat", "models_admin") for path in (ROOT / place).rglob("*.py")),
]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))

# Makes text into code, objects or shell commands.
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "tempfile.mktemp", "SafeString"}
MODULES = {"pickle", "marshal", "shelve", "dill", "xmlrpc", "ctypes", "telnetlib"}
# Reads what chat/markdown made; nothing else may call HTML safe.
MAKES_SAFE = {"webui/templatetags/portal.py"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in nodes(path) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_nothing_turns_words_into_code(path):
    """S65."""
    called = {ast.unparse(call.func) for call in calls(path)}
    imported = {name.name for node in nodes(path) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "" for node in nodes(path) if isinstance(node, ast.ImportFrom)}
    shells = [
        call for call in calls(path) for given in call.keywords if given.arg == "shell" and not _is_false(given.value)
    ]

    assert called & CALLS == set()
    assert {name.split(".")[0] for name in imported} & MODULES == set()
    assert shells == []


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_html_is_called_safe_in_one_place(path):
    """S64."""
    named = {node.id for node in nodes(path) if isinstance(node, ast.Name)} | {
        node.attr for node in nodes(path) if isinstance(node, ast.Attribute)
    }

    assert "mark_safe" not in named or name_of(path) in MAKES_SAFE
    assert "autoescape" not in named


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_no_template_calls_words_safe(path):
    """S64. But for markup that stands in the template itself."""
    source = re.sub(r'"[^"]*"\|safe\b', "", path.read_text())

    assert re.findall(r"\|\s*(?:safe|safeseq)\b|autoescape\s+off|\{%\s*debug", source) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_only_answers_are_shown_as_html(path):
    """S10, S64."""
    shown = set(re.findall(r"\{\{\s*([\w.]+)\|rendered\s*\}\}", path.read_text()))

    assert shown <= {f"turn.{name}_html" for name in ("frozen", "open", "thinking_frozen", "thinking_open")}


def test_sessions_are_no_objects_of_python():
    """S65."""
    assert settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"


# Nested, and yet never at a loss where one turn ends: each begins with a character that cannot go on the one before.
REVIEWED = {
    "webui.ollama.modelfile": r"(?:[ \t\r\n]|#[^\n]*(?:\n|$))*",
    "webui.practice.modelfile": r"\s*(?:#[^\n]*(?:\n|$)\s*)*",
}


def expressions() -> Iterator[tuple[str, str]]:
    """Every regular expression of ours and its module: those with a name, and those written where they are used."""
    for path in CODE[1:]:
        name = name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for value in vars(import_module(name)).values():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield name, value.pattern
        for call in calls(path):
            written = call.args[0] if call.args else None
            if ast.unparse(call.func).startswith("re.") and isinstance(written, ast.Constant):
                yield name, written.value


def test_no_regular_expression_repeats_what_repeats_itself():
    """S50. ``(a+)+`` takes for ever on what was made for it, and holds up everything else meanwhile."""
    found = set(expressions())

    assert len(found) > 50
    assert {each for each in found if _repeats_a_repeat(parser.parse(each[1]))} == set(REVIEWED.items())


def _repeats_a_repeat(parsed: object, *, inside: bool = False) -> bool:
    for kind, given in parsed:
        endless = kind in {kinds.MAX_REPEAT, kinds.MIN_REPEAT} and given[1] == kinds.MAXREPEAT
        if endless and inside:
            return True
        if any(_repeats_a_repeat(part, inside=inside or endless) for part in _parts(given)):
            return True
    return False


def _parts(given: object) -> Iterator[object]:
    if isinstance(given, parser.SubPattern):
        yield given
    elif isinstance(given, list | tuple):
        for each in given:
            yield from _parts(each)


def test_the_checks_of_django_for_deployment_find_nothing(tmp_path):
    """S64. Behind https; without it they find the cookies, of which the start warns."""
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "PUBLIC_URL": "https://tea.example"}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level=WARNING"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


SECRETS = [
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    r"\bsk-[A-Za-z0-9]{32,}\b",
    r"SECRET_KEY\s*=\s*[\"'][^\"']{8,}",
    r"postgres(?:ql)?://[^:/\s]+:[^@\s{$]{4,}@(?!host|db)",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_the_repository_holds_no_secret(secret):
    """S56."""
    from tests.test_repository import tracked_files  # noqa: PLC0415

    ours = [path for path in tracked_files() if path.suffix not in {".mo", ".png"} and path != Path(__file__)]

    assert [name_of(path) for path in ours if re.search(secret, path.read_text(errors="replace"))] == []
