"""``manage.py practice``: the practice host alone, an Ollama-compatible server with scripted models."""

import runpy
import sys
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Run the practice host: for trying the portal without a GPU. Takes the options of its own program."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Hand everything after the command's name to the program, ``--help`` included."""
        sys.argv = ["webui.practice", *argv[2:]]
        runpy.run_module("webui.practice", run_name="__main__")

    def handle(self, *args: Any, **options: Any) -> None:
        """Not reached: ``run_from_argv`` ends with the program."""
