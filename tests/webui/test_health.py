"""Machines learn whether the process lives, and whether new work may come."""

import json

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import RequestFactory

from webui import health


def ready() -> tuple[int, dict[str, bool]]:
    response = health.readyz(RequestFactory().get("/readyz"))
    return response.status_code, json.loads(response.content)


def test_a_living_process_says_so_without_a_database():
    response = async_to_sync(health.healthz)(RequestFactory().get("/healthz"))

    assert (response.status_code, response.content) == (200, b"ok\n")


def test_a_process_with_its_database_is_ready(db):
    assert ready() == (200, {"database": True, "migrations": True, "serving": True})


def test_a_process_that_is_stopping_is_not_ready(db, monkeypatch):
    monkeypatch.setattr(health, "_draining", False)

    health.start_draining()

    assert ready() == (503, {"database": True, "migrations": True, "serving": False})


def test_a_process_on_older_tables_is_not_ready(db):
    [newest] = MigrationLoader(connection).graph.leaf_nodes("chat")
    MigrationRecorder(connection).record_unapplied(*newest)

    assert ready() == (503, {"database": True, "migrations": False, "serving": True})


def test_a_process_without_its_database_is_not_ready(db):
    with connection.cursor() as cursor, pytest.raises(Exception, match="terminating connection"):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    assert ready() == (503, {"database": False, "migrations": False, "serving": True})
