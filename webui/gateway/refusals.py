"""What the gateway refuses, and how a host's errors look from outside."""

import math
import re

from django.utils import timezone

from webui.inference.quotas import REFUSALS, QuotaReached
from webui.ollama import OllamaError, RequestRefused
from webui.ollama.names import DEFAULT_TAG
from webui.ollama.stream import error_text, parse

# By the kind of the error; see webui/ollama/errors.py.
STATUS = {
    **dict.fromkeys(REFUSALS, 429),
    "busy": 503,
    "unreachable": 503,
    "untrusted": 503,
    "removed": 503,
    "denied": 502,
}
WORDS = {
    "busy": "server busy, please try again.  maximum pending requests exceeded",
    "unreachable": "no Ollama host answers",
    "untrusted": "no Ollama host answers",
    "denied": "the Ollama host does not let the portal in",
    "lost": "an error was encountered while running the model: unexpected EOF",
    "silent": "an error was encountered while running the model: unexpected EOF",
    "odd": "the Ollama host did not answer in its own words",
}
SOON_S = 2  # when one of several requests may have ended
LENGTH = 4000  # of what a host says about an error
# A path of the host's disk; in the middle of an address there is none.
ON_THE_SERVER = re.compile(r"(?<![\w:/.])/[^\s:\"'\\]*/(?=(?:blobs|manifests)/)")


class Refused(Exception):
    """``status`` is the HTTP status; the message goes to the script. ``plain``: Ollama says this without JSON."""

    def __init__(self, status: int, message: str, *, plain: bool = False, allow: str = "", retry_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.plain = plain
        self.allow = allow  # the verbs there are
        self.retry_s = retry_s  # 0: nobody knows


def missing(path: str, model: str) -> Refused:
    """As a host says that it has no such model; so nobody learns that there is one for others."""
    match path:
        case "/api/embed" | "/api/embeddings":
            words = f'model "{model}" not found, try pulling it first' if model else "model '' not found"
        case "/api/show":
            words = f"model '{model if ':' in model else f'{model}:{DEFAULT_TAG}'}' not found"
        case "/api/copy":
            words = f'model "{model}" not found'
        case _:
            words = f"model '{model}' not found"
    return Refused(404, words)


def refusal_of(error: OllamaError) -> Refused:
    """A host's error as it said it, but for the places of its files."""
    status = STATUS.get(error.kind) or (error.status if isinstance(error, RequestRefused) else 500)
    words = _without_places(_words_of(error))
    return Refused(status if status >= 400 else 500, words, retry_s=_retry_s(error))  # noqa: PLR2004  errors


def _retry_s(error: OllamaError) -> int:
    if isinstance(error, QuotaReached):
        return max(1, math.ceil((error.until - timezone.now()).total_seconds())) if error.until else SOON_S
    return 0


def _words_of(error: OllamaError) -> str:
    if error.kind in WORDS:
        return WORDS[error.kind]
    said = (parse(error.raw) or {}).get("error")
    return said if isinstance(said, str) else error_text(said) if said else str(error)


def _without_places(words: str) -> str:
    return ON_THE_SERVER.sub("", words[:LENGTH])
