"""What a script wants a new model to be made from, so that it can be stored and does no harm on a host."""

import math
import re
from collections.abc import Mapping
from typing import Any

from webui.gateway import bodies
from webui.gateway.bodies import Object
from webui.gateway.refusals import Refused
from webui.ollama.modelfile import UPLOADED, Command, ModelfileError, of_request, parse
from webui.ollama.options import TYPES
from webui.text import clean_text

DIGEST = re.compile(r"sha256[:-][0-9a-f]{64}")
# Nothing that names another server, or a file of the host's.
FIELDS = [
    *("from", "files", "adapters", "template", "system", "license", "parameters", "messages", "quantize"),
    *("renderer", "parser", "requires", "modelfile"),
]
KINDS: Mapping[type, tuple[tuple[type, ...], str]] = {
    int: ((int,), "integer"),
    float: ((int, float), "float32"),
    bool: ((bool,), "boolean"),
    list: ((list,), "array"),
}


def recipe_in(body: Object) -> Object:
    """The fields of a create request. Raises Refused for what a host would store and regret, or read from its disk."""
    recipe: Object = {name: _storable(body[name]) for name in FIELDS if name in body}
    for name in ("files", "adapters"):
        _check_files(recipe.get(name, {}))
    _check_parameters(recipe.get("parameters", {}))
    return {**_as_modelfile(recipe), **recipe}


def bases_in(recipe: Object) -> list[str]:
    """The models that it names, for new hosts and for old ones."""
    named = [
        bodies.text_of(recipe, "from"),
        *(command.value for command in _commands(recipe) if command.name == "from"),
    ]
    return [bodies.checked(base).strip() for base in named if base and not UPLOADED.fullmatch(base)]


def _check_files(files: object) -> None:
    if not isinstance(files, dict) or not all(DIGEST.fullmatch(str(digest)) for digest in files.values()):
        raise Refused(400, "invalid digest format")


def _check_parameters(parameters: object) -> None:
    """A host stores whatever it is given; then every question fails."""
    if not isinstance(parameters, dict):
        raise Refused(400, "json: cannot unmarshal parameters that are no object")
    for name, value in parameters.items():
        if name not in TYPES:
            raise Refused(400, f"unknown parameter '{name}'")
        kinds, word = KINDS[TYPES[name]]
        if type(value) not in kinds:
            raise Refused(400, f'option "{name}" must be of type {word}')


def _commands(recipe: Object) -> tuple[Command, ...]:
    """Of the Modelfile, which hosts before 0.5.5 do."""
    if "modelfile" not in recipe:
        return ()
    try:
        modelfile = parse(bodies.text_of(recipe, "modelfile"))
        modelfile.request()
    except ModelfileError as error:
        raise Refused(400, str(error)) from error
    return modelfile.commands


def _as_modelfile(recipe: Object) -> Object:
    """For hosts that read nothing else; where it says anything that a Modelfile cannot say, without."""
    try:
        return {"modelfile": str(of_request(recipe))} if {"from", "files"} & recipe.keys() else {}
    except (ModelfileError, AttributeError, KeyError, TypeError):
        return {}


def _storable(value: Any) -> Any:
    """JSON without what PostgreSQL cannot keep."""
    match value:
        case str():
            return clean_text(value)
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {clean_text(name): _storable(item) for name, item in value.items()}
        case float() if not math.isfinite(value):
            raise Refused(400, "json: cannot unmarshal a number that is too large")
        case _:
            return value
