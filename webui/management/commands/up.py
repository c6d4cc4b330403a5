"""``manage.py up``: everything from nothing to a served portal."""

from typing import Any

from django.core.management.base import CommandError

from webui import schema, static_files
from webui.embedded.errors import EmbeddedFailed

from . import serve


class Command(serve.Command):
    help = "Prepare the database and the static files as far as needed, then serve the portal."

    def handle(self, *args: Any, bind: str, **options: Any) -> None:
        serve.refuse_taken_address(bind)
        try:
            schema.bring_up_to_date()
        except (EmbeddedFailed, schema.SchemaIsNewer) as error:
            raise CommandError(str(error), returncode=serve.MISCONFIGURED) from error
        static_files.collect_if_changed()
        self.serve(bind)
