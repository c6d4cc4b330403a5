"""The language of a page, and the way to the set-up page."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import translation

from webui.accounts import setup

Respond = Callable[[HttpRequest], HttpResponse]


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
    """A part of a page cannot be answered with the sign-in page: tell htmx to go there."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        sent_away = response.status_code == 302 and response.headers["Location"].startswith(  # noqa: PLR2004
            reverse(settings.LOGIN_URL)
        )
        if sent_away and request.headers.get("HX-Request"):
            return HttpResponse(status=401, headers={"HX-Redirect": response.headers["Location"]})
        return response

    return respond


def _always_open() -> set[str]:
    return {reverse(name) for name in ("accounts:setup", "healthz", "readyz", "set_language")}


def _language_of(request: HttpRequest) -> str:
    chosen = getattr(request.user, "language", "") if hasattr(request, "user") else ""
    return chosen or translation.get_language_from_request(request)
