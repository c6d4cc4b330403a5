"""What is wrong with a Modelfile: every problem with its line, and what would mend it. Pure.

Ollama's API validates nothing: it stores wrong parameters, and every later question fails. And it fetches from the
internet what FROM names and the host has not. So nothing leaves the portal that has a problem of level ``danger``.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, islice

from webui.ollama import options
from webui.ollama.modelfile import COMMANDS, ROLES, UPLOADED, VERSION, Command, Modelfile, ModelfileError, parse
from webui.ollama.names import normal

MOST = 30  # problems shown at once
PATH = re.compile(r"^[./~\\]|://|\\|\.(gguf|bin|safetensors)$", re.IGNORECASE)
TRIPLE = '"""'
SPARE = "FROM spare"
BEGINS = re.compile(rf"({'|'.join(COMMANDS)})\b", re.IGNORECASE)
BLANKS = re.compile(r"^(\s*parameter)\s+", re.IGNORECASE)
RENAMED = {"max_tokens": "num_predict", "max_new_tokens": "num_predict", "context_length": "num_ctx"}
GONE = {"num_gqa", "rope_frequency_base", "rope_frequency_scale", "tfs_z", "embedding_only", "numa"}
KINDS = {int: "int", float: "float", bool: "bool"}

Lines = list[str]


@dataclass(frozen=True, slots=True)
class Problem:
    """``kind`` chooses the sentence about ``word``; ``fixed`` is the whole text as it would be, where we know how."""

    line: int
    kind: str
    word: str = ""
    better: str = ""
    fixed: str | None = None
    level: str = "danger"

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.line}"


@dataclass(frozen=True, slots=True)
class Draft:
    """What there is to say about a text: its problems, and the commands that could be read."""

    text: str
    commands: list[Command]
    problems: list[Problem]

    @property
    def ready(self) -> bool:
        return all(problem.level != "danger" for problem in self.problems)

    @property
    def bad_lines(self) -> set[int]:
        return {problem.line for problem in self.problems if problem.level == "danger"}

    def modelfile(self) -> Modelfile:
        return parse(self.text)

    def fixed(self, key: str) -> str:
        """The text with one problem mended; as it is when there is no such problem any more."""
        found = (problem.fixed for problem in self.problems if problem.key == key)
        return next((text for text in found if text is not None), self.text)


