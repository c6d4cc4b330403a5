"""How far a job is, from what the host says line by line. Pure; time comes in as an argument."""

from collections import deque
from dataclasses import dataclass

from models_admin.models import Job
from webui.ollama import Progress

MEAN_S = 10.0
Phase = Job.Phase

# What a status line begins with, and what it means. Anything else changes nothing.
PHASES = {
    "pulling manifest": Phase.MANIFEST,
    "retrieving manifest": Phase.MANIFEST,
    "pulling": Phase.MOVING,
    "pushing manifest": Phase.WRITING,
    "pushing": Phase.MOVING,
    "verifying": Phase.CHECKING,
    "writing": Phase.WRITING,
    "removing": Phase.WRITING,
    "parsing": Phase.MAKING,
    "validating": Phase.MAKING,
    "converting": Phase.MAKING,
    "quantizing": Phase.MAKING,
    "using": Phase.MAKING,
    "creating": Phase.MAKING,
    "loading": Phase.LOADING,
    "unloading": Phase.UNLOADING,
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What is stored and shown of a running job: bytes over all layers seen so far."""

    phase: str = Phase.STARTING
    completed: int = 0
    total: int = 0
    bytes_per_s: int = 0


class Tally:
    """Sums up the layers of one job, and measures how fast they come."""

    def __init__(self) -> None:
        self._phase: str = Phase.STARTING
        self._layers: dict[str, tuple[int, int]] = {}  # completed, total
        self._layer = ""
        self._received = 0  # in this attempt: what was there before came at no speed
        self._samples: deque[tuple[float, int]] = deque()

    def take(self, line: Progress, now: float) -> None:
        """One line of the host."""
        self._phase = _phase_of(line.status) or self._phase
        if line.digest != self._layer:
            self._fill(self._layer)  # a layer may end without a line that says so
        self._layer = line.digest
        if line.digest and line.total:
            known = self._layers.get(line.digest)
            if known:
                self._received += max(0, line.completed - known[0])
            self._layers[line.digest] = min(line.completed, line.total), line.total
        self._sample(now)

    def figures(self, now: float) -> Figures:
        completed, total = (
            (sum(counts) for counts in zip(*self._layers.values(), strict=True)) if self._layers else (0, 0)
        )
        return Figures(self._phase, completed, total, self._speed(now) if self._phase == Phase.MOVING else 0)

    def _fill(self, layer: str) -> None:
        if layer in self._layers:
            _, total = self._layers[layer]
            self._layers[layer] = total, total

    def _sample(self, now: float) -> None:
        self._samples.append((now, self._received))
        while self._samples[0][0] < now - MEAN_S:
            self._samples.popleft()

    def _speed(self, now: float) -> int:
        """The mean of the last seconds; silence makes it slower, too."""
        if not self._samples:
            return 0
        began, received = self._samples[0]
        return int((self._received - received) / (now - began)) if now > began else 0


def _phase_of(status: str) -> str | None:
    words = status.lower()
    return next((phase for start, phase in PHASES.items() if words.startswith(start)), None)
