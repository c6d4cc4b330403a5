"""What a model replies to what it was asked: text, thinking, and calls of tools."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from .asked import Asked
from .scripts import pieces, script_for

NUMBER = re.compile(r"\d+(?:\.\d+)?")
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Reply:
    """``was_cut``: there was more to say than allowed."""

    text: list[str]
    thinking: list[str]
    calls: list[dict[str, Any]]
    was_cut: bool = False

    @property
    def pieces(self) -> list[tuple[str, str]]:
        """Pieces of text and of thinking, in the order in which they are said; one of each pair is empty."""
        return [("", thought) for thought in self.thinking] + [(piece, "") for piece in self.text]


def reply_to(asked: Asked) -> Reply:
    model = asked.model
    messages = asked.own_messages
    if asked.tools and messages[-1].get("role") != "tool":
        text = pieces("I shall look that up.") if model.early_calls else []
        return Reply(text, [], _calls(asked))
    if messages[-1].get("role") == "tool":
        return _within_limits(Reply(pieces(_about_the_result(messages[-1])), [], []), asked.options)
    script = script_for(model.speaks, messages, think=asked.think, continues=model.continues)
    return _within_limits(Reply(script.text, script.thinking, []), asked.options)


def _within_limits(reply: Reply, options: Mapping[str, Any]) -> Reply:
    """Stop strings end a reply, and are not said; ``num_predict`` counts pieces."""
    text = _until_stop(reply.text, options.get("stop") or [])
    limit = int(options.get("num_predict") or 0)
    cut = 0 < limit < len(text)
    return Reply(text[:limit] if cut else text, reply.thinking, reply.calls, cut)


def _until_stop(said: list[str], stops: Sequence[str]) -> list[str]:
    whole = "".join(said)
    end = min((at for stop in stops if stop and (at := whole.find(stop)) >= 0), default=len(whole))
    ends = accumulate(map(len, said))
    return [
        piece[: len(piece) - max(0, upto - end)]
        for piece, upto in zip(said, ends, strict=True)
        if upto - len(piece) < end
    ]


# Tools


def _calls(asked: Asked) -> list[dict[str, Any]]:
    """One call: of the tool whose name the question has, else of the first."""
    question = str(asked.messages[-1].get("content") or "")
    functions = [tool.get("function") or {} for tool in asked.tools]
    named = [function for function in functions if str(function.get("name")) in question]
    function = (named or functions)[0]
    properties = (function.get("parameters") or {}).get("properties") or {}
    arguments = {name: _argument(schema, question) for name, schema in properties.items()}
    identity = f"call_{secrets.token_hex(4)}" if asked.model.early_calls else secrets.token_hex(16)
    return [{"id": identity, "function": {"index": 0, "name": function.get("name", ""), "arguments": arguments}}]


def _argument(schema: Mapping[str, Any], question: str) -> object:
    """A value that the schema allows, from the question where it can be: its first number, or its last word."""
    if schema.get("enum"):
        return schema["enum"][0]
    number = NUMBER.search(question)
    words = WORD.findall(question)
    values: dict[str, object] = {
        "integer": int(float(number[0])) if number else 1,
        "number": float(number[0]) if number else 1.0,
        "boolean": True,
        "array": [],
        "object": {},
    }
    return values.get(str(schema.get("type")), words[-1] if words else "")


def _about_the_result(message: Mapping[str, Any]) -> str:
    tool = message.get("tool_name") or "The tool"
    return f"{tool} says: {message.get('content', '')}\n\nI am a practice model: I only repeat what it says."
