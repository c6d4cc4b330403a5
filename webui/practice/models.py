"""The models of the practice host."""

import hashlib
from dataclasses import dataclass


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

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def details(self) -> dict[str, object]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": "practice",
            "families": ["practice"],
            "parameter_size": self.parameter_size,
            "quantization_level": "Q4_K_M",
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
STATUSES = [400, 401, 403, 404, 429, 500, 502, 503]
FAULTS = [
    *(f"st{status}" for status in STATUSES),
    *["hangheader", "hang", "rst", "trunc", "miderr", "html", "garbage", "half", "badutf", "surr", "nul", "nel"],
    *["big", "noline", "fast", "slow", "gate", "xss"],
]


def fault_models() -> list[PracticeModel]:
    return [PracticeModel(f"fault-{fault}:latest", f"misbehaves: {fault}") for fault in FAULTS]


def full_name(name: str) -> str:
    """As the catalogue has it: small letters, with a tag."""
    plain = name.strip().casefold()
    return plain if ":" in plain else f"{plain}:latest"
