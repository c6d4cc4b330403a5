"""``manage.py up``: everything from nothing to a served portal."""

from typing import Any

from webui import schema, static_files

from . import serve


class Command(serve.Command):
    help = "Prepare the database and the static files as far as needed, then serve the portal."

    def handle(self, *args: Any, bind: str, server: str, **options: Any) -> None:
        serve.refuse_taken_address(bind)
        with serve.plain_refusals():
            schema.bring_up_to_date()
        static_files.collect_if_changed()
        self.serve(bind, server)
