"""Modelfiles: read as Ollama's own parser reads them, and written so that it reads the same again.

    FROM llama3
    SYSTEM \"\"\"You are
    kind.\"\"\"
    PARAMETER temperature 0.7
    MESSAGE user Hello

There are no escapes and no single quotes. What cannot be printed is dropped, full-width spaces and the joiners of
emoji too; the JSON fields of a create request keep them, so send those wherever a host takes them.

In two things we are kinder than Ollama: what cannot be printed does no harm in the name of a command either, and a
text that a browser sent with "\\r\\n" has plain newlines.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import options

COMMANDS: Final = (
    "from",
    "license",
    "template",
    "system",
    "adapter",
    "draft",
    "renderer",
    "parser",
    "parameter",
    "message",
    "requires",
)
ROLES: Final = ("system", "user", "assistant")
SINGLE: Final = {"from", "system", "template", "renderer", "parser", "requires"}

BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*(?:\n|$))*")
NAME = re.compile(r"[A-Za-z]*")
KEY = re.compile(r"[A-Za-z0-9_]*")
ROLE = re.compile(r"[A-Za-z]*")
# A file that was uploaded to the host: what hosts before 0.5.5 call it, too.
UPLOADED = re.compile(r"@sha256:[0-9a-f]{64}")
VERSION = re.compile(r"v?\d+(\.\d+(\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?)?)?", re.ASCII)
TRIPLE = '"""'
OPENING = re.compile(rf'[ \t]*({TRIPLE}|"|)')
# Quotes close a value only where nothing but blanks follows them on their line.
CLOSING: Final = {
    TRIPLE: re.compile(rf"{TRIPLE}[ \t]*(?:\n|\Z)"),
    '"': re.compile(r'"[ \t]*(?:\n|\Z)'),
    "": re.compile(r"\n|\Z"),
}


class ModelfileError(ValueError):
    """``reason`` is what Ollama says, ``line`` where (the first is 1, 0 for the whole text)."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Command:
    """``key`` is the name of a parameter or the role of a message."""

    name: str
    value: str
    key: str = ""
    line: int = 0

    def __str__(self) -> str:
        key = f" {self.key}" if self.name in {"parameter", "message"} else ""
        return f"{self.name.upper()}{key} {_quoted(self.value, self.line)}"


@dataclass(frozen=True, slots=True)
class Modelfile:
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        """As text. Raises ModelfileError for a value the grammar cannot hold."""
        return "".join(f"{command}\n" for command in self.commands)

    def request(self) -> dict[str, Any]:
        """The fields of a create request. Raises ModelfileError for what a host would refuse, or store and regret."""
        fields: dict[str, Any] = {}
        for command in self.commands:
            try:
                _add(fields, command)
            except ValueError as error:
                raise ModelfileError(str(error), command.line) from None
        return fields


def parse(text: str) -> Modelfile:
    """Read a Modelfile. Raises ModelfileError."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    commands = tuple(_commands("".join(filter(_is_kept, lines))))
    if not any(command.name == "from" for command in commands):
        raise ModelfileError("no FROM line")
    return Modelfile(commands)


def _is_kept(character: str) -> bool:
    return character in " \t\n" or unicodedata.category(character)[0] in "LMNPS"


def _commands(text: str) -> Iterator[Command]:
    scan = _Scan(text)
    while scan.goes_on():
        line = scan.line
        name = scan.name()
        key = ""
        if name == "parameter":
            key = scan.word(KEY)
        elif name == "message":
            key = scan.role()
        yield Command(name, scan.value(), key, line)


