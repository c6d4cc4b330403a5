"""Imports point down, never up and never sideways."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("webui", "chat", "models_admin")

TOOLS = {"webui.text", "webui.ids", "webui.db", "webui.env", "webui.http", "webui.faults", "webui.tasks", "webui.sheet"}
ACCOUNTS = TOOLS | {"webui.accounts"}
INFERENCE = ACCOUNTS | {"webui.ollama", "webui.inference", "webui.practice"}
MAY_IMPORT = {
    "webui/ollama": {"webui.text"},
    "webui/practice": set(),
    "webui/accounts": TOOLS,
    "webui/inference": INFERENCE,
    "webui/gateway": INFERENCE,
    "chat/markdown": set(),
    "chat": INFERENCE,
    "models_admin": INFERENCE | {"webui.gateway"},
}


def layer_of(path: Path) -> str | None:
    """The innermost layer that the file lies in."""
    inside = [layer for layer in MAY_IMPORT if path.is_relative_to(ROOT / layer)]
    return max(inside, key=len, default=None)


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
    return {name for name in found if name.split(".")[0] in OURS}


@pytest.mark.parametrize(
    "path",
    [path for place in OURS for path in sorted((ROOT / place).rglob("*.py")) if layer_of(path)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_module_imports_only_what_its_layer_may(path):
    layer = layer_of(path)
    allowed = MAY_IMPORT[layer] | {layer.replace("/", ".")}

    strays = {name for name in imports_of(path) if not any(name == a or name.startswith(f"{a}.") for a in allowed)}

    assert strays == set()


@pytest.mark.parametrize("layer", ["webui/ollama", "webui/practice", "chat/markdown"])
def test_the_wire_and_the_text_know_nothing_of_django(layer):
    strays = [
        path.name
        for path in (ROOT / layer).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom | ast.Import)
        and any(name.split(".")[0] == "django" for name in _names(node))
    ]

    assert strays == []


def test_httpx_is_imported_by_the_client_only():
    strays = [
        str(path.relative_to(ROOT))
        for place in OURS
        for path in (ROOT / place).rglob("*.py")
        if not path.is_relative_to(ROOT / "webui/ollama")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom | ast.Import) and "httpx" in _names(node)
    ]

    assert strays == []


def _names(node: ast.ImportFrom | ast.Import) -> list[str]:
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
