"""An empty DATABASE_URL means the embedded server; a written one is taken apart exactly."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from webui import database


def test_without_a_url_the_database_is_the_embedded_one():
    entry = database.settings("", Path("/data"))

    assert entry["ENGINE"] == "webui.embedded"
    assert entry["EMBEDDED"] == {"root": Path("/data/postgres")}


def test_a_url_is_taken_apart():
    entry = database.settings("postgresql://tea:p%40ss@db.example:6543/house?sslmode=require", Path("/data"))

    named = {name: entry[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    assert named == {"NAME": "house", "USER": "tea", "PASSWORD": "p@ss", "HOST": "db.example", "PORT": 6543}
    assert entry["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize("url", ["mysql://h/n", "postgresql://h", "house", "sqlite:///x.db"])
def test_any_other_url_is_refused(url):
    with pytest.raises(ImproperlyConfigured, match="write postgresql://"):
        database.settings(url, Path("/data"))


def test_no_statement_may_run_for_ever(db):
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")

        assert cursor.fetchone() == ("5s",)
