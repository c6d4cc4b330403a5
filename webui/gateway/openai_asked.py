"""What a script asks in OpenAI's words, in Ollama's. Refused is what a host refuses there, in its words."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from webui.gateway.bodies import NOTE, Object
from webui.gateway.refusals import Refused

Kinds = Mapping[str, tuple[type | tuple[type, ...], str]]

NUMBER = (int, float), "float64"
BOTH: Kinds = {
    **dict.fromkeys(("temperature", "top_p", "frequency_penalty", "presence_penalty"), NUMBER),
    **dict.fromkeys(("max_tokens", "seed"), (int, "int")),
    "stream": (bool, "bool"),
    "stream_options": (dict, "openai.StreamOptions"),
}
OF_CHAT: Kinds = {
    **BOTH,
    "messages": (list, "[]openai.Message"),
    "tools": (list, "[]api.Tool"),
    "response_format": (dict, "openai.ResponseFormat"),
    "reasoning": (dict, "openai.Reasoning"),
    "reasoning_effort": (str, "string"),
    "logprobs": (bool, "bool"),
    "top_logprobs": (int, "int"),
}
OF_COMPLETION: Kinds = {**BOTH, "prompt": (str, "string"), "suffix": (str, "string"), "logprobs": (int, "int")}
OF_VECTORS: Kinds = {"dimensions": (int, "int"), "encoding_format": (str, "string")}
KIND_NAMES: Mapping[type, str] = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
}
OPTIONS = {
    "max_tokens": "num_predict",
    **{name: name for name in ("seed", "temperature", "top_p", "frequency_penalty", "presence_penalty")},
}
EFFORTS: Mapping[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "ultra": "max",
    "max": "max",
}
FORMATS = ("float", "base64")
IMAGES = ("data:;base64,", *(f"data:image/{kind};base64," for kind in ("jpeg", "jpg", "png", "webp")))
# What scripts send and hosts pass over, so that nobody wonders.
PASSED_OVER = frozenset(
    {"keep_alive", "logit_bias", "max_completion_tokens", "n", "options", "parallel_tool_calls", "tool_choice"}
)


def chat(body: Object) -> Object:
    """For ``/api/chat``."""
    _check(body, OF_CHAT, "ChatCompletionRequest")
    messages: list[Any] = body.get("messages") or []
    if not messages:
        raise Refused(400, "[] is too short - 'messages'")
    if not all(isinstance(message, dict) for message in messages):
        raise Refused(400, "invalid message format")
    called = _tools_called(messages)
    wanted: Object = {
        **_asked(body),
        **_given(body, "tools", "logprobs", "top_logprobs"),
        "messages": [part for message in messages for part in _in_parts(message, called)],
        "format": _format(body.get("response_format", {})),
        "think": _think(body),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def completion(body: Object) -> Object:
    """For ``/api/generate``."""
    _check(body, OF_COMPLETION, "CompletionRequest")
    stops = body.get("stop")
    if isinstance(stops, list) and not all(isinstance(stop, str) for stop in stops):
        raise Refused(400, "invalid type for 'stop' field")
    return {**_asked(body), **_given(body, "prompt", "suffix")}


def vectors(body: Object) -> Object:
    """For ``/api/embed``."""
    _check(body, OF_VECTORS, "EmbedRequest")
    form = body.get("encoding_format", "")
    if form and form.lower() not in FORMATS:
        raise Refused(400, f"Invalid value for 'encoding_format' = {form[:20]}. Supported values: {list(FORMATS)}.")
    if body.get("input") in (None, []):
        raise Refused(400, "invalid input")
    return {**_given(body, "model", "dimensions"), "input": body["input"] or [""]}


def note(body: Object) -> dict[str, str]:
    """Which wishes are passed over."""
    ignored = sorted(PASSED_OVER & body.keys())
    return {NOTE: ", ".join(ignored)} if ignored else {}


def _asked(body: Object) -> Object:
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else stop
    options = {OPTIONS[name]: body[name] for name in OPTIONS if name in body}
    if isinstance(stops, list):
        options["stop"] = [each for each in stops if isinstance(each, str)]
    return {**_given(body, "model"), "stream": body.get("stream", False), "options": options}


def _given(body: Object, *names: str) -> Object:
    return {name: body[name] for name in names if name in body}


# Messages


def _in_parts(message: Object, called: Mapping[str, str]) -> Iterator[Object]:
    """Every part of a content becomes a message of its own, as hosts do it."""
    said = {name.lower(): value for name, value in message.items() if value is not None}
    content, of_all = said.get("content"), {"role": said.get("role", "")}
    calls = _calls(said.get("tool_calls"))
    more = {
        **({"thinking": said["reasoning"]} if "reasoning" in said else {}),
        **({"tool_calls": calls} if calls else {}),
        **_result(said, called),
    }
    match content:
        case str():
            yield {**of_all, "content": content, **more}
        case list():
            parts = [{**of_all, **_part(part)} for part in content]
            yield from parts[:-1]
            yield from ({**part, **(more if calls else {})} for part in parts[-1:])
        case None if calls:
            yield {**of_all, "content": "", **more}
        case _:
            kinds = {bool: "bool", int: "float64", float: "float64", dict: "map[string]interface {}"}
            raise Refused(400, f"invalid message content type: {kinds.get(type(content), '<nil>')}")


def _part(part: object) -> Object:
    match part:
        case {"type": "text", "text": str(text)}:
            return {"content": text}
        case {"type": "image_url", "image_url": str(url) | {"url": str(url)}}:
            return {"content": "", "images": [_image(url)]}
        case {"type": "input_audio", "input_audio": {"data": str(sound)}}:
            return {"content": "", "images": [sound]}
    raise Refused(400, "invalid message format")


def _image(url: str) -> str:
    """Only what is in the request: a host fetches nothing."""
    if url.startswith(("http://", "https://")):
        raise Refused(400, "image URLs are not currently supported, please use base64 encoded data instead")
    image = next((url.removeprefix(beginning) for beginning in IMAGES if url.startswith(beginning)), "?")
    try:
        base64.b64decode(image, validate=True)
    except ValueError as error:
        raise Refused(400, "invalid image input") from error
    return image


def _calls(calls: object) -> list[Object]:
    """Calls of tools, with what OpenAI has as JSON in a text as an object."""
    return [_call(call) for call in calls] if isinstance(calls, list) else []


def _call(call: Any) -> Object:
    match call:
        case {"function": {"name": str(name), "arguments": str(text)}}:
            return {**_given(call, "id"), "function": {"name": name, "arguments": _arguments(text)}}
    raise Refused(400, "invalid tool call arguments")


def _arguments(text: str) -> Object:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "invalid tool call arguments") from error
    if not isinstance(found, dict):
        raise Refused(400, "invalid tool call arguments")
    return found


def _result(said: Object, called: Mapping[str, str]) -> Object:
    """Which tool a result is of: hosts want its name, OpenAI's scripts tell the id of the call."""
    named = _given(said, "tool_call_id") if isinstance(said.get("tool_call_id"), str) else {}
    name = said.get("name") or called.get(named.get("tool_call_id", ""))
    if name and str(said.get("role")).lower() == "tool":
        named["tool_name"] = name
    return named


