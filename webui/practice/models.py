"""The models of the practice host."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .measures import CORPORA

PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
NAME = re.compile(rf"(?:(?:{PART}(?::\d+)?/)?[A-Za-z0-9_][A-Za-z0-9_-]{{0,79}}/)?{PART}(?::{PART})?")
REGISTRY, NAMESPACE = "registry.ollama.ai/", "library/"


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of a model as it is stored; ``size`` in bytes."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class PracticeModel:
    """``size`` in bytes, ``context`` in tokens."""

    name: str
    about: str
    capabilities: tuple[str, ...] = ("completion",)
    size: int = 4_096_000_000
    parameter_size: str = "7B"
    context: int = 8192
    load_s: float = 0.0
    continues: bool = True
    early_calls: bool = False  # calls tools in a line of their own, as models with a parser do
    voice: str = ""  # the model whose script it speaks, if not its own
    weights: str = ""  # whose weights it has, if not those of its voice
    parent: str = ""
    modified: str = "2026-11-01T09:00:00Z"
    quantization: str = "Q4_K_M"
    template: str = ""
    system: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] = ()
    license: Sequence[str] = ()

    @property
    def speaks(self) -> str:
        """Whose script it speaks."""
        return self.voice or self.name

    @property
    def built_on(self) -> str:
        """Whose weights it has."""
        return self.weights or self.speaks

    @property
    def digest(self) -> str:
        own = "".join(layer.digest for layer in self._own_layers)
        return hashlib.sha256((self.built_on + own).encode()).hexdigest()

    @property
    def layers(self) -> list[Layer]:
        """The weights, shared with all that are made from them, then what the model adds, then its configuration."""
        weights = Layer(_digest(f"weights of {self.built_on}"), self.size)
        return [weights, *self._own_layers, Layer(_digest(f"configuration of {self.digest}"), 487)]

    @property
    def _own_layers(self) -> list[Layer]:
        own = (self.template, self.system, dict(self.parameters), list(self.messages), list(self.license))
        texts = [json.dumps(part) for part in own if part]
        return [Layer(_digest(text), len(text)) for text in texts]

    @property
    def details(self) -> dict[str, object]:
        return {
            "parent_model": self.parent,
            "format": "gguf",
            "family": "practice",
            "families": ["practice"],
            "parameter_size": self.parameter_size,
            "quantization_level": self.quantization,
        }


PRACTICE = [
    PracticeModel("practice:latest", "friendly short answers"),
    PracticeModel("practice-markdown:latest", "a long answer with everything Markdown can do", size=8_500_000_000),
    PracticeModel("practice-thinker:latest", "thinks first", ("completion", "thinking"), size=20_100_000_000),
    PracticeModel("practice-tools:latest", "calls a tool when given one", ("completion", "tools")),
    PracticeModel("practice-vision:latest", "looks at images", ("completion", "vision"), size=6_000_000_000),
    PracticeModel("practice-embed:latest", "turns texts into vectors", ("embedding",), size=274_000_000),
    PracticeModel("practice-counting:latest", "counts", size=815_000_000, parameter_size="1B"),
    PracticeModel("practice-slow-load:latest", "takes its time to load", size=40_000_000_000, load_s=4.0),
    PracticeModel("practice-no-prefill:latest", "starts over when asked to go on", continues=False),
]
STATUSES = [400, 401, 403, 404, 429, 499, 500, 502, 503]
FAULTS = [
    *(f"st{status}{body}" for status in STATUSES for body in ("", "-html", "-empty")),
    *["hangheader", "hang", "rst", "trunc", "miderr", "html", "garbage", "rubbish", "half", "badutf", "surr", "nul"],
    *["nel", "big", "noline", "fast", "flood", "slow", "wedge", "gate", "xss", "busy", "limited"],
]


def fault_models() -> list[PracticeModel]:
    return [PracticeModel(f"fault-{fault}:latest", f"misbehaves: {fault}") for fault in FAULTS]


def hidden_models() -> list[PracticeModel]:
    """Those that answer without being listed: newcomers need not see them."""
    early = PracticeModel(
        "practice-tools-early:latest", "calls tools before its last line", ("completion", "tools"), early_calls=True
    )
    return [
        early,
        *(PracticeModel(f"measure-{kind}:latest", f"to measure with: {kind}") for kind in CORPORA),
        *fault_models(),
    ]


def full_name(name: str) -> str:
    """As the catalogue finds it: small letters, with a tag, without what is understood anyway."""
    plain = name.strip().casefold().removeprefix(REGISTRY).removeprefix(NAMESPACE)
    return plain if ":" in plain.rpartition("/")[2] else f"{plain}:latest"


def is_name(name: str) -> bool:
    return bool(NAME.fullmatch(name.strip()))


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