class _Scan:
    """A place in the text. Every method but ``goes_on`` reads one thing and the blank that must follow it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [end.start() for end in re.finditer("\n", text)]

    @property
    def line(self) -> int:
        return bisect_left(self._ends, self._at) + 1

    def goes_on(self) -> bool:
        """Pass over what may stand between commands; whether there is another one."""
        self._at = self._match(BETWEEN).end()
        return self._at < len(self._text)

    def name(self) -> str:
        line, word = self.line, self._match(NAME)
        self._at = word.end()
        if self._at == len(self._text):
            raise ModelfileError("unexpected EOF", line)
        if word[0].lower() not in COMMANDS or not self._blank():
            raise ModelfileError(_one_of("command", COMMANDS), line)
        return word[0].lower()

    def role(self) -> str:
        line, role = self.line, self.word(ROLE)
        if role not in ROLES:
            raise ModelfileError(_one_of("message role", ROLES), line)
        return role

    def word(self, kind: re.Pattern[str]) -> str:
        line, word = self.line, self._match(kind)
        self._at = word.end()
        if not self._blank():
            raise ModelfileError(f"unexpected EOF: {word[0]}" if self._at < len(self._text) else "unexpected EOF", line)
        return word[0]

    def value(self) -> str:
        """Up to the end of the line, or of the line that closes its quotes."""
        line, opening = self.line, self._match(OPENING)
        quotes = opening[1]
        closing = CLOSING[quotes].search(self._text, opening.end())
        if not closing:
            raise ModelfileError("unexpected EOF", line)
        self._at = closing.end()
        value = self._text[opening.end() : closing.start()]
        return value if quotes else value.rstrip(" \t")

    def _blank(self) -> bool:
        found = self._text[self._at : self._at + 1] in {" ", "\t"}
        self._at += found
        return found

    def _match(self, kind: re.Pattern[str]) -> re.Match[str]:
        found = kind.match(self._text, self._at)
        assert found is not None  # noqa: S101  each of these patterns matches nothing at least
        return found


def _quoted(value: str, line: int) -> str:
    """The value so that it reads the same again."""
    if value == value.strip() and "\n" not in value and not value.startswith('"'):
        return value
    written = f"{TRIPLE}{value}{TRIPLE}"
    closing = CLOSING[TRIPLE].search(written, len(TRIPLE))
    if not closing or closing.end() < len(written):
        raise ModelfileError('a line of it ends in """', line)
    return written


def _one_of(what: str, words: tuple[str, ...]) -> str:
    *others, last = (f'"{word}"' for word in words)
    return f"{what} must be one of {', '.join(others)}, or {last}"


def _add(fields: dict[str, Any], command: Command) -> None:
    name, value = command.name, command.value
    if name in {"adapter", "draft"}:
        raise ValueError(f"{name} must be a file that was uploaded")
    if name == "requires" and not VERSION.fullmatch(value):
        raise ValueError("requires must be a valid semver (e.g. 0.14.0)")
    if name == "parameter" and command.key not in options.IGNORED:
        _add_parameter(fields.setdefault("parameters", {}), command)
    elif name == "message":
        fields.setdefault("messages", []).append({"role": command.key, "content": value})
    elif name == "license":
        fields.setdefault("license", []).append(value)
    elif name == "from" and UPLOADED.fullmatch(value):
        fields["files"] = {"model.gguf": value.removeprefix("@")}
    elif name in SINGLE and value:
        fields[name] = value  # the last one counts


def of_request(fields: Mapping[str, Any]) -> Modelfile:
    """What says the same as the fields of a create request, to hosts before 0.5.5. Raises ModelfileError."""
    files = [f"@{digest.replace('-', ':')}" for digest in fields.get("files", {}).values()]
    found = [Command("from", value) for value in [*([fields["from"]] if "from" in fields else []), *files]]
    found += [Command(name, fields[name]) for name in ("template", "system") if name in fields]
    found += [Command("license", text) for text in _listed(fields.get("license"))]
    for name, value in fields.get("parameters", {}).items():
        found += [Command("parameter", _as_text(each), name) for each in _listed(value)]
    for message in fields.get("messages", []):
        found.append(Command("message", message["content"], message["role"]))
    if not all(isinstance(command.value, str) for command in found):
        raise ModelfileError("a value that is no text")
    return Modelfile(tuple(found))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _add_parameter(parameters: dict[str, Any], command: Command) -> None:
    value = options.typed(command.key, command.value)
    if options.TYPES[command.key] is list:
        parameters.setdefault(command.key, []).append(value)
    else:
        parameters[command.key] = value
