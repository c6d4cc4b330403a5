"""What machines ask: does the process live, can it do its work, and what does it do?"""

import secrets

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from webui import schema
from webui.inference import metrics as measured

_draining = False


def start_draining() -> None:
    """From now on ``readyz`` sends new work elsewhere."""
    global _draining  # noqa: PLW0603 -- a process drains once, and as a whole
    _draining = True


@login_not_required
@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Asks nothing else, so that a broken database does not get the process killed."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether new work may come here: 200 or 503, and which part says no."""
    answers = _database_answers()
    parts = {"database": answers, "migrations": answers and schema.is_current(), "serving": not _draining}
    return JsonResponse(parts, status=200 if all(parts.values()) else 503)


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus, with the token of the settings; without one there is nothing."""
    if not settings.METRICS_TOKEN:
        raise Http404
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secrets.compare_digest(token.encode(), settings.METRICS_TOKEN.encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(measured.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True
