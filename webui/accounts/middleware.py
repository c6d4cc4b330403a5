"""The language of a page, and the ways to the set-up page and to the door."""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import translation

from webui.accounts import setup

Respond = Callable[[HttpRequest], HttpResponse]

DOOR_BYTES = 64 * 1024


def language(get_response: Respond) -> Respond:
    """From the profile, else the cookie of the door pages, else the browser, else the setting LANGUAGE."""

    def respond(request: HttpRequest) -> HttpResponse:
        with translation.override(_language_of(request)):
            request.LANGUAGE_CODE = translation.get_language()
            response = get_response(request)
        response.headers.setdefault("Content-Language", request.LANGUAGE_CODE)
        return response

    return respond


def set_up_first(get_response: Respond) -> Respond:
    """Until somebody administers the portal, every page leads to the set-up."""

    def respond(request: HttpRequest) -> HttpResponse:
        wanted = request.path
        if setup.is_needed() and wanted not in _always_open():
            return HttpResponseRedirect(reverse("accounts:setup"))
        return get_response(request)

    return respond


def ask_to_sign_in_again(get_response: Respond) -> Respond:
    """Neither a part of a page nor where a form is sent can be gone to: come back to the page they were on.

    A part cannot be answered with the sign-in page either: htmx is told to go there.
    """

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        door, _, wanted = response.headers.get("Location", "").partition("?")
        if response.status_code != 302 or door != reverse(settings.LOGIN_URL):  # noqa: PLR2004
            return response
        is_part = "HX-Request" in request.headers
        if wanted and (is_part or request.method not in {"GET", "HEAD"}):
            response.headers["Location"] = f"{door}?{urlencode({'next': _page_of(request)})}"
        if is_part:
            return HttpResponse(status=401, headers={"HX-Redirect": response.headers["Location"]})
        return response

    return respond


def short_at_the_door(get_response: Respond) -> Respond:
    """Whoever is not signed in has short forms to fill in: with anything longer they are sent to the door unread."""

    def respond(request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated and _is_long(request):
            return redirect_to_login(request.get_full_path())
        return get_response(request)

    return respond


def _is_long(request: HttpRequest) -> bool:
    """A body in chunks does not say how long it is; browsers send forms with their length."""
    length = request.headers.get("Content-Length") or 0
    return int(length) > DOOR_BYTES or "Transfer-Encoding" in request.headers


def _page_of(request: HttpRequest) -> str:
    """Where somebody saw the part or the form, if that was here."""
    try:
        seen_at = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer", ""))
    except ValueError:
        return ""
    is_ours = seen_at.netloc == request.get_host()
    return seen_at._replace(scheme="", netloc="", fragment="").geturl() if is_ours else ""


def _always_open() -> set[str]:
    return {reverse(name) for name in ("accounts:setup", "healthz", "readyz", "metrics", "set_language")}


def _language_of(request: HttpRequest) -> str:
    chosen = getattr(request.user, "language", "") if hasattr(request, "user") else ""
    return chosen or translation.get_language_from_request(request)
