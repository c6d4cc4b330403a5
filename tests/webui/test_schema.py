"""The portal knows whether the database's tables are its own, older or newer."""

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from webui import schema


def test_a_migrated_database_is_current(db):
    schema.refuse_newer()

    assert schema.is_current()


def test_a_migration_that_is_not_applied_is_noticed(db):
    [newest] = MigrationLoader(connection).graph.leaf_nodes("chat")
    MigrationRecorder(connection).record_unapplied(*newest)

    assert not schema.is_current()


def test_a_database_of_a_newer_version_is_refused(db):
    MigrationRecorder(connection).record_applied("chat", "9999_from_the_future")

    with pytest.raises(schema.SchemaIsNewer, match=r"chat\.9999_from_the_future"):
        schema.bring_up_to_date()


def test_a_newer_version_beside_us_does_not_make_us_unready(db):
    MigrationRecorder(connection).record_applied("chat", "9999_from_the_future")

    assert schema.is_current()


def test_tables_of_something_else_in_the_database_are_no_concern(db):
    MigrationRecorder(connection).record_applied("another_product", "0001_initial")

    schema.refuse_newer()
