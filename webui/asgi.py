"""The ASGI application: pages by Django, one socket per page by Channels."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webui.settings")
pages = get_asgi_application()

from chat.routing import socket_urlpatterns  # noqa: E402  needs a loaded Django
from webui.sockets import known_origin, signed_in  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": known_origin(signed_in(URLRouter(socket_urlpatterns))),
    }
)
