"""What somebody wants of a model, checked in the order in which Ollama checks it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .library import BAD_REQUEST, FAILED, NOT_FOUND, Library, Refusal
from .models import PracticeModel, is_name

INTEGERS = {
    *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "seed", "num_predict"),
    *("top_k", "repeat_last_n", "draft_num_predict"),
}
FLOATS = {"top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty"}
LEVELS = {"low", "medium", "high", "max"}
MOST_LOGPROBS = 20
DURATION = re.compile(r"(?P<count>-?\d+(?:\.\d+)?)(?P<unit>h|ms|m|s)")
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
KEEPS_FOREVER_S = 292 * 365.25 * 86400  # as long as Go can count


@dataclass(frozen=True, slots=True)
class Asked:
    """``name`` as it was sent. Without messages the model is only loaded, or unloaded by a ``keep_alive_s`` of 0."""

    name: str
    model: PracticeModel
    messages: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    think: bool | str | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    stream: bool = True
    keep_alive_s: float | None = None
    logprobs: bool = False
    top_logprobs: int = 0

    @property
    def unloads(self) -> bool:
        return not self.messages and self.keep_alive_s == 0

    @property
    def own_messages(self) -> Sequence[Mapping[str, Any]]:
        """Those that the model brings with it, then those that were sent."""
        return [*self.model.messages, *self.messages]


def of_chat(body: dict[str, Any], library: Library) -> Asked:
    """Raises Refusal."""
    messages = [_message(message) for message in body.get("messages") or []]
    keep_alive_s = _keep_alive_s(body.get("keep_alive"))
    _check_types(body)
    if not body.get("model"):
        raise Refusal("model is required", BAD_REQUEST)
    return _asked(body, library, messages, keep_alive_s, "chat")


def of_generate(body: dict[str, Any], library: Library) -> Asked:
    """Raises Refusal."""
    keep_alive_s = _keep_alive_s(body.get("keep_alive"))
    _check_types(body)
    prompt = str(body.get("prompt") or "")
    messages = [{"role": "user", "content": prompt}] if prompt else []
    return _asked({**body, "tools": None}, library, messages, keep_alive_s, "generate")


def _asked(
    body: dict[str, Any],
    library: Library,
    messages: Sequence[Mapping[str, Any]],
    keep_alive_s: float | None,
    verb: str,
) -> Asked:
    name = str(body.get("model") or "")
    if name and not is_name(name):
        raise Refusal("invalid model name", BAD_REQUEST)
    model = library.find(name) if name else None
    if model is None or model.name == "fault-st404:latest":
        raise Refusal(f"model '{name}' not found", NOT_FOUND)
    asked = Asked(
        name=name,
        model=model,
        messages=messages,
        options={**model.parameters, **(body.get("options") or {})},
        think=body.get("think"),
        tools=body.get("tools") or (),
        stream=body.get("stream") is not False,
        keep_alive_s=keep_alive_s,
        logprobs=bool(body.get("logprobs")),
        top_logprobs=body.get("top_logprobs") or 0,
    )
    if not asked.unloads:
        _check_abilities(asked, verb)
        _check_options(asked.options)
    return asked


def _message(found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Refusal(
            "json: cannot unmarshal into Go struct field ChatRequest.messages of type api.Message", BAD_REQUEST
        )
    message = {key.lower(): value for key, value in found.items()}
    if isinstance(message.get("content"), list):
        place = "Go struct field ChatRequest.messages.content of type string"
        raise Refusal(f"json: cannot unmarshal array into {place}", BAD_REQUEST)
    for image in message.get("images") or []:
        if str(image).startswith("data:"):
            raise Refusal("illegal base64 data at input byte 4", BAD_REQUEST)
    return message


def _keep_alive_s(value: object) -> float | None:
    """Seconds, from a number or a duration such as ``1h30m``; what is negative means for ever."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refusal(f"Unsupported type: '{type(value).__name__}'", BAD_REQUEST)
    seconds = _duration_s(value) if isinstance(value, str) else float(value)
    return KEEPS_FOREVER_S if seconds < 0 else seconds


def _duration_s(text: str) -> float:
    parts = list(DURATION.finditer(text))
    if text == "0":
        return 0.0
    if not parts or "".join(part[0] for part in parts) != text:
        problem = "missing unit in" if text.lstrip("-").isdigit() else "invalid"
        raise Refusal(f'time: {problem} duration "{text}"', BAD_REQUEST)
    return sum(float(part["count"]) * UNITS[part["unit"]] for part in parts)


def _check_types(body: dict[str, Any]) -> None:
    think = body.get("think")
    if think is not None and not isinstance(think, bool) and think not in LEVELS:
        choices = '"high", "medium", "low", "max", true, or false'
        raise Refusal(f"invalid think value: {think!r} (must be {choices})", BAD_REQUEST)
    if not 0 <= (body.get("top_logprobs") or 0) <= MOST_LOGPROBS:
        raise Refusal("top_logprobs must be between 0 and 20", BAD_REQUEST)
    wanted = body.get("format")
    if wanted and wanted != "json" and not isinstance(wanted, dict):
        quoted = str(wanted).replace('"', '\\"')
        raise Refusal(f'invalid format: "\\"{quoted}\\""; expected "json" or a valid JSON Schema object', FAILED)


def _check_abilities(asked: Asked, verb: str) -> None:
    able = asked.model.capabilities
    if asked.think and "thinking" not in able:
        raise Refusal(f'"{asked.name}" does not support thinking', BAD_REQUEST)
    if "completion" not in able:
        raise Refusal(f'"{asked.name}" does not support {verb}', BAD_REQUEST)
    if asked.tools and "tools" not in able:
        place = "" if "/" in asked.model.name else "library/"
        raise Refusal(f"registry.ollama.ai/{place}{asked.model.name} does not support tools", BAD_REQUEST)


def _check_options(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None:
            continue
        if name in INTEGERS and not number:
            raise Refusal(f'option "{name}" must be of type integer', FAILED)
        if name in FLOATS and not number:
            raise Refusal(f'option "{name}" must be of type float32', FAILED)
        if name == "stop" and not isinstance(value, list):
            raise Refusal('option "stop" must be of type array', FAILED)
