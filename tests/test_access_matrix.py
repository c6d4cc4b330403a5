"""Who may go where. A page or a socket that is in no row of this table fails the build.

The numbers S01 to S65 in tests are those of docs/security.md.
"""

import re
import uuid

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from chat.models import Conversation
from chat.routing import socket_urlpatterns as of_chat
from models_admin.routing import socket_urlpatterns as of_admin
from webui.accounts import services, setup, tokens
from webui.accounts.models import AuditEntry, User
from webui.asgi import api, application
from webui.http import SECURITY_HEADERS

# Pages about one model on one host.
MODEL_ACTS = ["model_load", "model_pin", "model_unload", "model_push", "model_rules"]
MODEL_FORMS = ["model_copy", "model_delete"]
# Pages about one host, and about one who stands in a line.
HOST_ACTS = ["host_look", "host_aside", "host_switch", "host_remove"]
HOST = ["host", *HOST_ACTS]
TURN_ACTS = ["turn_remove", "turn_front"]

MODEL = ["model", "model_shown", "model_menu", "modelfile_edit", *MODEL_ACTS, *MODEL_FORMS]

PUBLIC = {"accounts:sign_in", "accounts:sign_out", "set_language", "healthz", "readyz"}
SETUP_ONLY = {"accounts:setup"}
WITH_A_TOKEN = {"metrics"}  # of the settings; see tests/webui/test_metrics.py
SIGNED_IN = {
    "chat:new",
    "chat:new_draft",
    "chat:shortcuts",
    "chat:sidebar",
    "chat:start",
    "accounts:settings",
    "accounts:password",
    "gateway:tokens",
    "models_admin:own_usage",
    "models_admin:own_usage_csv",
}
ADMINISTRATORS = {
    "accounts:people",
    "accounts:person",
    "accounts:person_limits",
    "accounts:groups",
    "accounts:group",
    "accounts:group_delete",
    "models_admin:setup_host",
    "models_admin:check_host",
    "models_admin:practice",
    "models_admin:models",
    "models_admin:modelfile",
    "models_admin:modelfile_check",
    *(f"models_admin:{name}" for name in [*MODEL, *HOST, *TURN_ACTS]),
    *("models_admin:hosts", "models_admin:host_add", "models_admin:host_try", "models_admin:hosts_look"),
    *("models_admin:playground", "models_admin:playground_complete", "models_admin:playground_embed"),
    *("models_admin:queue", "models_admin:audit", "models_admin:audit_csv"),
    *("models_admin:usage", "models_admin:usage_csv"),
    "models_admin:pull",
    "models_admin:jobs",
    "models_admin:job_cancel",
    "models_admin:job_retry",
    "models_admin:job_dismiss",
}
NUMBERED = {
    *(f"models_admin:{name}" for name in [*MODEL, *HOST]),
    "accounts:person",
    "accounts:person_limits",
    "accounts:group",
    "accounts:group_delete",
    "gateway:token_revoke",
    "models_admin:job_cancel",
    "models_admin:job_retry",
    "models_admin:job_dismiss",
}
TURNS = {f"models_admin:{name}" for name in TURN_ACTS}
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
OWN_TOKEN = {"gateway:token_revoke"}
OPEN = PUBLIC | SETUP_ONLY | WITH_A_TOKEN
CLASSIFIED = OPEN | SIGNED_IN | ADMINISTRATORS | OWN_CONVERSATION | OWN_MESSAGE | OWN_TOKEN

