"""Who may use the API, and when that ends."""

import asyncio
import json
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client
from django.utils import timezone

from tests.webui.gateway.conftest import token_for
from tests.webui.gateway.test_native import MESSAGES
from tests.webui.practice.wire import connection, read_answer, read_chunk, read_head, request_bytes
from webui.accounts import services, session_watch, tokens
from webui.accounts.models import AccessToken
from webui.asgi import api, application
from webui.gateway import bodies
from webui.gateway.refusals import Refused
from webui.inference.models import Host, Turn

UNAUTHORIZED = (401, {"error": "unauthorized"})


def test_a_token_is_stored_as_its_hash_alone(alice):
    """S35."""
    token, secret = tokens.make(user=alice, name="script")
    stored = AccessToken.objects.filter(pk=token.pk).values().get()

    assert len(secret) > 43
    assert not any(secret[8:] in str(value) for value in stored.values())
    assert tokens.found(secret) == token


async def test_without_a_token_there_is_nothing(portal, practice):
    """S01, S31."""
    for verb, path in api:
        assert (await portal.ask(verb, f"/ollama{path}", {"model": "practice"})).status == 401
    assert practice.requests == []


async def test_what_does_not_exist_is_not_told_either(portal):
    answer = await portal.ask("GET", "/api/nothing")

    assert (answer.status, answer.value) == UNAUTHORIZED


ODD_SPELLINGS = [
    "/api//{}",
    "/ollama/ollama/api/{}",
    "/api/tags/..%2f{}",
    "/API/../api/{}",
    "/api/{}/",
    "/Api/{}",
    "/v1/{}",
]
MANAGED = ["pull", "push", "create", "copy", "delete", "blobs/sha256:0", "me", "experimental/web_search", "signout"]


async def test_nothing_is_managed_by_another_spelling(portal, practice, admin_token):
    """S31."""
    for place in (spelling.format(name) for spelling in ODD_SPELLINGS for name in MANAGED):
        answer = await portal.ask("POST", place, {"model": "practice"}, token=admin_token)

        assert (answer.status, practice.requests) == (404, []), place


async def test_nothing_is_managed_by_another_verb(portal, practice, token):
    """S31."""
    given = {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/api/delete", "X-Rewrite-URL": "/api/delete"}
    for verb, path in [("GET", "/api/delete"), ("POST", "/api/delete"), ("POST", "/api/tags"), ("PUT", "/api/pull")]:
        answer = await portal.ask(verb, path, {"model": "practice"}, token=token, **given)

        assert (answer.status, practice.requests) == (405, [])


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Api-Key": "{}"},
        {"Authorization": "Basic {}"},
        {"Authorization": "{}"},
        {"Authorization": "Token {}"},
        {"Cookie": "session={}"},
        {"Cookie": "token={}"},
        {"Proxy-Authorization": "Bearer {}"},
        {"Authorization": "Bearer {}", "authorization": "Bearer {}"},
        {"Authorization": "Bearer {}x"},
        {"Authorization": "Bearer \xff"},
    ],
)
async def test_there_is_one_way_to_show_a_token(portal, token, headers):
    """S37."""
    sent = {name: value.format(token) for name, value in headers.items()}

    assert (await portal.ask("GET", "/api/tags", **sent)).status == 401
    assert (await portal.ask("GET", f"/api/tags?token={token}&key={token}")).status == 401


async def test_a_session_opens_no_api(portal, alice):
    """S37."""
    client = Client()
    await sync_to_async(client.force_login)(alice)
    session = client.cookies["session"].value

    assert (await portal.ask("GET", "/api/tags", Cookie=f"session={session}")).status == 401


async def test_a_token_opens_no_page(portal, token):
    """S36."""
    answer = await portal.ask("GET", "/settings/", token=token)

    assert (answer.status, answer.headers["location"][:9]) == (302, "/sign-in/")


async def test_a_token_opens_no_socket(portal, admin_token):
    """S36."""
    origin = settings.ALLOWED_ORIGINS[0].encode()
    for path in ("/ws/", "/ws/admin/", "/ws/admin/upload/"):
        shown = [(b"host", b"localhost"), (b"origin", origin), (b"authorization", f"Bearer {admin_token}".encode())]
        opening = WebsocketCommunicator(application, path, headers=shown)

        assert (await opening.connect())[0] is False


async def test_a_foreign_host_name_is_refused(portal, token):
    """S21."""
    assert (await portal.ask("GET", "/api/tags", token=token, Host="evil.example")).status == 400


