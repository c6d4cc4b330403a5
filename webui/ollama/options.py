"""The options of a model: their types, and what became of those that are gone.

Source: Ollama's table of options at 0.33; a host ignores keys it does not know, and stores wrong types in a new
model, which then fails every question. So nothing untyped leaves the portal.
"""

import re
from typing import Final

Value = int | float | bool | str | list[str]

TYPES: Final[dict[str, type]] = {
    "num_ctx": int,
    "num_batch": int,
    "num_gpu": int,
    "main_gpu": int,
    "use_mmap": bool,
    "num_thread": int,
    "draft_num_predict": int,
    "num_keep": int,
    "seed": int,
    "num_predict": int,
    "top_k": int,
    "top_p": float,
    "min_p": float,
    "typical_p": float,
    "repeat_last_n": int,
    "temperature": float,
    "repeat_penalty": float,
    "presence_penalty": float,
    "frequency_penalty": float,
    "stop": list,
}
# Ollama passes over these in a Modelfile and warns; every other key it does not know is an error.
IGNORED: Final = frozenset(
    {
        "penalize_newline",
        "low_vram",
        "f16_kv",
        "logits_all",
        "vocab_only",
        "use_mlock",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
    }
)
# Python alone reads 1_000 and full-width digits, and calls nan a number, which JSON cannot hold.
INTEGER = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE | re.ASCII)
INTEGER_LIMIT = 2**31
INTEGER_LENGTH = 20
NUMBER_LIMIT = 3.4e38  # of 32 bits
TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def typed(name: str, text: str) -> Value:
    """The value of an option as a host wants it; of ``stop``, one of its texts. Raises ValueError in Ollama's words."""
    kind = TYPES.get(name)
    if kind is None:
        raise ValueError(f"unknown parameter '{name}'")
    if kind is int:
        return _integer(text)
    if kind is float:
        return _number(text)
    if kind is bool:
        return _truth(text)
    return text


def _integer(text: str) -> int:
    if len(text) < INTEGER_LENGTH and INTEGER.fullmatch(text) and -INTEGER_LIMIT <= int(text) < INTEGER_LIMIT:
        return int(text)
    raise ValueError(f"invalid int value [{text}]")


def _number(text: str) -> float:
    if NUMBER.fullmatch(text) and abs(float(text)) < NUMBER_LIMIT:
        return float(text)
    raise ValueError(f"invalid float value [{text}]")


def _truth(text: str) -> bool:
    if text in TRUE | FALSE:
        return text in TRUE
    raise ValueError(f"invalid bool value [{text}]")
