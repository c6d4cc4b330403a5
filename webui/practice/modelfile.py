"""Modelfiles, as far as hosts before 0.5.5 made models from them: what to build on, and what to add."""

import re
from typing import Any

COMMAND = re.compile(r'^(?P<name>[A-Za-z]+)[ \t]+(?P<value>""".*?"""|"[^\n]*"|[^\n]*)[ \t]*$', re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"\s*(?:#[^\n]*(?:\n|$)\s*)*")


def fields(modelfile: str) -> dict[str, Any]:
    """The fields of a create request that say the same. Raises ValueError, with the host's words."""
    wish: dict[str, Any] = {"parameters": {}, "messages": [], "license": []}
    at = _after_comments(modelfile, 0)
    while at < len(modelfile):
        command = COMMAND.match(modelfile, at)
        if not command:
            raise ValueError("unexpected EOF")
        _obey(wish, command["name"].lower(), _unquoted(command["value"]))
        at = _after_comments(modelfile, command.end())
    if not wish.get("from"):
        raise ValueError("no FROM line")
    return wish


def _after_comments(text: str, at: int) -> int:
    found = COMMENT.match(text, at)
    return found.end() if found else at


def _unquoted(value: str) -> str:
    for quotes in ('"""', '"'):
        if value.startswith(quotes) and value.endswith(quotes) and len(value) >= 2 * len(quotes):
            return value[len(quotes) : -len(quotes)]
    return value.strip()


def _obey(wish: dict[str, Any], name: str, value: str) -> None:
    if name == "from" and value.startswith("@"):
        wish |= {"from": value, "files": {"model.gguf": value[1:]}}
    elif name in {"from", "system", "template"}:
        wish[name] = value
    elif name == "license":
        wish["license"].append(value)
    elif name == "message":
        role, _, content = value.partition(" ")
        wish["messages"].append({"role": role, "content": _unquoted(content)})
    elif name == "parameter":
        key, _, text = value.partition(" ")
        _set_parameter(wish["parameters"], key, _unquoted(text))


def _set_parameter(parameters: dict[str, Any], key: str, text: str) -> None:
    if key == "stop":
        parameters.setdefault("stop", []).append(text)
    else:
        parameters[key] = _number(text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
