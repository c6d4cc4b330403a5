"""``python -m webui.probe``: exits with 0 when the portal on this machine is ready for work."""

import http.client
import os
import sys
from urllib.parse import urlsplit

from django.conf import settings

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 -- listened on by others


def is_ready(bind: str, public_url: str) -> bool:
    """Ask ``/readyz`` at ``host:port``, by the name that the portal answers to."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    connection = http.client.HTTPConnection(ANY_ADDRESS.get(host, host), int(port), timeout=5)
    try:
        connection.request("GET", "/readyz", headers={"Host": urlsplit(public_url).netloc})
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webui.settings")
    sys.exit(0 if is_ready(settings.BIND, settings.PUBLIC_URL) else 1)
