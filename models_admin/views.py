"""Pages for administrators: the first host, and the models of all of them."""

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from models_admin.forms import HostForm
from webui.accounts import audit
from webui.accounts.access import administrators_only
from webui.http import Request
from webui.inference import hosts
from webui.inference.check import check


@require_http_methods(["GET", "HEAD", "POST"])
def setup_host(request: Request) -> HttpResponseBase:
    """Connect an Ollama host, looked at before it is kept."""
    administrators_only(request)
    form = HostForm(request.POST if request.method == "POST" else None)
    address = form.data.get("url", "") if form.is_bound else settings.OLLAMA_HOST
    found = async_to_sync(check)(address)
    if form.is_bound and found.passed:
        with audit.recorded(request, "host_added") as entry:
            host = hosts.register(found.url)
            entry.what, entry.after = host.name, {"base_url": host.base_url}
        hosts.look_now(host)
        return redirect("chat:new" if host.models.exists() else "models_admin:models")
    return render(request, "models_admin/setup_host.html", {"address": address, "check": found})


@require_safe
def check_host(request: Request) -> HttpResponse:
    """The live check while somebody types an address, as a part."""
    administrators_only(request)
    found = async_to_sync(check)(request.GET.get("url", "")[:300])
    return render(request, "models_admin/_check.html", {"check": found})


@require_POST
def use_practice_host(request: Request) -> HttpResponseBase:
    """For trying the portal without an Ollama host."""
    administrators_only(request)
    with audit.recorded(request, "host_added") as entry:
        host = hosts.register_practice_host()
        entry.what, entry.after = host.name, {"base_url": host.base_url}
    async_to_sync(hosts.wait_for_practice_host)(host)
    return redirect("chat:new")
