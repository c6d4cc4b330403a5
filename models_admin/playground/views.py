"""The playground: models asked without a conversation around it, for those who may."""

import math
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing

from asgiref.sync import async_to_sync
from django.http import HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import translation
from django.views.decorators.http import require_POST, require_safe

from models_admin.playground.forms import CompletionForm, VectorsForm
from webui.accounts.access import administrators_only
from webui.http import Request
from webui.inference.catalogue import models_for
from webui.inference.door import AnyOrder, Event, Reading, Started, Waiting
from webui.inference.usage import metered
from webui.ollama import Embeddings, GenerateChunk, OllamaError
from webui.text import compact

NUMBERS_SHOWN = 8


@require_safe
def playground(request: Request) -> HttpResponse:
    """Raw completions, and vectors."""
    _allowed_only(request)
    return render(request, "models_admin/playground/playground.html", {**_models(request), "place": "playground"})


@require_POST
def complete(request: Request) -> HttpResponseBase:
    """Lines of JSON while the answer grows; leaving stops it. What is wrong with the form is said in words.

    ``{"waiting": place, "about_s"}``, ``{"phase"}``, ``{"text"}``, and in the end ``{"done": counters, "context"}``
    or ``{"failed": html}``.
    """
    _allowed_only(request)
    form = CompletionForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": {name: errors[0] for name, errors in form.errors.items()}})
    language = translation.get_language() or "en"
    lines = _lines(form.order(request.user.pk), language)
    answer = StreamingHttpResponse(lines, content_type="application/x-ndjson")
    answer["X-Accel-Buffering"] = "no"  # a proxy must not hold it back
    # Django compresses each line by itself, and browsers show the first one only.
    answer["Content-Encoding"] = "identity"
    return answer


@require_POST
def embed(request: Request) -> HttpResponse:
    """Vectors of several texts, and how alike they are, as a part."""
    _allowed_only(request)
    form = VectorsForm(request.POST)
    context: dict[str, object] = {"form": form}
    if form.is_valid():
        began = time.monotonic()
        try:
            found = async_to_sync(_vectors)(form.order(request.user.pk))
        except OllamaError as error:
            context |= {
                "error": error.kind,
                "detail": str(error),
                "until": error.until,
                "model": form.cleaned_data["model"],
            }
        else:
            texts = form.cleaned_data["texts"]
            context |= _compared(texts, found.vectors)
            context |= {"tokens": found.prompt_tokens, "took_s": time.monotonic() - began}
    return render(request, "models_admin/playground/_vectors.html", context)


async def _lines(order: AnyOrder, language: str) -> AsyncIterator[str]:
    try:
        async with aclosing(metered(order)) as events:
            async for event in events:
                if said := _said(event):
                    yield compact(said) + "\n"
    except OllamaError as error:
        with translation.override(language):
            facts = {"error": error.kind, "detail": str(error), "until": error.until, "model": order.model}
            yield compact({"failed": render_to_string("models_admin/playground/_failed.html", facts)}) + "\n"


def _said(event: Event) -> dict[str, object] | None:
    match event:
        case Waiting(place):
            return {"waiting": place.number, "about_s": place.about_s}
        case Started(cold=cold, host=host):
            return {"phase": "loading" if cold else "reading", "host": host}
        case Reading():
            return {"phase": "reading"}
        case GenerateChunk(done=True):
            counters = event.counters
            figures = counters and {"prompt": counters.prompt_tokens, "output": counters.output_tokens}
            return {"text": event.text, "done": figures or {}, "context": event.context, "why": event.done_reason}
        case GenerateChunk():
            return {"text": event.text, "thinking": event.thinking}
    return None


async def _vectors(order: AnyOrder) -> Embeddings:
    found = Embeddings(())
    async with aclosing(metered(order)) as events:
        async for event in events:
            if isinstance(event, Embeddings):
                found = event
    return found


def _compared(texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> dict[str, object]:
    rows = [
        {
            "text": text,
            "alike": [cosine(vector, other) for other in vectors],
            "start": [f"{number:.4f}" for number in vector[:NUMBERS_SHOWN]],
        }
        for text, vector in zip(texts, vectors, strict=False)
    ]
    return {"rows": rows, "dimensions": len(vectors[0]) if vectors else 0, "whole": compact(list(map(list, vectors)))}


def cosine(one: Iterable[float], other: Iterable[float]) -> float:
    """From -1 to 1; 0 for a vector of nothing."""
    one, other = list(one), list(other)
    length = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=False)) / length if length else 0.0


def _models(request: Request) -> dict[str, object]:
    found = models_for(request.user)
    return {
        "completing": [model for model, capabilities in found if "completion" in capabilities or not capabilities],
        "embedding": [model for model, capabilities in found if "embedding" in capabilities],
    }


def _allowed_only(request: Request) -> None:
    """Others do not learn that there is anything. Raises Http404."""
    if not request.user.may_use_playground:
        administrators_only(request)
