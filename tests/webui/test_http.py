"""What holds for every answer of the portal, whatever page it is of."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.http import HttpResponse

from webui.http import SECURITY_HEADERS, content_security_policy

ROOT = Path(__file__).parents[2]
COOKIES = ("SESSION", "CSRF", "LANGUAGE")
FLAGS = ("NAME", "SECURE", "HTTPONLY", "SAMESITE", "DOMAIN", "PATH")
ASKED = ("ALLOWED_HOSTS", "ALLOWED_ORIGINS", *(f"{cookie}_COOKIE_{flag}" for cookie in COOKIES for flag in FLAGS))
ASK = f"""
import json
from django.conf import settings
print(json.dumps({{name: getattr(settings, name) for name in {ASKED}}}))
"""


def settings_for(tmp_path: Path, **environment: str) -> dict:
    """The settings of a portal that starts with this environment."""
    env = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "webui.settings",
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": "x",
        **environment,
    }
    done = subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_behind_https_the_cookies_travel_by_https_alone(tmp_path):
    """S44."""
    found = settings_for(tmp_path, PUBLIC_URL="https://tea.example")

    assert (found["SESSION_COOKIE_SECURE"], found["CSRF_COOKIE_SECURE"]) == (True, True)
    assert found["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert found["CSRF_COOKIE_NAME"].startswith("__Host-")


@pytest.mark.parametrize("cookie", COOKIES)
def test_behind_https_every_cookie_has_all_its_flags(tmp_path, cookie):
    """S44."""
    found = settings_for(tmp_path, PUBLIC_URL="https://tea.example")
    flags = [found[f"{cookie}_COOKIE_{flag}"] for flag in FLAGS]

    # What begins with __Host- no other host name can set; it needs all that follows.
    assert flags[1:] == [True, True, "Lax", None, "/"]


@pytest.mark.parametrize("cookie", COOKIES)
def test_without_https_a_cookie_is_still_sent_and_out_of_reach_of_scripts(tmp_path, cookie):
    """S44."""
    found = settings_for(tmp_path)

    assert [found[f"{cookie}_COOKIE_{flag}"] for flag in FLAGS[1:4]] == [False, True, "Lax"]


def test_only_the_public_address_is_ours(tmp_path):
    found = settings_for(tmp_path, PUBLIC_URL="https://tea.example:8443/")

    assert found["ALLOWED_HOSTS"] == ["tea.example"]
    assert found["ALLOWED_ORIGINS"] == ["https://tea.example:8443"]


def test_on_this_machine_every_name_of_it_is_ours(tmp_path):
    found = settings_for(tmp_path, BIND="127.0.0.1:8123")

    assert set(found["ALLOWED_HOSTS"]) == {"localhost", "127.0.0.1", "[::1]"}
    assert "http://localhost:8123" in found["ALLOWED_ORIGINS"]


def test_the_content_policy_starts_from_nothing_and_leads_nowhere_else():
    """S13, S22, S45."""
    assert content_security_policy("https://tea.example").split("; ") == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self' wss://tea.example",
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "object-src 'none'",
    ]


def test_beside_the_content_policy_every_answer_says_this():
    """S22, S45. That every answer does is seen in the matrix, at the static files and at the server."""
    assert SECURITY_HEADERS | {"Content-Security-Policy": ""} == {
        "Content-Security-Policy": "",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }


@pytest.mark.parametrize(
    ("slip", "name"),
    [
        ({"PUBLIC_URL": "tea.example"}, "PUBLIC_URL"),
        ({"TRUSTED_PROXIES": "caddy"}, "TRUSTED_PROXIES"),
        ({"OLLAMA_SLOTS": "0"}, "OLLAMA_SLOTS"),
    ],
)
def test_a_slip_in_the_settings_stops_the_start_with_its_name(tmp_path, slip, name):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        settings_for(tmp_path, **slip)

    assert f"ImproperlyConfigured: {name}=" in refused.value.stderr


# Where the check runs first, at the outermost, and where nothing of the page asks for the host's name.
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/sign-in/", "/nowhere/"])
@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "evil.example:8000", "localhost@evil", ""])
def test_a_request_for_another_host_is_refused_with_the_security_headers(client, root, path, name):
    """S21."""
    answer = client.get(path, headers={"Host": name})

    assert answer.status_code == 400
    assert_secure(answer)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_a_request_for_this_machine_is_answered(client, root, name):
    assert client.get("/healthz", headers={"Host": name}).status_code == 200


def test_a_forwarded_host_is_not_believed(client, root):
    """S21, S53."""
    assert client.get("/healthz", headers={"Host": "evil.example", "X-Forwarded-Host": "localhost"}).status_code == 400


def test_a_page_between_pages_leads_to_the_page(client, alice):
    client.force_login(alice)

    assert client.get("/settings").headers["Location"] == "/settings/"


@pytest.mark.parametrize("path", ["/nowhere/", "/c/not-an-id/", "/static/../manage.py", "/%00", "/ws/"])
def test_a_page_that_does_not_exist_carries_the_security_headers_too(client, alice, path):
    client.force_login(alice)
    answer = client.get(path)

    assert answer.status_code == 404
    assert_secure(answer)


def test_an_error_of_ours_is_a_page_of_ours_with_a_number_that_is_in_the_log(client, alice, monkeypatch, caplog):
    """S56."""
    client.force_login(alice)
    client.raise_request_exception = False
    monkeypatch.setattr("chat.views.render", None)
    answer = client.get("/")

    assert answer.status_code == 500
    assert_secure(answer)
    assert b"Traceback" not in answer.content
    assert re.search(r"<code>([0-9a-f]{8})</code>", answer.content.decode())[1] in caplog.text


def assert_secure(answer: HttpResponse) -> None:
    """S45."""
    assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_form_from_another_page_is_refused_in_words(client, alice):
    """S19."""
    strict = type(client)(enforce_csrf_checks=True)
    strict.force_login(alice)
    answer = strict.post("/sign-out/", headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert_secure(answer)
    assert b"csrf" not in answer.content.lower().replace(b"csrfmiddlewaretoken", b"").replace(b"x-csrftoken", b"")
