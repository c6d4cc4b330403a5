"""The ASGI application: pages by Django, the API beside them, one socket per page by Channels."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webui.settings")
pages = get_asgi_application()

from chat.routing import socket_urlpatterns as of_chat  # noqa: E402  needs a loaded Django
from models_admin.api import routes as of_managing  # noqa: E402
from models_admin.routing import socket_urlpatterns as of_admin  # noqa: E402
from webui.gateway.app import ROUTES, beside  # noqa: E402
from webui.sockets import known_origin, refuse, signed_in  # noqa: E402

sockets = URLRouter([*of_chat, *of_admin, re_path("", refuse)])  # type: ignore[arg-type]  # an application, as Channels wants it

api = {**ROUTES, **of_managing.ROUTES}

application = ProtocolTypeRouter(
    {
        "http": beside(pages, api),  # type: ignore[arg-type]  # Django's own types of the same thing
        "websocket": known_origin(signed_in(sockets)),
    }
)
