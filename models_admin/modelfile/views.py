"""The editor of Modelfiles: a new model from an installed one, or an installed one changed."""

from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from models_admin.details import details_of
from models_admin.jobs import services
from models_admin.jobs.forms import ModelNameField
from models_admin.jobs.views import busy_sentence, start
from models_admin.modelfile import lint
from models_admin.modelfile.text import difference, text_of
from models_admin.models import Job
from webui.accounts.access import administrators_only
from webui.http import Request
from webui.inference.models import Host, InstalledModel, ModelAccess
from webui.ollama.modelfile import UPLOADED
from webui.ollama.names import normal, same_model

LONGEST = 128 * 1024
LINES_NUMBERED, COMMANDS_SHOWN = 2000, 100
BEGINNING = "FROM {base}\n\nSYSTEM You are a helpful assistant.\n"
QUANTIZABLE = {"F16", "F32", "BF16"}
QUANTIZATIONS = ["Q8_0", "Q4_K_M", "Q4_K_S"]


class ModelfileForm(forms.Form):
    """``replaces`` names the installed model that is edited; any other name must be free."""

    name = ModelNameField(error_messages={"required": _("A model needs a name.")})
    host = forms.ModelChoiceField(Host.objects.filter(enabled=True), empty_label=None)
    text = forms.CharField(max_length=LONGEST, strip=False)
    quantize = forms.ChoiceField(choices=[("", ""), *((name, name) for name in QUANTIZATIONS)], required=False)
    private = forms.BooleanField(required=False)
    original = forms.CharField(max_length=LONGEST, strip=False, required=False)
    replaces = forms.CharField(max_length=400, required=False)
    file_kind = forms.CharField(max_length=10, required=False)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        name, host = said.get("name"), said.get("host")
        if name and host and not same_model(name, said.get("replaces") or "-") and _installed(host, name):
            self.add_error("name", _("That name is taken on this host."))
        return said


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: Request) -> HttpResponseBase:
    """A model from another one; ``from`` says which it begins with."""
    administrators_only(request)
    if request.method == "POST":
        return _create(request)
    host = _host(request.GET.get("host", "")) or Host.objects.filter(enabled=True).order_by("name").first()
    base = request.GET.get("from", "")[:400] or (
        host and host.models.order_by("name").values_list("name", flat=True).first()
    )
    form = ModelfileForm(initial={"host": host and host.pk, "text": BEGINNING.format(base=base or ""), "private": True})
    return _editor(request, form)


@require_safe
def edit(request: Request, pk: int) -> HttpResponseBase:
    """An installed model, as its host says it is made."""
    administrators_only(request)
    model = get_object_or_404(InstalledModel.objects.select_related("host"), pk=pk)
    details = details_of(model)
    if details is None:
        return render(request, "models_admin/modelfile/away.html", {"model": model, "place": "models"})
    text = text_of(model.name, details)
    known = {"name": model.name, "replaces": model.name, "host": model.host_id, "text": text, "original": text}
    return _editor(request, ModelfileForm(initial=known))


@require_POST
def check(request: Request) -> HttpResponse:
    """What is to be said of the text while it is written, as parts; with ``fix``, the text with that mended."""
    administrators_only(request)
    form = ModelfileForm(request.POST)
    text = request.POST.get("text", "")[:LONGEST]
    context = _context(form, text)
    fix = request.POST.get("fix")
    if fix:
        context = {**_context(form, context["draft"].fixed(fix)), "mended": True}
    return render(request, "models_admin/modelfile/_side.html", {**context, "parts": True})


def _create(request: Request) -> HttpResponseBase:
    form = ModelfileForm(request.POST)
    context = _context(form, request.POST.get("text", "")[:LONGEST])
    if form.is_valid() and context["draft"].ready:
        try:
            _start(request, form.cleaned_data, context["draft"])
        except services.Busy as busy:
            form.add_error("name", busy_sentence(busy))
        else:
            return redirect("models_admin:models")
    return _editor(request, form, context)


def _start(request: Request, said: dict[str, Any], draft: lint.Draft) -> None:
    """Structured fields for hosts since 0.5.5, the text for those before: each ignores the other."""
    modelfile = draft.modelfile()
    wish = {**modelfile.request(), "modelfile": str(modelfile)}
    if said["quantize"]:
        wish["quantize"] = said["quantize"]
    with transaction.atomic():
        if said["private"]:
            audience = {"audience": ModelAccess.Audience.ADMINISTRATORS}
            ModelAccess.objects.get_or_create(key=normal(said["name"]), defaults=audience)
        bases = [str(wish["from"])] if "from" in wish else []
        start(request, Job.Kind.CREATE, said["host"], said["name"], request=wish, bases=bases)


def _editor(request: Request, form: ModelfileForm, context: dict[str, Any] | None = None) -> HttpResponse:
    context = context or _context(form, str(form["text"].value() or ""))
    hosts = Host.objects.filter(enabled=True).order_by("name")
    return render(request, "models_admin/modelfile/editor.html", {**context, "hosts": hosts, "place": "models"})


def _context(form: ModelfileForm, text: str) -> dict[str, Any]:
    host = _host(form["host"].value())
    models = list(host.models.order_by("name")) if host else []
    draft = lint.look(text, {normal(model.name): model.context_length for model in models})
    base = next((command.value for command in reversed(draft.commands) if command.name == "from"), "")
    found = next((model for model in models if same_model(model.name, base)), None)
    original = str(form["original"].value() or "")
    lines = draft.text.count("\n") + 1
    return {
        "form": form,
        "draft": draft,
        "lines": [(number, number in draft.bad_lines) for number in range(1, min(lines, LINES_NUMBERED) + 1)],
        "commands": draft.commands[:COMMANDS_SHOWN],
        "base": found,
        "uploaded": bool(UPLOADED.fullmatch(base)),
        "quantizations": QUANTIZATIONS if _kind(form, found, base) in QUANTIZABLE else [],
        "difference": difference(original, draft.text) if original else [],
    }


def _kind(form: ModelfileForm, base: InstalledModel | None, named: str) -> str:
    """How the weights are stored: as the host says, or as the page has read in the file it uploaded."""
    if UPLOADED.fullmatch(named):
        return str(form["file_kind"].value() or "")
    return base.quantization if base else ""


def _host(pk: object) -> Host | None:
    return Host.objects.filter(pk=int(str(pk))).first() if str(pk).isdecimal() and len(str(pk)) < 10 else None  # noqa: PLR2004


def _installed(host: Host, name: str) -> bool:
    return any(same_model(known, name) for known in host.models.values_list("name", flat=True))
