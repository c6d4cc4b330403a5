"""Talks to Ollama hosts. Knows nothing of Django."""

from .client import OllamaClient
from .errors import (
    HostBusy,
    HostUnreachable,
    HostUntrusted,
    ModelFailed,
    ModelNotFound,
    OllamaError,
    RequestRefused,
    StreamBroken,
    StreamCut,
    StreamSilent,
    UnexpectedAnswer,
)
from .types import (
    ChatChunk,
    Counters,
    Embeddings,
    GenerateChunk,
    InstalledModel,
    ModelDetails,
    Progress,
    RunningModel,
)

__all__ = [
    "ChatChunk",
    "Counters",
    "Embeddings",
    "GenerateChunk",
    "HostBusy",
    "HostUnreachable",
    "HostUntrusted",
    "InstalledModel",
    "ModelDetails",
    "ModelFailed",
    "ModelNotFound",
    "OllamaClient",
    "OllamaError",
    "Progress",
    "RequestRefused",
    "RunningModel",
    "StreamBroken",
    "StreamCut",
    "StreamSilent",
    "UnexpectedAnswer",
]
