"""Places where a test may kill the process. Nothing happens unless FAULT names one."""

import os

from django.conf import settings


def here(name: str) -> None:
    """Die at once, as by kill -9, when the setting FAULT asks for it."""
    if name == settings.FAULT:
        os._exit(70)
