"""Static files: hashed names and brotli made once, served in front of Django without a thread."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from whitenoise import WhiteNoise
from whitenoise.storage import CompressedManifestStaticFilesStorage

from webui.http import SECURITY_HEADERS, is_for_us

HASHED_NAME = r"\.[0-9a-f]{12}\."


class HashedFiles(CompressedManifestStaticFilesStorage):
    """Gives our ES modules hashed names inside each other, too.

    Vendored files only mention ``import()`` in comments, which Django would take for real.
    """

    support_js_module_import_aggregation = True

    def url_converter(
        self, name: str, hashed_files: dict[str, str], template: str | None = None
    ) -> Callable[[Any], str]:
        if name.endswith(".js") and not name.startswith("js/"):
            return lambda match: str(match[0])
        converter: Callable[[Any], str] = super().url_converter(name, hashed_files, template)
        return converter


def collect_if_changed() -> None:
    """Hash and compress the sources into STATIC_ROOT when one of them changed since the last time."""
    stamp = Path(settings.STATIC_ROOT).with_suffix(".stamp")
    state = _state_of_sources()
    if stamp.exists() and stamp.read_text() == state:
        return
    stamp.unlink(missing_ok=True)  # an interruption from here on means: once more
    call_command("collectstatic", interactive=False, verbosity=0, clear=True)
    stamp.write_text(state)


def _state_of_sources() -> str:
    digest = hashlib.sha256(HASHED_NAME.encode())
    for finder in get_finders():
        for name, storage in finder.list(None):
            status = Path(storage.path(name)).stat()
            digest.update(f"{name}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class StaticFiles:
    """ASGI: answers what STATIC_ROOT holds, and leaves the rest to the application behind it."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.files: dict[str, Any] = WhiteNoise(
            None,
            root=settings.STATIC_ROOT,
            prefix=settings.STATIC_URL,
            immutable_file_test=HASHED_NAME,
            allow_all_origins=False,
        ).files

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        found = self.files.get(scope["path"]) if scope["type"] == "http" and is_for_us(scope) else None
        if found is None:
            await self.application(scope, receive, send)
        else:
            await _answer(found.get_response(scope["method"], _headers_asked(scope)), send)


async def _answer(response: Any, send: Any) -> None:
    body = b""
    if response.file is not None:
        # Tens of kilobytes from the page cache: quicker than the way to a thread and back.
        with response.file as file:
            body = file.read()
    named = [*response.headers, *SECURITY_HEADERS.items()]
    headers = [(name.encode("latin1"), value.encode("latin1")) for name, value in named]
    await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers_asked(scope: dict[str, Any]) -> dict[str, str]:
    """The request's headers under the names that WhiteNoise knows from CGI."""
    return {
        f"HTTP_{name.decode('latin1').upper().replace('-', '_')}": value.decode("latin1")
        for name, value in scope["headers"]
    }
