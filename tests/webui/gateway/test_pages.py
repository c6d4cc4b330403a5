"""The page of one's own access tokens."""

import asyncio
import html
import json
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from webui.accounts import tokens
from webui.accounts.models import AccessToken, AuditEntry
from webui.gateway import pages
from webui.gateway.pages import snippets
from webui.inference.models import InstalledModel, ModelAccess

PAGE = "/settings/tokens/"


@pytest.fixture
def models(host) -> None:
    for name in ("qwen3:8b", "secret:latest"):
        InstalledModel.objects.create(host=host, name=name, seen_at=timezone.now())
    ModelAccess.objects.create(key="secret:latest", audience="administrators")


def page(client: Client, **fields) -> str:
    answer = client.post(PAGE, {"days": "90", **fields}) if fields else client.get(PAGE)
    return html.unescape(answer.content.decode())


def secret_in(text: str) -> str:
    return re.search(r'id="secret"[^>]* value="([^"]*)"', text)[1]


def test_a_token_is_shown_once_and_opens_the_api(alices, alice):
    """G3, S35."""
    secret = secret_in(page(alices, name=" note\nbook "))
    token = tokens.found(secret)

    assert (token.user, token.name, token.scope, token.allowed) == (alice, "note book", "use", [])
    assert timedelta(days=89) < token.expires_at - timezone.now() <= timedelta(days=90)
    again = page(alices)
    assert secret not in again
    assert "note book" in again


def test_the_lines_to_copy_hold_the_new_token_and_the_address_of_the_portal(alices, models, settings):
    settings.PUBLIC_URL = "https://chat.example"
    text = page(alices, name="script")

    assert text.count(secret_in(text)) == 4
    assert 'host="https://chat.example/ollama"' in text
    assert 'base_url="https://chat.example/v1"' in text
    assert "curl https://chat.example/api/chat" in text
    assert '"model": "qwen3:8b"' in text


def test_a_name_of_a_model_cannot_leave_the_lines_to_copy():
    """S15."""
    (_, curl), (_, ollama), _ = snippets("th_1", "x'; rm -rf ~; '\"")

    assert """{"model": "x'"'"'; rm""" in curl
    assert """model="x'; rm -rf ~; '\\"",""" in ollama


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
async def test_the_lines_for_curl_run(portal, token, settings):
    settings.PUBLIC_URL = portal.url
    (_, lines), *_ = snippets(token, "practice:latest")
    curl = await asyncio.create_subprocess_exec("bash", "-c", lines, stdout=PIPE, stderr=DEVNULL)
    out, _ = await curl.communicate()

    assert "practice model" in json.loads(out)["message"]["content"]


@pytest.mark.parametrize("client", ["ollama", "openai"])
async def test_the_lines_in_python_run(portal, token, settings, capsys, client):
    settings.PUBLIC_URL = portal.url
    lines = dict(snippets(token, "practice:latest"))[f"Python, {client}"]
    names: dict[str, Any] = {}
    await asyncio.to_thread(exec, lines, names)
    names["portal"]._client.close()

    assert "practice model" in capsys.readouterr().out


def test_a_token_may_be_for_some_models_and_for_ever(alices, models):
    page(alices, name="script", days="", models="qwen3:8b")
    token = AccessToken.objects.get()

    assert (token.allowed, token.expires_at) == (["qwen3:8b"], None)


@pytest.mark.parametrize("fields", [{"name": ""}, {"name": "x" * 81}, {"days": "1"}, {"models": "secret:latest"}])
def test_what_is_wrong_is_said_and_nothing_made(alices, models, fields):
    text = page(alices, **{"name": "script", **fields})

    assert 'role="alert"' in text
    assert not AccessToken.objects.exists()


def test_nobody_keeps_more_tokens_than_a_page_shows(alices, alice, monkeypatch):
    monkeypatch.setattr(pages, "MOST", 2)
    texts = [page(alices, name="script") for _ in range(3)]

    assert "You have 2 tokens" in texts[2]
    assert AccessToken.objects.count() == 2


def test_the_models_of_others_are_not_offered(alices, models):
    """S32."""
    assert "secret" not in page(alices)


def test_administrators_alone_make_tokens_that_manage(client, alice, root):
    """S07."""
    for person in (alice, root):
        client.force_login(person)
        page(client, name="script", manages="on")

    assert dict(AccessToken.objects.values_list("user__username", "scope")) == {"alice": "use", "root": "admin"}


def test_a_token_is_revoked_after_a_question(alices, alice):
    token, secret = tokens.make(user=alice, name="script")
    asked = alices.get(f"{PAGE}{token.pk}/revoke/").content.decode()
    alive = tokens.found(secret)
    answer = alices.post(f"{PAGE}{token.pk}/revoke/")

    assert "Revoke “script”?" in asked
    assert (alive, tokens.found(secret)) == (token, None)
    assert answer.headers["Location"] == PAGE
    assert "script<" not in page(alices)


def test_a_token_whose_time_is_over_is_shown_as_ended(alices, alice):
    tokens.make(user=alice, name="script", expires_at=timezone.now() - timedelta(days=1))

    assert ">ended<" in page(alices)


def test_making_and_revoking_leave_entries_without_the_secret(alices, alice):
    """S58, S35."""
    secret = secret_in(page(alices, name="script"))
    token = AccessToken.objects.get()
    for _ in range(2):
        alices.post(f"{PAGE}{token.pk}/revoke/")
    made, revoked = AuditEntry.objects.order_by("pk")

    assert (made.who, made.action, made.what) == (alice, "token_made", f"script ({secret[:7]}…)")
    assert (revoked.who, revoked.action, revoked.what) == (alice, "token_revoked", f"script ({secret[:7]}…)")
    assert secret not in str(AuditEntry.objects.values())


def test_names_are_words(alices, alice):
    """S17."""
    tokens.make(user=alice, name="<b>bold</b>")

    assert "&lt;b&gt;bold" in alices.get(PAGE).content.decode()


@pytest.mark.parametrize("how_many", [1, 3])
def test_the_page_asks_the_same_however_many_tokens(alices, alice, models, django_assert_num_queries, how_many):
    for number in range(how_many):
        tokens.make(user=alice, name=f"script {number}")

    with django_assert_num_queries(8):
        page(alices)
