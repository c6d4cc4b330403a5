"""The log has one record per line, no query string and nothing that could pass for a second record."""

import io
import json
import logging
import logging.config

import pytest
from django.core.exceptions import ImproperlyConfigured

from webui import logs


def logged(name: str, *message: object, **extra: object) -> str:
    """What a handler in this format writes for one record."""
    handler = logging.config.DictConfigurator(logs.config(name))
    handler.config["handlers"]["stderr"]["stream"] = stream = io.StringIO()
    formatter = handler.configure_formatter(logs.config(name)["formatters"][name])
    writer = logging.StreamHandler(stream)
    writer.setFormatter(formatter)
    writer.addFilter(logs.WithoutQueries())
    record = logging.getLogger("tea").makeRecord(
        "tea", logging.WARNING, "f", 1, message[0], message[1:], None, extra=extra
    )
    writer.handle(record)
    return stream.getvalue()


def test_a_line_names_level_and_place():
    assert logged("text", "run %s ended", 7).endswith(" WARNING tea: run 7 ended\n")


def test_a_forged_line_break_stays_inside_its_record():
    written = logged("text", "signed in: %s", "eve\r\n2026-01-01 ERROR root: all is lost\x1b[2J\u2028")

    assert written.count("\n") == 1
    assert "\\r\\n2026" in written
    assert "\x1b" not in written


def test_chinese_stays_readable():
    assert "茶馆" in logged("text", "host %s", "茶馆")


def test_json_has_the_message_and_its_extras():
    entry = json.loads(logged("json", "run %s ended", 7, run_id="r1"))

    assert entry["message"] == "run 7 ended"
    assert entry["run_id"] == "r1"
    assert entry["level"] == "warning"


@pytest.mark.parametrize("name", ["text", "json"])
def test_a_path_loses_its_query(name):
    written = logged(name, "Not found: %s", "/search?q=secret")

    assert "/search" in written
    assert "secret" not in written


def test_json_leaves_out_the_request_that_django_hangs_on_its_records():
    assert "secret" not in logged("json", "Bad request", request="GET /?q=secret")


def test_an_unknown_format_is_refused():
    with pytest.raises(ImproperlyConfigured, match="write text or json"):
        logs.config("xml")
