"""The page of all models on all hosts, and what administrators do to one of them."""

from contextlib import suppress

from django import forms
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from models_admin import model_list, model_rules
from models_admin.details import details_of
from models_admin.jobs import listing, services
from models_admin.jobs.forms import ModelNameField, PullForm
from models_admin.jobs.views import busy_sentence, start
from models_admin.models import Job
from webui.accounts.access import administrators_only
from webui.http import Request, render_page
from webui.inference.models import Host, InstalledModel
from webui.ollama import ModelDetails
from webui.ollama.names import same_model

FOR_EVER = -1  # Ollama's keep_alive
TEXT_SHOWN = 20_000


class CopyForm(forms.Form):
    name = ModelNameField()


@require_safe
def models(request: Request) -> HttpResponse:
    """Every model on every host, as last seen, and the jobs."""
    administrators_only(request)
    return render_page(
        request, "models_admin/models.html", _page(request), part="models", part_template="models_admin/_models.html"
    )


@require_safe
def model(request: Request, pk: int) -> HttpResponse:
    """One model in the drawer beside the table."""
    found = _model(request, pk)
    rules = {"rules": model_rules.form_of(found.name), **model_rules.choices()}
    context = {**_page(request), **rules, "model": found, "pinned": model_list.is_pinned(found)}
    return render_page(
        request, "models_admin/models.html", context, part="drawer", part_template="models_admin/_drawer.html"
    )


@require_safe
def shown(request: Request, pk: int) -> HttpResponse:
    """What the host itself says of a model; the drawer asks for it by itself, so that no host delays a page."""
    found = _model(request, pk)
    details = details_of(found)
    context = {"model": found, "shown": details and _parts_of(details)}
    return render(request, "models_admin/_shown.html", context)


@require_safe
def menu(request: Request, pk: int) -> HttpResponse:
    """What can be done to a model."""
    found = _model(request, pk)
    return render(request, "models_admin/_model_menu.html", {"model": found, "pinned": model_list.is_pinned(found)})


@require_POST
def load(request: Request, pk: int) -> HttpResponseBase:
    """Bring it into memory before somebody asks."""
    return _do(request, pk, Job.Kind.LOAD)


@require_POST
def pin(request: Request, pk: int) -> HttpResponseBase:
    """Bring it into memory and keep it there."""
    return _do(request, pk, Job.Kind.LOAD, keep_alive=FOR_EVER)


@require_POST
def unload(request: Request, pk: int) -> HttpResponseBase:
    """Free the memory; an answer that is being written ends first."""
    return _do(request, pk, Job.Kind.UNLOAD)


@require_POST
def push(request: Request, pk: int) -> HttpResponseBase:
    """Upload it to the registry that its name says."""
    return _do(request, pk, Job.Kind.PUSH)


@require_http_methods(["GET", "HEAD", "POST"])
def copy(request: Request, pk: int) -> HttpResponseBase:
    """Give it a second name on its host; the layers are shared."""
    found = _model(request, pk)
    form = CopyForm(request.POST or None)
    if form.is_valid():
        name = form.cleaned_data["name"]
        if _is_taken(found.host, name):
            form.add_error("name", gettext("That name is taken on this host."))
        elif _started(request, form, Job.Kind.COPY, found.host, name, source=found.name):
            return _back(request)
    return render(request, "models_admin/_copy.html", {"model": found, "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: Request, pk: int) -> HttpResponseBase:
    """Delete it from its host, once its name was typed."""
    found = _model(request, pk)
    form = forms.Form(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if request.POST.get("name", "").strip() != found.name:
            form.add_error(None, gettext("That is not its name."))
        elif _started(request, form, Job.Kind.DELETE, found.host, found.name):
            return _back(request)
    context = {"model": found, "form": form, "users": model_list.users_lately(found)}
    return render(request, "models_admin/_delete.html", context)


def _page(request: Request) -> dict[str, object]:
    wish = model_list.wish_of(request.GET.dict())
    hosts = list(Host.objects.order_by("name"))
    return {
        "rows": model_list.rows(wish),
        "read_at": max((host.checked_at for host in hosts if host.checked_at), default=None),
        "wish": wish,
        "head": model_list.head(wish),
        "columns": model_list.columns(wish),
        "summary": model_list.summary(hosts),
        "hosts": hosts,
        "pull": PullForm(),
        "jobs": listing.shown(),
        "place": "models",
    }


def _model(request: Request, pk: int) -> InstalledModel:
    administrators_only(request)
    return get_object_or_404(InstalledModel.objects.select_related("host"), pk=pk)


def _is_taken(host: Host, name: str) -> bool:
    return any(same_model(known, name) for known in host.models.values_list("name", flat=True))


def _parts_of(details: ModelDetails) -> list[dict[str, str]]:
    """The texts of a model, under their names. Where its files lie on the host is no page's business."""
    info = "\n".join(f"{key}  {value}" for key, value in sorted(details.info.items()) if value not in (None, [], ""))
    texts = {
        gettext("System prompt"): details.system,
        gettext("Default parameters"): details.parameters,
        gettext("Template"): details.template,
        gettext("Model info"): info,
        gettext("Licence"): details.license,
    }
    return [{"label": label, "text": text[:TEXT_SHOWN]} for label, text in texts.items()]


def _do(request: Request, pk: int, kind: str, **wish: object) -> HttpResponseBase:
    """Start a job that needs no further words; what is in the way is in the list already."""
    found = _model(request, pk)
    with suppress(services.Busy):
        start(request, kind, found.host, found.name, request=wish)
    return _jobs(request)


def _started(request: Request, form: forms.Form, kind: str, host: Host, model: str, source: str = "") -> bool:
    """Start a job from a dialog, or say there what is in the way."""
    try:
        start(request, kind, host, model, source=source, bases=[source] if source else [])
    except services.Busy as busy:
        form.add_error(None, busy_sentence(busy))
        return False
    return True


def _jobs(request: Request) -> HttpResponseBase:
    if not request.htmx:
        return redirect("models_admin:models")
    return render(request, "models_admin/jobs/_list.html", {"jobs": listing.shown()})


def _back(request: Request) -> HttpResponseBase:
    """To the table, from a dialog."""
    return HttpResponse(status=204) if request.htmx else redirect("models_admin:models")