def _tools_called(messages: Sequence[Object]) -> dict[str, str]:
    """The names of the tools by the ids of their calls; of several calls with one id the last one counts."""
    found = {}
    for message in messages:
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            match call:
                case {"id": str(id_), "function": {"name": str(name)}}:
                    found[id_] = name
    return found


# The rest


def _format(wanted: Object) -> Any:
    match str(wanted.get("type")).strip().lower(), wanted.get("json_schema"):
        case "json_object", _:
            return "json"
        case "json_schema", {"schema": schema}:
            return schema
    return None


def _think(body: Object) -> bool | str | None:
    effort = body["reasoning"].get("effort") if "reasoning" in body else body.get("reasoning_effort")
    if not effort:
        return None
    if not isinstance(effort, str) or effort not in EFFORTS:
        known = ", ".join(f'"{word}"' for word in ("minimal", "low", "medium", "high", "xhigh", "ultra", "max"))
        raise Refused(400, f'invalid reasoning value: "{str(effort)[:20]}" (must be {known}, or "none")')
    return EFFORTS[effort]


def _check(body: Object, kinds: Kinds, whole: str) -> None:
    """A host would do so before it looks at anything; of a wrong option it would say that it failed itself."""
    for name, (kind, word) in kinds.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            _mismatch(value, f"{whole}.{name}", word)


def _mismatch(value: object, place: str, wanted: str) -> NoReturn:
    found = KIND_NAMES[type(value)]
    raise Refused(400, f"json: cannot unmarshal {found} into Go struct field {place} of type {wanted}")
