"""Request types, security headers and the one rendering choice every htmx view makes."""

import asyncio
import logging
import secrets
import sys
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.http.request import split_domain_port, validate_host
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails

from webui.db import DatabaseAway

if TYPE_CHECKING:
    from webui.accounts.models import User


log = logging.getLogger(__name__)

Respond = Callable[[HttpRequest], HttpResponse]
RespondLater = Callable[[HttpRequest], Awaitable[HttpResponse]]

PAGES_AT_ONCE = 6
TRY_AGAIN_S = 5
NEVER_WAITING = {"/healthz"}


class Request(HttpRequest):
    """A request that passed LoginRequiredMiddleware and HtmxMiddleware."""

    user: "User"
    htmx: HtmxDetails


def render_page(
    request: HttpRequest, template: str, context: dict[str, object], *, part: str, part_template: str
) -> HttpResponse:
    """The whole page, or only ``part_template`` when htmx is about to swap the element ``part``."""
    asked = request.headers.get("HX-Target", "")
    response = render(request, part_template if asked == part else template, context)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


def header_of(scope: dict[str, Any], name: bytes) -> str:
    """A header of an ASGI scope; empty when there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def is_for_us(scope: dict[str, Any]) -> bool:
    """Whether a request or a socket names one of our hosts. Pages are asked the same by Django's CommonMiddleware."""
    domain, _ = split_domain_port(header_of(scope, b"host"))
    return validate_host(domain, settings.ALLOWED_HOSTS)


def few_at_once(get_response: RespondLater) -> RespondLater:
    """Middleware: pages take turns. On one processor many at once end later, and so do all answers that they delay."""
    turns = asyncio.Semaphore(PAGES_AT_ONCE)

    async def respond(request: HttpRequest) -> HttpResponse:
        if request.path in NEVER_WAITING:
            return await get_response(request)
        async with turns:
            return await get_response(request)

    markcoroutinefunction(respond)
    return respond


few_at_once.sync_capable = False  # type: ignore[attr-defined]  # how Django marks middleware
few_at_once.async_capable = True  # type: ignore[attr-defined]


def utf8_only(get_response: Respond) -> Respond:
    """Middleware: our pages send UTF-8. Of what else a request claims, Python knows encodings that are none of text."""

    def respond(request: HttpRequest) -> HttpResponse:
        request.encoding = "utf-8"
        return get_response(request)

    return respond


def refuse_in_words(get_response: Respond) -> Respond:
    """Middleware: whoever opens an address that only takes forms is told so, and how to go on."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response.content = render_to_string("405.html", request=request)
        return response

    return respond


def something_broke(request: HttpRequest) -> HttpResponse:
    """The page for an error of ours, with a number by which its record is found in the log."""
    if isinstance(sys.exc_info()[1], DatabaseAway):
        return _database_is_away(request)
    number = secrets.token_hex(4)
    log.error("error %s at %s", number, request.path)
    return HttpResponseServerError(render_to_string("500.html", {"number": number}))


def _database_is_away(request: HttpRequest) -> HttpResponse:
    """It says so in the browser's language: who asks, only the database knows."""
    with translation.override(translation.get_language_from_request(request)):
        response = HttpResponse(render_to_string("503.html"), status=HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Retry-After"] = str(TRY_AGAIN_S)
    return response


def content_security_policy(public_url: str) -> str:
    """Nothing inline, nothing from outside, sockets to ourselves only."""
    parts = urlsplit(public_url)
    sockets = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        f"font-src 'self'; connect-src 'self' {sockets}; manifest-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
    )


SECURITY_HEADERS = {
    "Content-Security-Policy": content_security_policy(settings.PUBLIC_URL),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def secure_responses(
    get_response: Callable[[HttpRequest], HttpResponse] | Callable[[HttpRequest], Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], HttpResponse] | Callable[[HttpRequest], Awaitable[HttpResponse]]:
    """Middleware: the security headers on every response; a person's pages are never stored."""

    def secured(response: HttpResponse) -> HttpResponse:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    if iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> HttpResponse:
            return secured(await get_response(request))

        markcoroutinefunction(later)
        return later

    def now(request: HttpRequest) -> HttpResponse:
        return secured(get_response(request))  # type: ignore[arg-type]  # not the async kind

    return now


secure_responses.sync_capable = True  # type: ignore[attr-defined]  # how Django marks middleware
secure_responses.async_capable = True  # type: ignore[attr-defined]
