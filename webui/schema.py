"""Keeps the database's tables at the state that this version of the portal expects."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

# Any number, as long as every portal process takes the same one.
MIGRATION_LOCK = 0x7EA_0053


class SchemaIsNewer(Exception):
    """The database was migrated by a later version; its tables are not ours to touch."""


def bring_up_to_date() -> None:
    """Migrate, one process at a time; a few queries when there is nothing to do. Raises SchemaIsNewer."""
    refuse_newer()
    if is_current():
        return
    with _alone():
        # Another process may have been faster.
        if not is_current():
            call_command("createcachetable", verbosity=0)
            call_command("migrate", interactive=False, verbosity=0)


def is_current() -> bool:
    """Whether every migration of this version is applied; there may be later ones beside them."""
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def refuse_newer() -> None:
    """Raises SchemaIsNewer where a migration is applied that this version does not know."""
    loader = MigrationLoader(connection)
    unknown = set(loader.applied_migrations) - set(loader.disk_migrations)
    if ours := sorted(f"{app}.{name}" for app, name in unknown if app in loader.migrated_apps):
        raise SchemaIsNewer(
            f"A newer version of the portal has used this database (with {', '.join(ours)}): start that one."
        )


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock that all processes on this database share; a migration may take its time."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
            cursor.execute("RESET statement_timeout")
