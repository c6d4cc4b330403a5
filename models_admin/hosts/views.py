"""The pages of the hosts, for administrators."""

from collections.abc import Iterator
from contextlib import contextmanager

from asgiref.sync import async_to_sync
from django.db import IntegrityError
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from models_admin.hosts import listing, services
from models_admin.hosts.forms import HostForm, form_of
from webui.accounts import audit
from webui.accounts.access import administrators_only
from webui.http import Request, render_page
from webui.inference.check import HostCheck, check
from webui.inference.hosts import look_now
from webui.inference.models import Host

RECORDED = ("name", "base_url", "slots", "total_memory", "verify_tls", "enabled", "draining")
# Of these the audit log says only that they changed.
UNSAID = {"bearer": "token", "authority": "authority"}


@require_safe
def hosts(request: Request) -> HttpResponse:
    """Every host: how it is, who waits there, what is in its memory."""
    administrators_only(request)
    context: dict[str, object] = {"cards": listing.cards(), "place": "hosts"}
    return render_page(
        request, "models_admin/hosts/hosts.html", context, part="hosts", part_template="models_admin/hosts/_hosts.html"
    )


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: Request) -> HttpResponseBase:
    """Another host, looked at before it is kept."""
    administrators_only(request)
    form = HostForm(request.POST if request.method == "POST" else None)
    found = _checked(form) if form.is_bound else None
    if form.is_valid() and found and found.passed:
        with _unless_taken(form), audit.recorded(request, "host_added") as entry:
            host = services.add(name=form.cleaned_data["name"], fields=form.fields_of_host())
            entry.what, entry.after = host.name, _recorded(host) | _unsaid(host, dict.fromkeys(UNSAID, ""))
        if form.is_valid():
            look_now(host)
            return redirect("models_admin:hosts")
    return render(request, "models_admin/hosts/host.html", {"form": form, "check": found, "place": "hosts"})


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: Request, pk: int) -> HttpResponseBase:
    """What is written down of a host. A way to it that does not work is not kept."""
    host = _host(request, pk)
    form = HostForm(request.POST, host=host) if request.method == "POST" else form_of(host)
    found = _checked(form) if form.is_bound and _goes_another_way(form, host) else None
    if form.is_bound and form.is_valid() and (found is None or found.passed):
        with _unless_taken(form), audit.recorded(request, "host_changed", host.name) as entry:
            entry.before, had = _recorded(host), audit.fields_of(host, *UNSAID)
            services.change(host=host, name=form.cleaned_data["name"], fields=form.fields_of_host())
            entry.after = _recorded(host) | _unsaid(host, had)
        if form.is_valid():
            return redirect("models_admin:hosts")
    context = {"form": form, "host": host, "check": found, "place": "hosts"}
    return render(request, "models_admin/hosts/host.html", context)


@sensitive_post_parameters()
@require_POST
def try_form(request: Request) -> HttpResponse:
    """The live check while somebody fills in the form, as a part."""
    administrators_only(request)
    pk = request.POST.get("host", "")
    host = Host.objects.filter(pk=pk).first() if pk.isdecimal() and len(pk) < 10 else None  # noqa: PLR2004  fits
    return render(request, "models_admin/_check.html", {"check": _checked(HostForm(request.POST, host=host))})


@require_POST
def look(request: Request, pk: int | None = None) -> HttpResponseBase:
    """Look at one host, or at all, without waiting for the next time."""
    administrators_only(request)
    chosen = [_host(request, pk)] if pk else list(Host.objects.filter(enabled=True))
    look_now(*chosen)
    return _back(request)


@require_POST
def set_aside(request: Request, pk: int) -> HttpResponseBase:
    """Send no new questions there, or take them again."""
    host = _host(request, pk)
    aside = request.POST.get("do") == "aside"
    with audit.recorded(request, "host_set_aside" if aside else "host_taken_back", host.name):
        services.set_aside(host=host, aside=aside)
    return _back(request)


@require_POST
def switch(request: Request, pk: int) -> HttpResponseBase:
    """Switch a host off, or on again."""
    host = _host(request, pk)
    on = request.POST.get("do") == "on"
    with audit.recorded(request, "host_switched_on" if on else "host_switched_off", host.name):
        services.switch(host=host, on=on)
    return redirect("models_admin:hosts")


@require_POST
def remove(request: Request, pk: int) -> HttpResponseBase:
    """Forget a host, once its name was typed."""
    host = _host(request, pk)
    if request.POST.get("name", "").strip() != host.name:
        context = {"form": form_of(host), "host": host, "refused": _("That is not its name."), "place": "hosts"}
        return render(request, "models_admin/hosts/host.html", context)
    with audit.recorded(request, "host_removed", host.name) as entry:
        entry.before = _recorded(host)
        services.remove(host=host, by=request.user)
    return redirect("models_admin:hosts")


def _checked(form: HostForm) -> HostCheck:
    form.is_valid()
    return async_to_sync(check)(form.data.get("url", "")[:300], **form.way())


@contextmanager
def _unless_taken(form: HostForm) -> Iterator[None]:
    """Two administrators may say the same at once; the form of the second one says so."""
    try:
        yield
    except IntegrityError:
        form.full_clean()
        if form.host:
            form.host.refresh_from_db()


def _goes_another_way(form: HostForm, host: Host) -> bool:
    """Whether the address, the token or the certificates change."""
    if not form.is_valid():
        return False
    return any(
        getattr(host, name) != value for name, value in {**form.way(), "base_url": form.cleaned_data["url"]}.items()
    )


def _host(request: Request, pk: int) -> Host:
    administrators_only(request)
    return get_object_or_404(Host, pk=pk)


def _recorded(host: Host) -> dict[str, object]:
    return audit.fields_of(host, *RECORDED)


def _unsaid(host: Host, had: dict[str, object]) -> dict[str, object]:
    return {said: "changed" for field, said in UNSAID.items() if getattr(host, field) != had[field]}


def _back(request: Request) -> HttpResponseBase:
    if not request.htmx:
        return redirect("models_admin:hosts")
    return render(request, "models_admin/hosts/_hosts.html", {"cards": listing.cards()})
