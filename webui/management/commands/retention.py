"""``manage.py retention``: delete what is kept no longer, or say how much that is."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from webui.inference import retention

from .serve import plain_refusals, refuse_other_schemas


class Command(BaseCommand):
    help = "Delete usage of days that are kept no longer (USAGE_DAYS), as serving processes do by themselves."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="delete nothing, only count")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        with plain_refusals():
            refuse_other_schemas()
        if not settings.USAGE_DAYS:
            self.stdout.write("Usage is kept for ever: USAGE_DAYS is 0.")
            return
        before = f"before {timezone.localtime(retention.kept_from()):%Y-%m-%d}"
        if dry_run:
            self.stdout.write(f"{retention.old_usage().count()} rows of usage {before} would be deleted.")
        else:
            self.stdout.write(f"{sum(iter(retention.forget_piece, 0))} rows of usage {before} are deleted.")
