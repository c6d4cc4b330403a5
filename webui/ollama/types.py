"""What an Ollama host says, as we pass it on. Times in milliseconds, sizes in bytes."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Counters:
    """Ollama's own figures of an answer, from its last line."""

    prompt_tokens: int = 0
    output_tokens: int = 0
    total_ms: float = 0
    load_ms: float = 0
    prompt_ms: float = 0
    output_ms: float = 0


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """A piece of an answer. The last one, and only that one, is done."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[Any, ...] = ()
    done: bool = False
    done_reason: str | None = None
    counters: Counters | None = None


@dataclass(frozen=True, slots=True)
class GenerateChunk:
    """A piece of a raw completion; the last one carries the context to go on from."""

    text: str = ""
    thinking: str = ""
    done: bool = False
    done_reason: str | None = None
    counters: Counters | None = None
    context: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """One model of /api/tags."""

    name: str
    digest: str
    size: int
    modified_at: str = ""
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunningModel:
    """One model of /api/ps."""

    name: str
    digest: str = ""
    size: int = 0
    size_vram: int = 0
    expires_at: str = ""
    context_length: int = 0


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """What /api/show says, without the tensors."""

    capabilities: tuple[str, ...]
    context_length: int
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    template: str = ""
    parameters: str = ""
    license: str = ""
    system: str = ""
    modelfile: str = ""
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector per input text."""

    vectors: tuple[tuple[float, ...], ...]
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """A line of a pull, push or create. ``total`` and ``completed`` are of one layer, named by ``digest``."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0