def look(text: str, bases: Mapping[str, int]) -> Draft:
    """Read a text as far as it can be read. ``bases``: the host's models by shortest name, and their context."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = plain.split("\n")
    commands, problems = _read(lines, next(iter(bases), ""))
    context = next((bases.get(normal(last.value), 0) for last in reversed(commands) if last.name == "from"), 0)
    more = chain.from_iterable(_of_command(command, lines, bases, context) for command in commands)
    # No more than are shown: each of them may hold the whole text, mended.
    problems += islice(more, MOST - len(problems))
    return Draft(plain, commands, sorted(problems, key=lambda problem: problem.line))


def _read(lines: Lines, base: str) -> tuple[list[Command], list[Problem]]:
    """A line that cannot be read is a problem, and passed over."""
    rest, problems = list(lines), list[Problem]()
    while len(problems) < MOST:
        try:
            return list(parse("\n".join(rest)).commands), problems
        except ModelfileError as error:
            if not error.line:
                problems.append(_without_from(lines, base))
                return list(parse("\n".join([*rest, SPARE])).commands[:-1]), problems
            problem = _of_reading(error, lines)
            problems.append(problem)
            if problem.kind == "unclosed":
                del rest[error.line - 1 :]
            else:
                rest[error.line - 1] = ""
    return [], problems


def _without_from(lines: Lines, base: str) -> Problem:
    fixed = "\n".join([f"FROM {base}", *lines]) if base else None
    return Problem(1, "no-from", better=base, fixed=fixed)


def _of_reading(error: ModelfileError, lines: Lines) -> Problem:
    at = error.line
    line = lines[at - 1].strip() if at <= len(lines) else ""
    words = line.split(None, 2)
    if "role" in error.reason:
        role = words[1] if len(words) > 1 else ""
        better = role.lower() if role.lower() in ROLES else "user"
        return Problem(at, "role", role, better, _replaced(lines, at, role, better) if role else None)
    if error.reason.startswith("unexpected EOF"):
        if '"' in line:
            return Problem(at, "unclosed", fixed=_closed(lines, at))
        return Problem(at, "incomplete", words[0] if words else "", fixed=_without(lines, at))
    word = words[0] if words else ""
    close = get_close_matches(word[:40].lower(), COMMANDS, n=1)
    if word.lower() in COMMANDS:
        return Problem(at, "incomplete", word, fixed=_without(lines, at))
    if close:
        return Problem(at, "command", word, close[0].upper(), _replaced(lines, at, word, close[0].upper()))
    return Problem(at, "command", word, fixed=_without(lines, at))


def _of_command(command: Command, lines: Lines, bases: Mapping[str, int], context: int) -> Iterator[Problem]:
    at = command.line
    if command.name == "from":
        yield from _of_base(command, bases)
    elif command.name == "parameter":
        yield from _of_parameter(command, lines, context)
    elif command.name in {"adapter", "draft"}:
        yield Problem(at, "file", command.name.upper(), fixed=_without(lines, at))
    elif command.name == "template":
        yield Problem(at, "template", level="warn")
    elif command.name == "requires" and not VERSION.fullmatch(command.value):
        yield Problem(at, "requires", command.value, fixed=_without(lines, at))
    if not _can_be_written(command):
        yield Problem(at, "value", TRIPLE)


def _can_be_written(command: Command) -> bool:
    """The grammar has no way to say some texts, and hosts before 0.5.5 take nothing else."""
    try:
        return bool(str(command))
    except ModelfileError:
        return False


def _of_base(command: Command, bases: Mapping[str, int]) -> Iterator[Problem]:
    if UPLOADED.fullmatch(command.value):
        return
    if PATH.search(command.value):
        yield Problem(command.line, "from-path", command.value)
    elif normal(command.value) not in bases:
        yield Problem(command.line, "from-unknown", command.value)


def _of_parameter(command: Command, lines: Lines, context: int) -> Iterator[Problem]:
    at, key = command.line, command.key
    if not key:
        yield Problem(at, "blanks", fixed=_changed(lines, at, lambda line: BLANKS.sub(r"\1 ", line)))
    elif key in options.IGNORED:
        yield Problem(at, "ignored", key, fixed=_without(lines, at), level="warn")
    elif key in GONE:
        yield Problem(at, "gone", key, fixed=_without(lines, at))
    elif key not in options.TYPES:
        better = RENAMED.get(key) or next(iter(get_close_matches(key[:40], options.TYPES, n=1)), "")
        fixed = _replaced(lines, at, key, better) if better else _without(lines, at)
        yield Problem(at, "parameter", key, better, fixed)
    else:
        yield from _of_value(command, lines, context)


def _of_value(command: Command, lines: Lines, context: int) -> Iterator[Problem]:
    at, key, value = command.line, command.key, command.value
    kind = options.TYPES[key]
    try:
        typed = options.typed(key, value)
    except ValueError:
        whole = value.partition(".")[0]
        if kind is int and options.NUMBER.fullmatch(value) and options.INTEGER.fullmatch(whole):
            yield Problem(at, "int", value, whole, _replaced(lines, at, value, whole))
        else:
            yield Problem(at, KINDS.get(kind, "value"), value, fixed=_without(lines, at))
        return
    if key == "num_ctx" and isinstance(typed, int) and context and typed > context:
        yield Problem(at, "context", str(typed), str(context), _replaced(lines, at, value, str(context)), level="warn")


def _without(lines: Lines, at: int) -> str:
    return "\n".join([*lines[: at - 1], *lines[at:]])


def _replaced(lines: Lines, at: int, word: str, better: str) -> str:
    return _changed(lines, at, lambda line: line.replace(word, better, 1))


def _changed(lines: Lines, at: int, change: Callable[[str], str]) -> str:
    return "\n".join([*lines[: at - 1], change(lines[at - 1]), *lines[at:]])


def _closed(lines: Lines, at: int) -> str:
    """Quotes at the end of what seems to belong to the text: before the next line that begins a command."""
    quotes = TRIPLE if TRIPLE in lines[at - 1] else '"'
    end = next((number for number in range(at, len(lines)) if BEGINS.match(lines[number])), len(lines))
    while end > at and not lines[end - 1].strip():
        end -= 1
    return _changed(lines, end, lambda line: line.rstrip() + quotes)
