"""What administrators do to jobs. Every act answers with the part of the page that it changes."""

from contextlib import suppress
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from models_admin.jobs import listing, services
from models_admin.jobs.forms import PullForm
from models_admin.models import Job
from webui.accounts import audit
from webui.accounts.access import administrators_only
from webui.http import Request
from webui.inference.models import Host


@require_POST
def pull(request: Request) -> HttpResponseBase:
    """Have a host fetch a model."""
    administrators_only(request)
    form = PullForm(request.POST)
    if form.is_valid():
        wish = form.cleaned_data
        try:
            start(request, Job.Kind.PULL, wish["host"], wish["model"], insecure=wish["insecure"])
        except services.Busy as busy:
            form.add_error("model", busy_sentence(busy))
        else:
            form = PullForm(initial={"host": wish["host"].pk})
            if not request.htmx:
                return redirect("models_admin:models")
    return render(request, "models_admin/jobs/_pull.html", {"pull": form, "jobs": listing.shown()})


@require_POST
def cancel(request: Request, pk: int) -> HttpResponseBase:
    """End a job; what was downloaded stays on the host."""
    job = _job(request, pk)
    with audit.recorded(request, "job_cancelled", job):
        services.cancel(job=job, by=request.user)
    return _jobs(request)


@require_POST
def retry(request: Request, pk: int) -> HttpResponseBase:
    """Try a job that ended again."""
    job = _job(request, pk)
    if job.host and not job.live:
        with suppress(services.Busy), audit.recorded(request, "job_retried", job):  # the list shows what is in the way
            services.retry(job=job, by=request.user)
    return _jobs(request)


@require_POST
def dismiss(request: Request, pk: int) -> HttpResponseBase:
    """Take a job that ended out of the list."""
    job = _job(request, pk)
    with audit.recorded(request, "job_dismissed", job):
        services.dismiss(job=job)
    return _jobs(request)


@require_safe
def history(request: Request) -> HttpResponse:
    """Who had what done, and what became of it."""
    administrators_only(request)
    return render(request, "models_admin/jobs/history.html", {"jobs": listing.history(), "place": "models"})


def start(asked: Request, kind: str, host: Host, model: str, **wish: Any) -> Job:
    """Have it done, and recorded. Raises Busy and NotAName."""
    with audit.recorded(asked, f"model_{kind}", model) as entry:
        job = services.start(kind=kind, host=host, model=model, by=asked.user, **wish)
        entry.after = services.recorded_wish(host, wish)
    return job


def busy_sentence(busy: services.Busy) -> str:
    facts = {"model": busy.job.model, "host": busy.job.host_name, "who": busy.job.started_by.name}
    return gettext("%(who)s has something else done with %(model)s on %(host)s. Wait for that, or cancel it.") % facts


def _job(request: Request, pk: int) -> Job:
    administrators_only(request)
    return get_object_or_404(Job, pk=pk)


def _jobs(request: Request) -> HttpResponseBase:
    if not request.htmx:
        return redirect("models_admin:models")
    return render(request, "models_admin/jobs/_list.html", {"jobs": listing.shown()})
