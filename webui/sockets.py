"""What a socket passes before its consumer sees it: our own host and origin, a valid session, an address of ours."""

from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any

from django.conf import settings

from webui.accounts.sessions import user_of_session
from webui.db import DatabaseAway, read_db
from webui.http import header_of, is_for_us
from webui.inference import metrics

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def known_origin(application: Application) -> Application:
    """Refuse every origin but ours: another program on the same host name and another port is a stranger."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        if is_for_us(scope) and header_of(scope, b"origin") in settings.ALLOWED_ORIGINS:
            await application(scope, receive, send)
        else:
            await refuse(scope, receive, send)

    return checked


def signed_in(application: Application) -> Application:
    """Put ``user`` and ``session_key`` into the scope, or refuse."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        key = _session_key(scope)
        try:
            user = await read_db(user_of_session, key) if key else None
        except DatabaseAway:
            user = None  # the page comes back by itself
        if user:
            with metrics.sockets.track_inprogress():
                await application({**scope, "user": user, "session_key": key}, receive, send)
        else:
            await refuse(scope, receive, send)

    return checked


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Closing before accepting answers the handshake with 403."""
    await receive()
    await send({"type": "websocket.close"})


def _session_key(scope: Scope) -> str:
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(header_of(scope, b"cookie"))
    except CookieError:
        return ""
    session = cookies.get(settings.SESSION_COOKIE_NAME)
    return session.value if session else ""
