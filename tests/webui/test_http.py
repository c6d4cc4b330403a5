"""What holds for every answer of the portal, whatever page it is of."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from webui.http import content_security_policy

ROOT = Path(__file__).parents[2]
ASKED = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "ALLOWED_HOSTS")
ASK = f"""
import json
from django.conf import settings
print(json.dumps({{name: getattr(settings, name) for name in {(*ASKED, "ALLOWED_ORIGINS")}}}))
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
    found = settings_for(tmp_path, PUBLIC_URL="https://tea.example")

    assert (found["SESSION_COOKIE_SECURE"], found["CSRF_COOKIE_SECURE"]) == (True, True)
    assert found["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert found["CSRF_COOKIE_NAME"].startswith("__Host-")


def test_only_the_public_address_is_ours(tmp_path):
    found = settings_for(tmp_path, PUBLIC_URL="https://tea.example:8443/")

    assert found["ALLOWED_HOSTS"] == ["tea.example"]
    assert found["ALLOWED_ORIGINS"] == ["https://tea.example:8443"]


def test_on_this_machine_every_name_of_it_is_ours(tmp_path):
    found = settings_for(tmp_path, BIND="127.0.0.1:8123")

    assert set(found["ALLOWED_HOSTS"]) == {"localhost", "127.0.0.1", "[::1]"}
    assert "http://localhost:8123" in found["ALLOWED_ORIGINS"]


def test_sockets_may_go_to_the_public_address_alone():
    assert "connect-src 'self' wss://tea.example;" in content_security_policy("https://tea.example")


@pytest.mark.parametrize(
    "directive", ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]
)
def test_the_content_policy_starts_from_nothing(directive):
    assert directive in content_security_policy("https://tea.example")


@pytest.mark.parametrize("path", ["/nowhere/", "/c/not-an-id/", "/static/../manage.py", "/%00", "/ws/"])
def test_a_page_that_does_not_exist_carries_the_security_headers_too(client, alice, path):
    client.force_login(alice)
    answer = client.get(path)

    assert answer.status_code == 404
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_an_error_of_ours_is_a_page_of_ours(client, alice, monkeypatch):
    client.force_login(alice)
    client.raise_request_exception = False
    monkeypatch.setattr("chat.views.render", None)
    answer = client.get("/")

    assert answer.status_code == 500
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert b"Traceback" not in answer.content


def test_a_form_from_another_page_is_refused_in_words(client, alice):
    strict = type(client)(enforce_csrf_checks=True)
    strict.force_login(alice)
    answer = strict.post("/sign-out/", headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert b"csrf" not in answer.content.lower().replace(b"csrfmiddlewaretoken", b"").replace(b"x-csrftoken", b"")
