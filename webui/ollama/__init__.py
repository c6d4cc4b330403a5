"""Talks to Ollama hosts. Knows nothing of Django."""

from .client import OllamaClient
from .errors import (
    AccessDenied,
    HostBusy,
    HostFailed,
    HostUnreachable,
    HostUntrusted,
    LineTooLong,
    ModelFailed,
    ModelNotFound,
    OllamaError,
    RequestRefused,
    StreamBroken,
    StreamCut,
    StreamSilent,
    UnexpectedAnswer,
)
from .relay import Beginning
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
    "AccessDenied",
    "Beginning",
    "ChatChunk",
    "Counters",
    "Embeddings",
    "GenerateChunk",
    "HostBusy",
    "HostFailed",
    "HostUnreachable",
    "HostUntrusted",
    "InstalledModel",
    "LineTooLong",
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
