"""The Modelfile of an installed model, as one edits it."""

from difflib import unified_diff

from webui.ollama import ModelDetails
from webui.ollama.modelfile import Modelfile, ModelfileError, parse

# The model keeps these of its base, itself; and paths of files are no page's business.
KEPT = {"from", "template", "license", "adapter", "draft", "renderer", "parser"}

LINES_COMPARED = 2000


def text_of(model: str, details: ModelDetails) -> str:
    """What is its own, above itself as the base: so nothing is lost that is not shown."""
    try:
        commands = [command for command in parse(details.modelfile).commands if command.name not in KEPT]
        own = str(Modelfile(tuple(commands)))
    except ModelfileError:
        own = ""
    return f"FROM {model}\n\n{own}"


def difference(before: str, after: str) -> list[tuple[str, str]]:
    """The lines that differ and those round them: a sign and the line. None of a text too long to compare."""
    if max(before.count("\n"), after.count("\n")) > LINES_COMPARED:
        return []
    found = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    return [(line[:1], line[1:]) for line in list(found)[2:] if not line.startswith("@@")]
