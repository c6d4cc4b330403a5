"""What can go wrong when talking to an Ollama host. ``kind`` is the word by which a page chooses its sentence.

OllamaError
  HostUnreachable    unreachable  nothing answered at the address
  HostBusy           busy         503 or 429: too many requests; ask again later
  RequestRefused     refused      the host answered {"error": ...} with a status
    AccessDenied     denied       401 or 403: the portal may not ask there
    ModelNotFound    missing      404: that model is not on this host
    HostFailed       broken       500, 502 and their like: something failed there
  ModelFailed        model        an {"error": ...} line inside an answer
  StreamBroken       lost         the connection broke in mid-answer
    StreamCut        cut          the answer ended without the line that says it is done
    StreamSilent     silent       nothing came for too long
  UnexpectedAnswer   odd          not what an Ollama host says
    LineTooLong      long         a line of the answer is longer than any of Ollama's
"""

from datetime import datetime

from webui.text import clean_text

DETAIL_LENGTH = 500


class OllamaError(Exception):
    """The message is what the host said, cleaned and shortened; it is hostile text. ``raw``: as it came.

    ``until``: when it is worth while to ask again, where that is known.
    """

    kind = "internal"
    raw: bytes = b""
    until: datetime | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(clean_text(message[:DETAIL_LENGTH]))


class HostUnreachable(OllamaError):
    kind = "unreachable"


class HostUntrusted(HostUnreachable):
    """Its certificate is of nobody we trust, or of another name."""

    kind = "untrusted"


class HostBusy(OllamaError):
    """``retry_after_s``: when the host wants to be asked again, where it said so."""

    kind = "busy"

    def __init__(self, message: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RequestRefused(OllamaError):
    """``status`` is the HTTP status."""

    kind = "refused"

    def __init__(self, message: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class AccessDenied(RequestRefused):
    kind = "denied"


class ModelNotFound(RequestRefused):
    kind = "missing"


class HostFailed(RequestRefused):
    kind = "broken"


class ModelFailed(OllamaError):
    kind = "model"


class StreamBroken(OllamaError):
    kind = "lost"


class StreamCut(StreamBroken):
    kind = "cut"


class StreamSilent(StreamBroken):
    kind = "silent"


class UnexpectedAnswer(OllamaError):
    kind = "odd"


class LineTooLong(UnexpectedAnswer):
    kind = "long"
