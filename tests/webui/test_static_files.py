"""Static files are hashed once, find each other by their hashed names, and are served compressed."""

import re
from pathlib import Path

import brotli
import pytest
from asgiref.sync import async_to_sync

from webui import static_files
from webui.http import SECURITY_HEADERS

SOURCES = {
    "js/main.js": 'import "./elements/log.js";\n' + "// a comment to make compression worth its while\n" * 40,
    "js/elements/log.js": "export const log = 1;\n",
    "vendor/sse.js": '/** @type {import("../htmx").default} */\nlet api;\n',
    "css/main.css": '@layer parts;\n@import url("parts.css") layer(parts);\n',
    "css/parts.css": ".part { color: red }\n",
}


@pytest.fixture
def sources(tmp_path, settings) -> Path:
    folder = tmp_path / "static"
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    settings.STATICFILES_DIRS = [folder]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATIC_ROOT = tmp_path / "collected"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": "webui.static_files.HashedFiles"}}
    return folder


@pytest.fixture
def collected(sources, settings) -> Path:
    static_files.collect_if_changed()
    return settings.STATIC_ROOT


def hashed(collected: Path, name: str) -> str:
    """The path below the static URL of the file's hashed twin."""
    folder, _, file = name.rpartition("/")
    stem, _, suffix = file.rpartition(".")
    (found,) = (collected / folder).glob(f"{stem}.*.{suffix}")
    return f"{folder}/{found.name}"


@async_to_sync
async def get(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    sent = []

    async def behind(scope, receive, send):
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"from behind"})

    async def send(message):
        sent.append(message)

    given = {"host": "localhost", **headers}
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": named}
    await static_files.StaticFiles(behind)(scope, None, send)
    start, body = sent
    told = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return start["status"], told, body["body"]


def test_our_modules_import_each_other_by_hashed_names(collected):
    main = (collected / hashed(collected, "js/main.js")).read_text()

    assert re.search(r'import ?"\./elements/log\.[0-9a-f]{12}\.js"', main)


def test_our_styles_import_each_other_by_hashed_names(collected):
    main = (collected / hashed(collected, "css/main.css")).read_text()

    assert re.search(r'@import url\("parts\.[0-9a-f]{12}\.css"\) layer\(parts\)', main)


def test_an_import_in_a_comment_of_vendored_code_is_left_alone(collected):
    assert 'import("../htmx")' in (collected / hashed(collected, "vendor/sse.js")).read_text()


def test_a_hashed_file_is_kept_by_browsers_for_ever(collected):
    _, headers, _ = get("/static/" + hashed(collected, "js/main.js"))

    assert "immutable" in headers["cache-control"]


def test_a_file_under_its_plain_name_is_not_kept_for_ever(collected):
    _, headers, _ = get("/static/js/main.js")

    assert headers["cache-control"] == "max-age=60, public"


def test_browsers_get_brotli(collected):
    _, headers, body = get("/static/" + hashed(collected, "js/main.js"), accept_encoding="gzip, br")

    assert headers["content-encoding"] == "br"
    assert brotli.decompress(body).startswith(b'import"./elements/log.')


def test_a_client_without_compression_gets_the_plain_file(collected):
    _, headers, body = get("/static/js/main.js")

    assert "content-encoding" not in headers
    assert body.startswith(b"import")


@pytest.mark.parametrize(
    ("method", "asked", "status"),
    [
        ("GET", {}, 200),
        ("HEAD", {}, 200),
        ("POST", {}, 405),
        ("GET", {"range": "bytes=0-4"}, 206),
        ("GET", {"range": "bytes=9-3"}, 416),
        ("GET", {"if_modified_since": "Fri, 01 Jan 2038 00:00:00 GMT"}, 304),
    ],
)
def test_every_answer_carries_the_security_headers_and_opens_nothing_to_other_origins(collected, method, asked, status):
    """S45."""
    found, headers, _ = get("/static/js/main.js", method, **asked)

    assert found == status
    assert {name: headers[name.lower()] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("host", ["evil.example", ""])
def test_a_file_for_another_host_is_left_to_the_pages_which_refuse(collected, host):
    """S21."""
    assert get("/static/js/main.js", host=host)[2] == b"from behind"


def test_a_head_request_gets_no_body(collected):
    status, _, body = get("/static/js/main.js", method="HEAD")

    assert (status, body) == (200, b"")


def test_what_a_browser_has_already_is_not_sent_again(collected):
    _, headers, _ = get("/static/js/main.js")

    status, _, body = get("/static/js/main.js", if_modified_since=headers["last-modified"])

    assert (status, body) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/static/", "/static/gone.js", "/static/../secret_key", "/static.stamp"])
def test_everything_else_is_left_to_the_application(collected, path):
    assert get(path)[0] == 299


def test_nothing_is_collected_again_while_the_sources_stay(collected):
    marker = collected / "marker"
    marker.write_text("would be cleared")

    static_files.collect_if_changed()

    assert marker.exists()


def test_a_changed_source_is_collected(collected, sources):
    before = hashed(collected, "js/elements/log.js")
    (sources / "js/elements/log.js").write_text("export const log = 22;\n")

    static_files.collect_if_changed()

    assert hashed(collected, "js/elements/log.js") != before


def test_an_interrupted_collection_is_repeated(collected, sources, settings):
    stamp = settings.STATIC_ROOT.with_suffix(".stamp")
    (sources / "css/main.css").write_text('@import url("missing.css");\n')
    with pytest.raises(Exception, match=r"missing\.css"):
        static_files.collect_if_changed()

    assert not stamp.exists()
