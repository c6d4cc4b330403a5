"""Why a job failed, as the word by which a page chooses its sentence. Ollama has no codes for it, only texts."""

from webui.ollama import HostUnreachable, OllamaError, RequestRefused

# The first that is found in what the host said. It may be the registry's own words, passed on.
SAID = {
    "newer": ("newer version of ollama", " 412"),
    "disk": ("no space left", "not enough space", "disk quota"),
    "digest": ("digest mismatch",),
    "plain-http": ("gave http response to https client", "first record does not look like a tls handshake"),
    "certificate": ("x509", "certificate"),
    "unknown": ("file does not exist", "manifest unknown", "name_unknown", "couldn't retrieve manifest", "not found"),
    "forbidden": ("unauthorized", "access denied", "forbidden", "not authorized", " 401", " 403"),
    "name": ("invalid model name", "is invalid", "invalid model path"),
    "registry": (
        *("dial tcp", "no such host", "connection refused", "i/o timeout", "max retries exceeded", "unexpected eof"),
        *("tls handshake timeout", "connection reset", "network is unreachable", "manifest: 5", "context deadline"),
    ),
}


def trouble_of(error: OllamaError) -> str:
    """One of the keys above, the kind of a broken connection to the host, or ``other``."""
    text = str(error).lower()
    if isinstance(error, HostUnreachable):
        return error.kind
    found = next((word for word, texts in SAID.items() if any(part in text for part in texts)), None)
    if found:
        return found
    return "other" if isinstance(error, RequestRefused) else error.kind