ENDINGS = {
    "revoked": lambda token, root: tokens.revoke(token),
    "deactivated": lambda token, root: services.deactivate(user=token.user, by=root),
    "expired": lambda token, root: AccessToken.objects.update(expires_at=timezone.now()),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
async def test_every_ending_refuses_the_next_request(portal, token, root, ending):
    """S36, S43."""
    assert (await portal.ask("GET", "/api/tags", token=token)).status == 200
    await sync_to_async(lambda: ending(tokens.found(token), root))()

    answer = await portal.ask("GET", "/api/tags", token=token)
    assert (answer.status, answer.value) == UNAUTHORIZED


async def test_a_token_that_will_expire_works_until_then(portal, alice):
    tomorrow = timezone.now() + timedelta(days=1)
    token = await sync_to_async(token_for)(alice, expires_at=tomorrow)

    assert (await portal.ask("GET", "/api/tags", token=token)).status == 200


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
async def test_an_answer_ends_with_its_token(portal, practice, token, root, ending, monkeypatch):
    """S36."""
    assert session_watch.LOOK_S < 5
    monkeypatch.setattr(session_watch, "LOOK_S", 0.05)
    body = {"model": "fault-gate", "messages": MESSAGES}
    async with asyncio.timeout(10), connection(portal.url) as (reader, writer):
        writer.write(request_bytes("POST", "/api/chat", body, Authorization=f"Bearer {token}"))
        await read_head(reader)
        await read_chunk(reader)
        await sync_to_async(lambda: ending(tokens.found(token), root))()
        last = b""
        while chunk := await read_chunk(reader):
            last = chunk

    assert last.endswith(b'{"error": "unauthorized"}\n')
    await practice.wait_for(lambda: practice.requests[-1].outcome == "left", within_s=1)


async def test_when_a_token_was_used_is_kept(portal, token):
    before = await sync_to_async(tokens.found)(token)
    await portal.ask("GET", "/api/version", token=token)
    after = await sync_to_async(tokens.found)(token)

    assert (before.last_used_at, bool(after.last_used_at)) == (None, True)


async def test_a_token_is_not_in_the_log(portal, token, caplog):
    """S38."""
    with caplog.at_level("DEBUG", "webui"):
        await portal.ask("POST", f"/api/pull?token={token}", {"model": "a"}, token=token)
        await portal.ask("GET", f"/api/tags?token={token}", token=f"{token}x")

    assert token not in caplog.text


async def test_answers_carry_the_security_headers(portal, token):
    """S45."""
    answer = await portal.ask("POST", "/api/chat", {"model": "practice", "messages": MESSAGES}, token=token)

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"model":' + b"1" * 1_000_000, b"\xef\xbb\xbf{}", b"NaN", b"\x00", b"[]"],
    ids=["brackets", "braces", "number", "bom", "nan", "nul", "list"],
)
async def test_bodies_that_are_no_requests_are_refused(portal, token, body):
    """S48."""
    answer = await portal.ask("POST", "/api/chat", body, token=token)

    assert (answer.status, list(answer.value)) == (400, ["error"])


async def test_a_connection_serves_one_request_after_the_other(portal, token):
    async with connection(portal.url) as (reader, writer):
        for _ in range(3):
            body = {"model": "practice", "messages": MESSAGES}
            writer.write(request_bytes("POST", "/api/chat", body, Authorization=f"Bearer {token}"))
            assert (await read_answer(reader)).status == 200


async def test_a_script_that_floods_delays_anothers_request_by_one_of_its_own(portal, practice, token, bob):
    """S46."""
    await sync_to_async(Host.objects.update)(slots=1)
    bobs = await sync_to_async(token_for)(bob)

    def ask(who: str, secret: str) -> asyncio.Task:
        body = {"model": "fault-gate", "messages": [{"role": "user", "content": who}]}
        return asyncio.create_task(portal.ask("POST", "/api/chat", body, token=secret))

    asking = [ask("alice", token) for _ in range(20)]
    await practice.wait_for(lambda: practice.requests and practice.requests[-1].pieces_sent)
    while await sync_to_async(Turn.objects.count)() < 20:
        await asyncio.sleep(0.01)
    asking.append(ask("bob", bobs))
    while await sync_to_async(Turn.objects.count)() < 21:
        await asyncio.sleep(0.01)
    practice.release()
    answers = await asyncio.gather(*asking)
    order = [request.body["messages"][0]["content"] for request in practice.requests]

    assert {answer.status for answer in answers} == {200}
    assert order[:2] == ["alice", "bob"]


FINE = {
    "a table": {"prompt": '1,"a",\\' * 300_000},
    "a program": {"messages": [{"content": 'if (a, b) { "x": [1, 2], }\n' * 100_000}]},
    "many tokens": {"context": [1] * 150_000},
    "an image": {"images": ["a" * 5_000_000]},
}
TOO_MUCH = {
    "keys": b"{" + b",".join(b'"%d":0' % number for number in range(300_000)) + b"}",
    "texts": b'{"input":[' + b'"",' * 300_000 + b'""]}',
    "numbers": b'{"context":[' + b"1," * 300_000 + b"1]}",
    "texts that end oddly": b'{"input":[' + rb'"\\",' * 300_000 + b'""]}',
    "bytes that are no text": b'{"model":"' + b"\xff" * 300_000 + b'"}',
}


@pytest.mark.parametrize("body", FINE.values(), ids=FINE.keys())
def test_a_large_text_is_as_good_as_a_small_one(body):
    assert bodies.parse(json.dumps(body).encode()) == body


@pytest.mark.parametrize("raw", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_what_would_keep_others_waiting_is_not_read(raw):
    """S48."""
    with pytest.raises(Refused, match=r"too many parts|invalid UTF-8"):
        bodies.parse(raw)