POST_ONLY = {
    "accounts:sign_out",
    "accounts:password",
    "accounts:person",
    "accounts:group_delete",
    "models_admin:practice",
    "models_admin:modelfile_check",
    *(f"models_admin:{name}" for name in [*MODEL_ACTS, *HOST_ACTS, *TURN_ACTS, "host_try", "hosts_look"]),
    *("models_admin:playground_complete", "models_admin:playground_embed"),
    "models_admin:pull",
    "models_admin:job_cancel",
    "models_admin:job_retry",
    "models_admin:job_dismiss",
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
    "accounts:person_limits",
    "accounts:groups",
    "accounts:group",
    "gateway:tokens",
    "gateway:token_revoke",
    "models_admin:setup_host",
    "models_admin:modelfile",
    *(f"models_admin:{name}" for name in [*MODEL_FORMS, "host", "host_add"]),
    "chat:title",
    "chat:edit",
}
SOCKETS = {"ws/", "ws/admin/", "ws/admin/upload/"}
# The API, which is not in the URLconf: for every access token, and for those that manage models.
EVERY_TOKEN = {
    *(("GET", path) for path in ("/", "/api/version", "/api/tags", "/api/ps", "/v1/models", "/v1/models/{model}")),
    *(("POST", f"/api/{name}") for name in ("show", "chat", "generate", "embed", "embeddings")),
    *(("POST", f"/v1/{name}") for name in ("chat/completions", "completions", "embeddings")),
}
MANAGING_TOKENS = {
    *(("POST", f"/api/{name}") for name in ("pull", "push", "create", "copy", "blobs/{digest}")),
    ("DELETE", "/api/delete"),
    ("HEAD", "/api/blobs/{digest}"),
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
FOREIGN_ORIGINS = [
    "https://evil.example",
    "http://testserver.evil.example",
    "http://eviltestserver",
    "http://testserver:9999",
    "https://testserver",
    "http://127.0.0.1:9999",
    "null",
]


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
    if name in TURNS:
        return reverse(name, args=[uuid.uuid4()])
    return reverse(name, args=[999_999]) if name in NUMBERED else reverse(name)


def call(client: Client, name: str, url: str, **options):
    return client.post(url, **options) if name in POST_ONLY else client.get(url, **options)


def test_every_page_is_classified():
    assert names(get_resolver().url_patterns) == CLASSIFIED


def test_every_socket_is_classified():
    assert {str(pattern.pattern) for pattern in [*of_chat, *of_admin]} == SOCKETS


@pytest.mark.parametrize("name", sorted(CLASSIFIED - OPEN))
def test_who_is_not_signed_in_is_sent_to_the_sign_in_page(client, conversation, name):
    """S01."""
    for method in METHODS:
        answer = client.generic(method, address(name, conversation))

        assert answer.status_code == 302, method
        assert answer.headers["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("name", sorted(CLASSIFIED - OPEN))
def test_a_part_of_a_page_tells_htmx_to_go_to_the_sign_in_page(client, conversation, name):
    """S01."""
    for method in METHODS:
        answer = client.generic(method, address(name, conversation), headers={"HX-Request": "true"})

        assert (answer.status_code, answer.content) == (401, b""), method
        assert answer.headers["HX-Redirect"].startswith("/sign-in/")


@pytest.mark.parametrize("name", sorted(OWN_CONVERSATION | OWN_MESSAGE))
@pytest.mark.parametrize("who", ["carol", "root"])
def test_another_persons_conversation_looks_like_one_that_does_not_exist(client, request, conversation, name, who):
    """S02, S09."""
    client.force_login(request.getfixturevalue(who))
    before = _rows()
    nothing = Conversation(pk=uuid.uuid4(), head_id=uuid.uuid4())
    for method in METHODS:
        theirs, none = (client.generic(method, address(name, which)) for which in (conversation, nothing))

        assert _seen(theirs) == _seen(none), method
        assert theirs.status_code in {404, 405}
    assert call(client, name, address(name, conversation)).status_code == 404
    assert _rows() == before


@pytest.mark.parametrize("name", sorted(OWN_TOKEN))
@pytest.mark.parametrize("who", ["carol", "root"])
def test_another_persons_token_looks_like_one_that_does_not_exist(client, request, alice, name, who):
    """S02."""
    token, _ = tokens.make(user=alice, name="script")
    client.force_login(request.getfixturevalue(who))
    for method in METHODS:
        theirs, none = (client.generic(method, reverse(name, args=[which])) for which in (token.pk, 999_999))

        assert _seen(theirs) == _seen(none), method
    token.refresh_from_db()
    assert token.revoked_at is None


@pytest.mark.parametrize("name", sorted(OWN_MESSAGE))
def test_a_message_is_only_reached_through_its_own_conversation(client, alice, carol, conversation, name):
    """S03."""
    other, foreign = (_conversation_of(person) for person in (alice, carol))
    client.force_login(alice)
    before, seen = _rows(), set()
    for place, message in [
        (conversation, foreign.head_id),
        (conversation, other.head_id),
        (foreign, conversation.head_id),
        (foreign, foreign.head_id),
        (conversation, uuid.uuid4()),
    ]:
        answer = call(client, name, address(name, place, message))
        seen.add((answer.status_code, _without_marks(answer)))

    assert {status for status, _ in seen} == {404}
    assert len(seen) == 1
    assert _rows() == before


@pytest.mark.parametrize("name", sorted((OWN_CONVERSATION | OWN_MESSAGE) - {"chat:restore"}))
def test_of_a_deleted_conversation_nothing_is_left_but_the_way_back(client, alice, conversation, name):
    """S02."""
    client.force_login(alice)
    client.post(address("chat:delete", conversation))

    assert call(client, name, address(name, conversation)).status_code == 404


@pytest.mark.parametrize("name", sorted(ADMINISTRATORS))
def test_members_do_not_learn_that_there_are_pages_for_administrators(client, alice, conversation, name, caplog):
    """S04, S24."""
    client.force_login(alice)
    nowhere = client.get("/nowhere/")
    answer = call(client, name, address(name, conversation))

    assert _seen(answer) == _seen(nowhere)
    assert f"user {alice.pk} is no administrator" in caplog.text


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
    """S19."""
    if name in SETUP_ONLY:
        monkeypatch.setattr(setup, "is_needed", lambda: True)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)

    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert strict.generic(method, address(name, conversation)).status_code == 403


@pytest.mark.parametrize("name", sorted(POST_ONLY | POST_TOO))
def test_a_token_alone_does_not_make_another_origin_ours(alice, conversation, name, monkeypatch):
    """S19."""
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    token = str(strict.get("/settings/").context["csrf_token"])
    if name in SETUP_ONLY:
        monkeypatch.setattr(setup, "is_needed", lambda: True)

    def send(origin: str) -> int:
        headers = {"X-CSRFToken": token, "Origin": origin}
        return strict.post(address(name, conversation), headers=headers).status_code

    assert {origin: send(origin) for origin in FOREIGN_ORIGINS} == dict.fromkeys(FOREIGN_ORIGINS, 403)
    assert send("http://testserver") != 403


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
    """S19."""
    client.force_login(alice)
    before = _rows()
    client.get(address(name, conversation))

    assert _rows() == before


@pytest.mark.parametrize("name", sorted(CLASSIFIED))
def test_every_answer_carries_the_security_headers(client, alice, conversation, name):
    """S22, S45."""
    client.force_login(alice)
    answer = call(client, name, address(name, conversation))

    assert {header: answer.headers[header] for header in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("name", sorted(CLASSIFIED))
def test_a_foreign_host_name_is_refused_everywhere(client, alice, conversation, name):
    """S21."""
    client.force_login(alice)

    assert call(client, name, address(name, conversation), headers={"Host": "evil.example"}).status_code == 400


def test_every_address_of_the_api_is_classified():
    assert {at for at, route in api.items() if not route.admin} == EVERY_TOKEN
    assert {at for at, route in api.items() if route.admin} == MANAGING_TOKENS


def made(user: User, **more: object) -> str:
    return tokens.make(user=user, name="script", **more)[1]


def expired(root: User) -> str:
    return made(root, scope="admin", expires_at=timezone.now())


def revoked(root: User) -> str:
    secret = made(root, scope="admin")
    tokens.revoke(tokens.found(secret))
    return secret


def of_somebody_deactivated(root: User) -> str:
    gone = User.objects.create_user("gone", "correct horse battery", is_admin=True)
    secret = made(gone, scope="admin")
    services.deactivate(user=gone, by=root)
    return secret


def of_a_member(root: User) -> str:
    return made(User.objects.create_user("member", "correct horse battery"))


def of_an_administrator_for_using(root: User) -> str:
    return made(root)


def for_managing(root: User) -> str:
    return made(root, scope="admin")


def nobody_s(root: User) -> str:
    return "th_" + "a" * 43


async def statuses(secret: str) -> dict[tuple[str, str], int]:
    """What each address of the API answers a bearer."""
    found = {}
    for verb, path in api:
        head = {
            "type": "http",
            "method": verb,
            "path": f"/ollama{path}",
            "query_string": b"",
            "client": ["127.0.0.1", 1],
        }
        headers = [(b"host", b"testserver"), (b"authorization", f"Bearer {secret}".encode())]
        asking = ApplicationCommunicator(application, {**head, "headers": headers})
        await asking.send_input({"type": "http.request", "body": b"{}"})
        found[verb, path] = (await asking.receive_output())["status"]
        await asking.wait()
    await sync_to_async(connections.close_all)()  # of the thread that the tests share
    return found


@pytest.mark.parametrize("bearer", [nobody_s, expired, revoked, of_somebody_deactivated])
async def test_who_has_no_living_token_is_refused_everywhere_in_the_api(transactional_db, root, bearer):
    """S01, S31, S36."""
    found = await statuses(await sync_to_async(bearer)(root))

    assert found == dict.fromkeys(api, 401)


@pytest.mark.parametrize("bearer", [of_a_member, of_an_administrator_for_using])
async def test_a_token_for_using_models_manages_none(transactional_db, root, bearer):
    """S31, S36."""
    found = await statuses(await sync_to_async(bearer)(root))

    assert {at for at, status in found.items() if status == 403} == MANAGING_TOKENS
    assert 401 not in found.values()


async def test_a_token_for_managing_models_gets_everywhere(transactional_db, root):
    found = await statuses(await sync_to_async(for_managing)(root))

    assert not {401, 403} & set(found.values())


def _conversation_of(person: User) -> Conversation:
    conversation = Conversation.objects.create(owner=person, title="Of my own")
    question = conversation.messages.create(role="user", author=person, text="Why?")
    conversation.head = conversation.messages.create(role="assistant", parent=question, text="Because.")
    conversation.save()
    return conversation


def _seen(answer: HttpResponse) -> tuple[object, ...]:
    """All that somebody can tell of an answer."""
    return answer.status_code, sorted(answer.headers.keys() - {"Content-Length"}), _without_marks(answer)


def _without_marks(answer: HttpResponse) -> str:
    """A page without what names its own address, and without the token that differs each time."""
    path = re.escape(answer.wsgi_request.path)
    return re.sub(rf'\b[a-zA-Z0-9]{{64}}\b|(?<=name="next" value="){path}', "", answer.content.decode())


def _rows() -> list[object]:
    """Everything that is stored, but for the sessions, and the record of who was refused."""
    kept = [model for model in apps.get_models() if model not in {Session, AuditEntry}]
    return [list(model.objects.order_by("pk").values()) for model in kept]
