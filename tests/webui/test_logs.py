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
    error = extra.pop("error", None)
    told = (type(error), error, error.__traceback__) if error else None
    record = logging.getLogger("tea").makeRecord(
        "tea", logging.WARNING, "f", 1, message[0], message[1:], told, extra=extra
    )
    writer.handle(record)
    return stream.getvalue()


def test_a_line_names_level_and_place():
    assert logged("text", "run %s ended", 7).endswith(" WARNING tea: run 7 ended\n")


FORGED = "eve\r\n2026-01-01 ERROR root: all is lost\x1b[2J\u2028\x85\u202e"


@pytest.mark.parametrize("name", ["text", "json"])
def test_a_forged_line_break_stays_inside_its_record(name):
    """S53."""
    written = logged(name, "signed in: %s", FORGED)

    assert len(written.splitlines()) == 1
    assert "\\r\\n2026" in written
    assert "\x1b" not in written


def raised(error: Exception) -> Exception:
    """The error as it is caught: with a traceback, and with what led to it."""
    try:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("the page broke") from cause
    except RuntimeError as caught:
        return caught


def test_no_line_of_a_traceback_can_pass_for_a_record():
    """S53."""
    first, *rest = logged("text", "broke", error=raised(ValueError(FORGED))).splitlines()

    assert first.endswith("WARNING tea: broke")
    assert all(line.startswith("    ") for line in rest)
    assert all(line.isprintable() for line in rest)


@pytest.mark.parametrize("name", ["text", "json"])
def test_of_an_error_the_log_has_the_places_and_the_first_lines(name):
    """S57. PostgreSQL quotes the statement and the row in the lines below, with what somebody wrote."""
    quoting = ValueError("value too long\nLINE 1: INSERT ... 'secret'\nDETAIL: Failing row (secret,\nsecret).")
    written = logged(name, "broke", error=raised(quoting))

    assert "value too long" in written
    assert "the page broke" in written
    assert "raise error" in written
    assert "secret" not in written


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


def test_what_is_refused_is_one_line_and_no_error(client, root):
    """S53. A scanner must neither fill the log nor wake an administrator."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.Lines())
    handler.addFilter(logs.Refusals())
    logging.getLogger("django.security").addHandler(handler)
    client.get("/healthz", headers={"Host": "evil.example"})
    logging.getLogger("django.security").removeHandler(handler)

    assert len(stream.getvalue().splitlines()) == 1
    assert " WARNING django.security.DisallowedHost: " in stream.getvalue()


def test_an_unknown_format_is_refused():
    with pytest.raises(ImproperlyConfigured, match="write text or json"):
        logs.config("xml")
