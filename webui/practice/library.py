"""The models that the host has, and how they come, change and go."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from . import modelfile, registry
from .models import Layer, PracticeModel, full_name, hidden_models, is_name
from .transfers import Transfer

Status = dict[str, Any]

DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
QUANTIZATIONS = ("F32", "F16", "Q4_K_S", "Q4_K_M", "Q8_0")
BAD_REQUEST, NOT_FOUND, FAILED = 400, 404, 500
NO_TRANSFER = "0" * 19  # Ollama's word for progress that is no download


class Refusal(Exception):
    """What the host says instead. ``status`` counts only before the first line of an answer."""

    def __init__(self, text: str, status: int = FAILED) -> None:
        super().__init__(text)
        self.status = status


class Library:
    """``pause_s`` says how long a step of a download takes, ``gate`` holds those that wait; ``old``: before 0.5.5."""

    def __init__(
        self, models: Iterable[PracticeModel], *, pause_s: Callable[[], float], gate: asyncio.Event, old: bool = False
    ) -> None:
        self._models = {full_name(model.name): model for model in models}
        self._hidden = {model.name: model for model in hidden_models()}
        self._blobs: dict[str, int] = {}
        self._transfers: dict[str, Transfer] = {}
        self._pause_s = pause_s
        self._gate = gate
        self._old = old

    def models(self) -> list[PracticeModel]:
        """Those that are listed, the newest first."""
        return sorted(self._models.values(), key=lambda model: model.modified, reverse=True)

    def find(self, name: str) -> PracticeModel | None:
        """A model by its name, in any case; also one that is not listed."""
        return self._models.get(full_name(name)) or self._hidden.get(full_name(name))

    # Models

    def copy(self, source: str, destination: str) -> None:
        for role, name in (("source", source), ("destination", destination)):
            if not is_name(name):
                raise Refusal(f'{role} "{name}" is invalid', BAD_REQUEST)
        model = self.find(source)
        if model is None:
            raise Refusal(f'model "{source}" not found', NOT_FOUND)
        self._store(destination, model)

    def delete(self, name: str) -> None:
        if not name:
            raise Refusal("model is required", BAD_REQUEST)
        if not is_name(name):
            raise Refusal(f'name "{name}" is invalid', BAD_REQUEST)
        if self._models.pop(full_name(name), None) is None:
            raise Refusal(f"model '{name}' not found", NOT_FOUND)

    def _store(self, name: str, model: PracticeModel) -> PracticeModel:
        """Keep a model under a name; one that is there already keeps the spelling of its name."""
        known = self._models.get(full_name(name))
        spelling = known.name if known else _with_tag(name)
        modified = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        stored = replace(model, name=spelling, voice=model.speaks, weights=model.built_on, modified=modified)
        self._models[full_name(name)] = stored
        return stored

    def _has(self, layer: Layer) -> bool:
        return any(layer.digest == other.digest for model in self._models.values() for other in model.layers)

    # Blobs

    def has_blob(self, digest: str) -> bool:
        """Raises Refusal when it is no digest."""
        return _plain_digest(digest) in self._blobs

    def add_blob(self, digest: str, true: str, size: int) -> None:
        """Only the size is kept. Content that is something else is kept under its true digest, and refused."""
        wanted = _plain_digest(digest)
        self._blobs[true] = size
        if wanted != true:
            raise Refusal(f'digest mismatch, expected "{wanted}", got "{true}"', BAD_REQUEST)

    # Pull and push

    async def pull(self, name: str) -> AsyncGenerator[Status, None]:
        """The lines of a pull. Whoever stops listening last stops the download; what has come stays."""
        if not is_name(name):
            raise Refusal("invalid model name", BAD_REQUEST)
        yield {"status": "pulling manifest"}
        model, trouble = registry.offered(name), registry.trouble(name)
        if model is None:
            raise Refusal("pull model manifest: file does not exist")
        if trouble and trouble.at_once:
            raise Refusal(trouble.error)
        for layer in model.layers:
            async with aclosing(self._download(layer, trouble)) as lines:
                async for line in lines:
                    yield line
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}
        self._store(name, model)
        for layer in model.layers:
            self._transfers.pop(layer.digest, None)
        yield {"status": "success"}

    async def _download(self, layer: Layer, trouble: registry.Trouble | None) -> AsyncGenerator[Status, None]:
        if self._has(layer):
            yield _progress("pulling", layer, layer.size)
            return
        transfer = self._transfer(layer, trouble)
        async with aclosing(transfer.follow()) as steps:
            async for completed in steps:
                yield _progress("pulling", layer, completed)
                if trouble and trouble.error and transfer.is_past_half:
                    raise Refusal(trouble.error)

    def _transfer(self, layer: Layer, trouble: registry.Trouble | None) -> Transfer:
        waits = trouble is not None and not trouble.error
        fresh = Transfer(layer, self._pause_s, self._gate if waits else None)
        return self._transfers.setdefault(layer.digest, fresh)

    async def push(self, name: str) -> AsyncGenerator[Status, None]:
        """The lines of a push, that leads nowhere."""
        yield {"status": "retrieving manifest"}
        model = self.find(name)
        if model is None:
            yield {"status": "couldn't retrieve manifest"}
            raise Refusal(f"open /models/manifests/{full_name(name)}: no such file or directory")
        for layer in model.layers:
            for completed in (0, layer.size // 2, layer.size):
                await asyncio.sleep(self._pause_s())
                yield _progress("pushing", layer, completed)
        yield {"status": "pushing manifest"}
        yield {"status": "success"}

    # Create

    async def create(self, body: dict[str, Any]) -> AsyncGenerator[Status, None]:
        """The lines of making a model from another, or from uploaded files."""
        name = str(body.get("model") or body.get("name") or "")
        if not is_name(name):
            raise Refusal("invalid model name", BAD_REQUEST)
        wish = self._wish(body)
        async with aclosing(self._base(wish)) as lines:
            async for line in lines:
                yield line
        made = _made(self._base_of(wish), wish)
        for layer in made.layers:
            known = self._has(layer)
            yield {"status": f"{'using existing' if known else 'creating new'} layer {layer.digest}"}
        yield {"status": "writing manifest"}
        self._store(name, made)
        yield {"status": "success"}

    def _wish(self, body: dict[str, Any]) -> dict[str, Any]:
        """What is to be made; refused when anything of it cannot be."""
        wish = self._old_wish(body) if self._old else body
        if not wish.get("from") and not wish.get("files"):
            raise Refusal("neither 'from' or 'files' was specified", BAD_REQUEST)
        for path in wish.get("files") or {}:
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise Refusal("file path must be relative", BAD_REQUEST)
        template = str(wish.get("template") or "")
        if template.count("{{") != template.count("}}"):
            raise Refusal("template error: template: :1: unclosed action", BAD_REQUEST)
        return wish

    def _old_wish(self, body: dict[str, Any]) -> dict[str, Any]:
        if not body.get("modelfile"):
            raise Refusal("path or Modelfile are required", BAD_REQUEST)
        try:
            return modelfile.fields(str(body["modelfile"]))
        except ValueError as error:
            raise Refusal(str(error), BAD_REQUEST) from error

    async def _base(self, wish: dict[str, Any]) -> AsyncGenerator[Status, None]:
        """Get ready what the model is built on."""
        if wish.get("files"):
            yield {"status": "parsing GGUF"}
            self._check_uploads(wish["files"])
            for line in _quantizing(str(wish.get("quantize") or "")):
                yield line
            yield {"status": "verifying conversion"}
            return
        if self.find(wish["from"]) is None:
            async with aclosing(self.pull(wish["from"])) as lines:
                async for line in lines:
                    if line["status"] != "success":
                        yield line
        if wish.get("quantize"):
            raise Refusal("quantization is only supported for F16, BF16 and F32 models")

    def _check_uploads(self, files: dict[str, str]) -> None:
        for digest in files.values():
            if not self.has_blob(digest):
                raise Refusal(f"open /models/blobs/{digest.replace(':', '-')}: no such file or directory")

    def _base_of(self, wish: dict[str, Any]) -> PracticeModel:
        if wish.get("files"):
            digests = sorted(_plain_digest(digest) for digest in wish["files"].values())
            size = sum(self._blobs[digest] for digest in digests)
            kind: dict[str, Any] = {"voice": registry.VOICE, "weights": "".join(digests), "quantization": "F16"}
            return PracticeModel("uploaded", "made from uploaded files", size=size, **kind)
        base = self.find(wish["from"])
        if base is None:  # deleted while it was built upon
            raise Refusal(f"model '{wish['from']}' not found")
        return base


def _made(base: PracticeModel, wish: dict[str, Any]) -> PracticeModel:
    """What a wish makes of its base: texts and lists replace those of the base, parameters are added to them."""
    given: dict[str, Any] = {field: wish[field] for field in ("template", "system", "messages") if wish.get(field)}
    if wish.get("license"):
        given["license"] = _licenses(wish["license"])
    if wish.get("quantize"):
        given["quantization"] = str(wish["quantize"]).upper()
    parameters = {**base.parameters, **(wish.get("parameters") or {})}
    origin: dict[str, Any] = {
        "voice": base.speaks,
        "weights": base.built_on,
        "parent": f"/models/blobs/{base.built_on[:64]}" if wish.get("files") else base.name,
    }
    return replace(base, parameters=parameters, **origin, **given)


def _licenses(found: object) -> list[str]:
    if isinstance(found, str):
        return [found]
    if isinstance(found, list) and all(isinstance(text, str) for text in found):
        return found
    raise Refusal(f"unknown license type: {type(found).__name__}")


def _quantizing(wanted: str) -> list[Status]:
    if not wanted:
        return []
    if wanted.upper() not in QUANTIZATIONS:
        kinds = ", ".join(QUANTIZATIONS)
        raise Refusal(f"unsupported quantization type {wanted.upper()} - supported types are {kinds}")
    step = {"status": f"quantizing F16 model to {wanted.upper()}", "digest": NO_TRANSFER, "total": 100}
    return [{**step, "completed": percent} for percent in (25, 50, 100)]


def _progress(verb: str, layer: Layer, completed: int) -> Status:
    """A line of a download; what is zero is absent."""
    short = layer.digest.removeprefix("sha256:")[:12]
    done = {"completed": completed} if completed else {}
    return {"status": f"{verb} {short}", "digest": layer.digest, "total": layer.size, **done}


def _plain_digest(digest: str) -> str:
    found = DIGEST.fullmatch(digest)
    if not found:
        raise Refusal("invalid digest format", BAD_REQUEST)
    return f"sha256:{found[1]}"


def _with_tag(name: str) -> str:
    plain = name.strip()
    return plain if ":" in plain.rpartition("/")[2] else f"{plain}:latest"
