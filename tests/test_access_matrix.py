"""Who may go where. A page or a socket that is in no row of this table fails the build."""

import re
import uuid

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from chat.models import Conversation, Draft, Message, Run
from chat.routing import socket_urlpatterns
from webui.accounts import setup
from webui.accounts.models import User
from webui.inference.models import Host

PUBLIC = {"accounts:sign_in", "accounts:sign_out", "set_language", "healthz", "readyz"}
SETUP_ONLY = {"accounts:setup"}
SIGNED_IN = {
    "chat:new",
    "chat:new_draft",
    "chat:shortcuts",
    "chat:sidebar",
    "chat:start",
    "accounts:settings",
    "accounts:password",
}
ADMINISTRATORS = {
    "accounts:people",
    "accounts:person",
    "models_admin:setup_host",
    "models_admin:check_host",
    "models_admin:practice",
    "models_admin:models",
}
OWN_CONVERSATION = {
    "chat:conversation",
    "chat:ask",
    "chat:stop",
    "chat:title",
    "chat:delete",
    "chat:restore",
    "chat:draft",
    "chat:earlier",
}
OWN_MESSAGE = {"chat:turn", "chat:text", "chat:edit", "chat:again", "chat:continue", "chat:version"}
CLASSIFIED = PUBLIC | SETUP_ONLY | SIGNED_IN | ADMINISTRATORS | OWN_CONVERSATION | OWN_MESSAGE

POST_ONLY = {
    "accounts:sign_out",
    "accounts:password",
    "accounts:person",
    "models_admin:practice",
    "chat:new_draft",
    "chat:start",
    "chat:ask",
    "chat:stop",
    "chat:delete",
    "chat:restore",
    "chat:draft",
    "chat:again",
    "chat:continue",
    "chat:version",
}
POST_TOO = {
    "accounts:sign_in",
    "set_language",
    "accounts:setup",
    "accounts:settings",
    "accounts:people",
    "models_admin:setup_host",
    "chat:title",
    "chat:edit",
}
SOCKETS = {"ws/"}


def names(patterns: list, namespace: str = "") -> set[str]:
    found = set()
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            found |= names(pattern.url_patterns, inner)
        elif isinstance(pattern, URLPattern):
            found.add(f"{namespace}{pattern.name}")
    return found


def address(name: str, conversation: Conversation, message: uuid.UUID | None = None) -> str:
    """The page of that name, for this conversation where it is about one."""
    if name in OWN_CONVERSATION:
        return reverse(name, args=[conversation.pk])
    if name in OWN_MESSAGE:
        return reverse(name, args=[conversation.pk, message or conversation.head_id])
    return reverse(name, args=[999_999]) if name == "accounts:person" else reverse(name)


def call(client: Client, name: str, url: str, **options):
    return client.post(url, **options) if name in POST_ONLY else client.get(url, **options)


def test_every_page_is_classified():
    assert names(get_resolver().url_patterns) == CLASSIFIED


def test_every_socket_is_classified():
    assert {str(pattern.pattern) for pattern in socket_urlpatterns} == SOCKETS


@pytest.mark.parametrize("name", sorted(CLASSIFIED - PUBLIC - SETUP_ONLY))
def test_who_is_not_signed_in_is_sent_to_the_sign_in_page(client, conversation, name):
    answer = call(client, name, address(name, conversation))

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("name", sorted(CLASSIFIED - PUBLIC - SETUP_ONLY))
def test_a_part_of_a_page_tells_htmx_to_go_to_the_sign_in_page(client, conversation, name):
    answer = call(client, name, address(name, conversation), headers={"HX-Request": "true"})

    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"].startswith("/sign-in/")


@pytest.mark.parametrize("name", sorted(OWN_CONVERSATION | OWN_MESSAGE))
@pytest.mark.parametrize("who", ["carol", "root"])
def test_another_persons_conversation_looks_like_one_that_does_not_exist(client, request, conversation, name, who):
    client.force_login(request.getfixturevalue(who))
    nothing = Conversation(pk=uuid.uuid4(), head_id=uuid.uuid4())
    theirs = call(client, name, address(name, conversation))
    none = call(client, name, address(name, nothing))

    assert (theirs.status_code, none.status_code) == (404, 404)
    assert _without_marks(theirs) == _without_marks(none)


@pytest.mark.parametrize("name", sorted(OWN_MESSAGE))
def test_another_persons_message_cannot_be_reached_through_ones_own_conversation(client, carol, conversation, name):
    own = Conversation.objects.create(owner=carol, title="Mine")
    client.force_login(carol)

    assert call(client, name, address(name, own, conversation.head_id)).status_code == 404


@pytest.mark.parametrize("name", sorted(ADMINISTRATORS))
def test_members_do_not_learn_that_there_are_pages_for_administrators(client, alice, conversation, name):
    client.force_login(alice)

    assert call(client, name, address(name, conversation)).status_code == 404


@pytest.mark.parametrize("name", sorted(OWN_CONVERSATION | OWN_MESSAGE | SIGNED_IN))
def test_the_owner_gets_an_answer(client, alice, conversation, name):
    client.force_login(alice)
    if name == "chat:edit":
        answer = client.get(address(name, conversation, conversation.head.parent_id))
    elif name == "chat:sidebar":
        answer = client.get(reverse(name), {"before": f"2026-01-01T00:00:00+00:00_{uuid.uuid4()}"})
    else:
        answer = call(client, name, address(name, conversation))

    assert answer.status_code in {200, 204, 302}


@pytest.mark.parametrize("name", sorted(POST_ONLY | POST_TOO))
def test_nothing_is_changed_without_the_token_of_a_form(alice, conversation, name, monkeypatch):
    if name in SETUP_ONLY:
        monkeypatch.setattr(setup, "is_needed", lambda: True)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)

    assert strict.post(address(name, conversation)).status_code == 403


@pytest.mark.parametrize("name", sorted(POST_ONLY))
def test_what_changes_something_cannot_be_fetched(client, alice, conversation, name):
    client.force_login(alice)

    assert client.get(address(name, conversation)).status_code == 405


@pytest.mark.parametrize("name", sorted(CLASSIFIED - POST_ONLY - POST_TOO))
def test_what_is_fetched_takes_no_form(client, alice, conversation, name):
    client.force_login(alice)

    assert client.post(address(name, conversation)).status_code in {404, 405}


@pytest.mark.parametrize("name", sorted(CLASSIFIED - POST_ONLY))
def test_fetching_changes_nothing(client, alice, conversation, name):
    client.force_login(alice)
    before = _rows()
    client.get(address(name, conversation))

    assert _rows() == before


@pytest.mark.parametrize("name", sorted(CLASSIFIED))
def test_every_answer_carries_the_security_headers(client, alice, conversation, name):
    client.force_login(alice)
    answer = call(client, name, address(name, conversation))

    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("name", sorted(CLASSIFIED))
def test_a_foreign_host_name_is_refused_everywhere(client, alice, conversation, name):
    client.force_login(alice)

    assert call(client, name, address(name, conversation), headers={"Host": "evil.example"}).status_code == 400


def _without_marks(answer: HttpResponse) -> str:
    """A page without what names its own address, and without the token that differs each time."""
    return re.sub(rf"\b[a-zA-Z0-9]{{64}}\b|{answer.wsgi_request.path}", "", answer.content.decode())


def _rows() -> list[object]:
    """Everything a page could have changed."""
    return [list(model.objects.order_by("pk").values()) for model in (User, Conversation, Message, Run, Draft, Host)]
