"""What a script sends, by Ollama's rules: keys in any case, of several the last one, and nothing after the object.

What is not in a list here does not reach a host. A body is read, and then written anew.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from webui.gateway.refusals import Refused
from webui.ollama.options import TYPES

Object = dict[str, Any]

NOTE = "Teahouse-Ignored"  # a header that names what was not passed on

ANSWERS = frozenset({"stream", "format", "think", "truncate", "logprobs", "top_logprobs"})
FIELDS: Mapping[str, frozenset[str]] = {
    "/api/chat": ANSWERS | {"messages", "tools"},
    "/api/generate": ANSWERS | {"prompt", "suffix", "system", "template", "context", "raw", "images"},
    "/api/embed": frozenset({"input", "truncate", "dimensions"}),
    "/api/embeddings": frozenset({"prompt"}),
}
# As Ollama reads names, so that it cannot mean another model by one than we do.
NAME = re.compile(r"(?:(?:\w[\w.:-]{0,349}/)?\w[\w-]{0,79}/)?\w[\w.-]{0,79}(?::\w[\w.-]{0,79})?(?::local)?", re.ASCII)
# What is larger must be well made: nobody else is answered while it is read.
LARGE = 256 * 1024
MOST_VALUES = 200_000
TOO_DEEP = "json: the value is too long or too deep"
CLOUD = re.compile(r".*[:-]cloud(?::local)?", re.IGNORECASE)


def parse(raw: bytes) -> Object:
    """The object in a body. Raises Refused in Ollama's words."""
    if not raw:
        raise Refused(400, "missing request body")
    text = _text_of(raw).lstrip(" \t\r\n")
    found = _value_in(text)
    if not isinstance(found, dict):
        raise Refused(400, "json: cannot unmarshal a value that is no object")
    if len({key.lower() for key in found}) < len(found):
        found = _value_in(text, object_pairs_hook=_in_order_of_the_last)
    return {key.lower(): value for key, value in found.items() if value is not None}


def fields_of(path: str, body: Object) -> Object:
    """What of a body is passed on as it is; its options are not."""
    fields = {name: body[name] for name in FIELDS[path] if name in body}
    if not isinstance(body.get("options", {}), dict):
        fields["options"] = body["options"]  # the host says what is wrong with it
    return fields


def options_of(body: Object) -> Object:
    """The options that Ollama knows; it passes over others."""
    options = body.get("options")
    return {name: options[name] for name in TYPES if name in options} if isinstance(options, dict) else {}


def text_of(body: Object, *names: str) -> str:
    """The first of these fields that says anything. Raises Refused for one that is no text."""
    for name in names:
        value = body.get(name, "")
        if not isinstance(value, str):
            raise Refused(400, f"json: cannot unmarshal into Go struct field {name} of type string")
        if value:
            return value
    return ""


def checked(model: str) -> str:
    """The name as it was written, if it is one of a model that a host has or could have. Raises Refused."""
    if not NAME.fullmatch(model.strip()):
        raise Refused(400, "invalid model name")
    if CLOUD.fullmatch(model.strip()):
        raise Refused(403, "ollama cloud is disabled: remote model is unavailable")
    return model


def _value_in(text: str, **more: Any) -> Any:
    try:
        found, _ = json.JSONDecoder(parse_constant=_no_number, **more).raw_decode(text)
    except json.JSONDecodeError as error:
        raise Refused(400, _as_go_says(error)) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in brackets
        raise Refused(400, TOO_DEEP) from error
    return found


def _in_order_of_the_last(pairs: list[tuple[str, Any]]) -> Object:
    """A dict keeps the place of the first of several."""
    found: Object = {}
    for key, value in pairs:
        found.pop(key, None)
        found[key] = value
    return found


def _text_of(raw: bytes) -> str:
    if len(raw) <= LARGE:
        return raw.decode("utf-8", "replace")
    if _has_too_many_values(raw):
        raise Refused(400, "json: the value has too many parts")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Refused(400, "invalid UTF-8") from error


def _has_too_many_values(raw: bytes) -> bool:
    """Without reading it: what is escaped is left out, then each string lies between two quotes."""
    plain = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    if plain.count(b'"') > 2 * MOST_VALUES:
        return True
    return b"".join(plain.split(b'"')[::2]).count(b",") > MOST_VALUES


def _no_number(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no number", name, 0)


def _as_go_says(error: json.JSONDecodeError) -> str:
    if error.pos >= len(error.doc) or "Unterminated" in error.msg:
        return "unexpected EOF"
    return f"invalid character {error.doc[error.pos]!r} looking for beginning of value"
