"""What can be pulled: the practice models, a small one and a large one; and pulls that fail, by name."""

from dataclasses import dataclass

from .models import PRACTICE, PracticeModel, full_name

VOICE = PRACTICE[0].name


def _pullable(name: str, about: str, size: int, parameter_size: str) -> PracticeModel:
    """It has weights of its own, and speaks as the ordinary practice model does."""
    return PracticeModel(name, about, size=size, parameter_size=parameter_size, voice=VOICE, weights=name)


SMALL = _pullable("practice-small:latest", "a small model to pull", 12_075_136, "135M")
LARGE = _pullable("practice-large:latest", "a large model to pull", 42_520_000_000, "70B")


@dataclass(frozen=True, slots=True)
class Trouble:
    """How a pull goes wrong: at once, half-way through the first layer, or (without words) by waiting there."""

    error: str = ""
    at_once: bool = False


TROUBLES = {
    "fault-pull-newer:latest": Trouble(
        "pull model manifest: 412: this model requires a newer version of Ollama", at_once=True
    ),
    "fault-pull-digest:latest": Trouble(
        "digest mismatch, file must be downloaded again: want sha256:1111, got sha256:2222"
    ),
    "fault-pull-broken:latest": Trouble("max retries exceeded: unexpected EOF"),
    "fault-pull-disk:latest": Trouble("write /models/blobs/sha256-1111-partial: no space left on device"),
    "fault-pull-http:latest": Trouble(
        "pull model manifest: http: server gave HTTP response to HTTPS client", at_once=True
    ),
    "fault-pull-gate:latest": Trouble(),
}


def offered(name: str) -> PracticeModel | None:
    """The model that the registry has under a name."""
    if full_name(name) in TROUBLES:
        return _pullable(full_name(name), "hard to pull", 12_000_000, "135M")
    return next((model for model in [*PRACTICE, SMALL, LARGE] if model.name == full_name(name)), None)


def trouble(name: str) -> Trouble | None:
    return TROUBLES.get(full_name(name))
