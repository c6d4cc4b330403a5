"""How a model is asked, whoever asks. Applied to every request in the door, and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from webui.inference.models import ModelPolicy
from webui.ollama.names import normal

# With another value than the last time, Ollama loads the model anew, for everybody. So people do not choose them.
OPERATORS_ONLY = frozenset({"num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap"})


@dataclass(frozen=True, slots=True)
class Policy:
    """``load``: what the model is loaded with; ``defaults``: what holds where nobody says otherwise."""

    load: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    keep_alive: str | int | None = None

    def options(self, wished: Mapping[str, object]) -> dict[str, object]:
        """What the host is sent, of what somebody wishes."""
        allowed = {name: value for name, value in wished.items() if name not in OPERATORS_ONLY}
        return {**self.defaults, **allowed, **self.load}


def policy_of(model: str) -> Policy:
    row = ModelPolicy.objects.filter(key=normal(model)).first()
    if row is None:
        return Policy()
    load = {"num_ctx": row.num_ctx, "num_gpu": row.num_gpu, "main_gpu": row.main_gpu}
    return Policy(
        load={name: value for name, value in load.items() if value is not None},
        defaults={name: value for name, value in row.options.items() if name not in OPERATORS_ONLY},
        keep_alive=_keep_alive(row.keep_alive),
    )


def _keep_alive(text: str) -> str | int | None:
    """Ollama takes a bare number as seconds only when it is one in JSON, too."""
    if not text:
        return None
    return int(text) if text.lstrip("-").isdecimal() else text
