"""Whatever is sent to an address or said on a socket is answered in words, and nothing breaks.

Quick by default and the same each time; ``FUZZ=1000`` tries that many requests for each page, others each time.
"""

import json
import os
import re
import uuid
from socket import gaierror
from urllib.parse import quote_from_bytes

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.db import transaction
from django.http import HttpResponse
from django.test import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat import live
from chat.models import Conversation
from tests.chat.test_consumers import connecting, session_of
from tests.test_access_matrix import CLASSIFIED, address

ORIGIN = django_settings.ALLOWED_ORIGINS[0]

tries = settings(
    max_examples=int(os.environ.get("FUZZ", "6")),
    derandomize="FUZZ" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # they serve all examples of a test
)

# It waits for a host that does not come, and takes nothing.
PAGES = sorted(CLASSIFIED - {"models_admin:practice"})
METHODS = [*["GET", "POST"] * 4, "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
HOST = ["name", "url", "slots", "memory_gb", "bearer", "forget_bearer", "any_certificate", "authority"]
LIMITS = ["tokens_per_day", "at_once", "per_minute"]
FIELDS = {
    "accounts:password": ["current", "new"],
    "accounts:group": ["name", "about", "members", *LIMITS],
    "accounts:groups": ["name", "about", "members", *LIMITS],
    "accounts:person_limits": [*LIMITS],
    "accounts:people": ["name", "username", "password"],
    "accounts:person": ["do"],
    "accounts:settings": ["display_name", "language", "theme", "send_key"],
    "accounts:setup": ["name", "username", "password", "code"],
    "accounts:sign_in": ["username", "password", "next"],
    "gateway:tokens": ["name", "days", "models", "manages", *LIMITS],
    "chat:again": ["model"],
    "chat:ask": ["text", "model", "think", "client_key"],
    "chat:draft": ["text"],
    "chat:earlier": ["before"],
    "chat:edit": ["text", "client_key"],
    "chat:new": ["model", "deleted"],
    "chat:new_draft": ["text"],
    "chat:sidebar": ["before"],
    "chat:start": ["text", "model", "think", "client_key"],
    "chat:title": ["title"],
    "models_admin:check_host": ["url"],
    "models_admin:audit": ["q", "action", "days", "before"],
    "models_admin:audit_csv": ["q", "action", "days", "before"],
    **{name: [*HOST, "host"] for name in ("models_admin:host", "models_admin:host_add", "models_admin:host_try")},
    **{
        name: ["do", "name"]
        for name in ("models_admin:host_aside", "models_admin:host_switch", "models_admin:host_remove")
    },
    "models_admin:model_copy": ["name"],
    "models_admin:model_delete": ["name"],
    "models_admin:model_rules": ["audience", "groups", "num_ctx", "num_gpu", "keep_alive", "options"],
    "models_admin:modelfile": ["name", "host", "text", "quantize", "private", "original", "replaces", "from"],
    "models_admin:modelfile_check": ["text", "host", "fix", "original"],
    "models_admin:models": ["q", "host", "sort"],
    "models_admin:playground_complete": [
        *("model", "prompt", "suffix", "system", "template", "raw", "answer_format", "schema"),
        *("options", "goes_on", "context"),
    ],
    "models_admin:playground_embed": ["model", "texts", "dimensions", "singly"],
    "models_admin:pull": ["model", "host", "insecure"],
    "models_admin:setup_host": ["url"],
    **{
        f"models_admin:{name}": ["days", "of", "by", "person", "model", "host", "door"]
        for name in ("usage", "usage_csv", "own_usage", "own_usage_csv")
    },
    "set_language": ["language", "next"],
}
OTHER_FIELDS = ["csrfmiddlewaretoken", "id", "owner", "is_admin", "a\0b", ""]
HEADERS = [
    *("HX-Request", "HX-Target", "HX-Current-URL", "HX-Boosted", "HX-Trigger", "HX-Prompt"),
    *("Referer", "Origin", "Accept-Language", "Accept-Encoding", "X-Forwarded-For", "X-Forwarded-Proto"),
    *("X-CSRFToken", "If-None-Match", "If-Modified-Since", "Range", "User-Agent", "Authorization"),
]
COOKIES = ["session", "csrf", "language", "messages", "other"]
TYPES = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-16",
    "multipart/form-data; boundary=x",
    "multipart/form-data; boundary=x; charset=rot13",
    "multipart/form-data; boundary=",
    "multipart/form-data",
    "application/json",
    "text/plain; charset=nonsense",
    "",
]
ODD = [
    *(
        "\0",
        "a\0b",
        "\x1b[2J",
        "\r\nSet-Cookie: a=b",
        "\u2028",
        "\u202e",
        "\ud83d",
        "\udc00",
        "\ufffe",
        "🍵",
        "茶" * 500,
    ),
    *("-1", "1" * 5000, "1e999", "NaN", "on", "true", "null", "[]", "{}", "[" * 500, "' or 1=1 --", "%s%n{0}{{ x }}"),
    *(
        "../../etc/passwd",
        "//evil.example",
        "http://[",
        "javascript:alert(1)",
        "<script>alert(1)</script>",
        "a" * 10_000,
    ),
    *("0001-01-01T00:00:00+14:00_" + "0" * 32, "9999-12-31T23:59:59-14:00_" + "0" * 32, "2026-01-01_" + "0" * 32),
    *(
        str(uuid.UUID(int=0)),
        "0" * 32,
        "{" + "0" * 32 + "}",
        "urn:uuid:" + "0" * 32,
        "deactivate",
        "promote",
        "password",
    ),
]
FINE = ["Why?", "practice:latest", "on", str(uuid.uuid4()), "correct horse battery", "en", "dark", "ctrl", "dan"]
OFFSETS = st.sampled_from(["", "Z", "+00:00", "+14:00", "-23:59:59.999999", "+99:00"])
CURSORS = st.builds("{:%Y-%m-%dT%H:%M:%S}{}_{}".format, st.datetimes(), OFFSETS, st.uuids())
WORDS = st.text(st.characters(codec=None), max_size=40)
VALUES = st.sampled_from(FINE) | st.sampled_from(ODD) | CURSORS | WORDS
IN_A_HEADER = VALUES.map(lambda value: re.sub(r"[^ -\xff]", "?", value[:4000]))


def encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def as_form(fields: dict[str, str]) -> bytes:
    pairs = [f"{quote_from_bytes(encoded(name))}={quote_from_bytes(encoded(value))}" for name, value in fields.items()]
    return "&".join(pairs).encode()


def as_parts(fields: dict[str, str]) -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    return b"".join(head % (encoded(name), encoded(value)) for name, value in fields.items()) + b"--x--\r\n"


@st.composite
def forms(draw, name: str) -> dict[str, str]:
    """The fields that a page knows, or all but one of them, and now and then another."""
    own = FIELDS.get(name, [])
    missing, another = draw(st.sampled_from(own + OTHER_FIELDS)), draw(st.sampled_from(own + OTHER_FIELDS))
    return {field: draw(VALUES) for field in {*own, another} - {missing}}


@pytest.fixture(autouse=True)
def nobody_is_looked_up(monkeypatch):
    """What is made up here must not be asked for in the network."""

    def look_up(*_):
        raise gaierror

    monkeypatch.setattr("webui.inference.addresses.getaddrinfo", look_up)


@async_to_sync
async def call(client: AsyncClient, *request: object, **more: object) -> HttpResponse:
    """As the server asks Django: the requests of the other client do not meet odd encodings in the same place."""
    return await client.generic(*request, **more)


def has_words(answer: HttpResponse) -> bool:
    text = re.sub(r"(?s)<head.*?</head>|<[^>]*>", " ", answer.content.decode())
    return len(text.split()) > 2


def is_fine(answer: HttpResponse, method: str) -> bool:
    if answer.status_code < 400 or method == "HEAD":
        return answer.status_code < 500
    return answer.status_code == 401 or (answer.status_code < 500 and has_words(answer))


@pytest.mark.parametrize("name", PAGES)
@tries
@given(data=st.data())
def test_no_request_breaks_a_page(conversation, alice, root, name, data):
    """F62."""
    who = data.draw(st.sampled_from([alice, root, None]))
    method = data.draw(st.sampled_from(METHODS))
    kind = data.draw(st.sampled_from(TYPES))
    fields = data.draw(forms(name))
    body = as_parts(fields) if "multipart" in kind else as_form(fields)
    query = as_form(data.draw(forms(name))).decode()
    headers = data.draw(st.dictionaries(st.sampled_from(HEADERS), IN_A_HEADER, max_size=3))
    cookies = data.draw(st.dictionaries(st.sampled_from(COOKIES), IN_A_HEADER, max_size=2))
    client = AsyncClient()
    with transaction.atomic():
        if who:
            client.force_login(who)
        for cookie, value in cookies.items():
            client.cookies[cookie] = value
        url = f"{address(name, conversation)}?{query}"
        answer = call(client, method, url, body, content_type=kind, headers=headers)
        transaction.set_rollback(True)

    assert is_fine(answer, method), (answer.status_code, answer.content[:200])


CANNOT_BE_STORED = {"NUL": "a\0b", "half a pair": "a\ud83db"}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("evil", CANNOT_BE_STORED.values(), ids=CANNOT_BE_STORED)
def test_no_field_minds_what_cannot_be_stored(conversation, root, alice, evil):
    """F62: each field of each page, in forms and in addresses, with nothing wrong in the others."""
    minding = []
    for name, field in [(name, field) for name, fields in FIELDS.items() for field in fields]:
        fields = {**dict.fromkeys(FIELDS[name], "7"), "client_key": str(uuid.uuid4()), field: evil}
        url, sent = address(name, conversation), as_form(fields)
        client = AsyncClient(raise_request_exception=False)
        client.force_login(alice if name.startswith("chat:") else root)
        with transaction.atomic():
            posted = call(client, "POST", url, sent, content_type=TYPES[0])
            fetched = call(client, "GET", f"{url}?{sent.decode()}", b"", content_type="")
            transaction.set_rollback(True)
        if not (is_fine(posted, "POST") and is_fine(fetched, "GET")):
            minding.append((name, field, posted.status_code, fetched.status_code))

    assert minding == []


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/conversations/?before=2026-01-01T00:00:00%2B23:59:59.999999_" + "0" * 32, 404),
        ("/conversations/?before=2026-01-01_" + "0" * 32, 404),
        ("/conversations/?before=0001-01-01T00:00:00%2B14:00_" + "0" * 32, 404),
        (f"/people/{10**30}/", 404),
        (f"/people/{'9' * 5000}/", 404),
        ("/%00", 404),
        ("/%ff%fe/", 404),
    ],
)
def test_an_address_nobody_links_to_is_not_found(client, root, url, status):
    """F62."""
    client.force_login(root)

    assert client.post(url).status_code in {status, 405}
    assert client.get(url).status_code in {status, 405}


ANY = st.none() | st.booleans() | st.integers() | st.floats() | VALUES
ANY_JSON = st.recursive(
    ANY, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(VALUES, inside, max_size=3), max_leaves=6
)
WORDS_OF_A_PAGE = ["watch", "lang", "seen", "list", "saving", "ack", "resync", "there", "other"]
DEEP = st.integers(900, 1100).map(lambda depth: '{"watch":null,"seen":' + "[" * depth + "]" * depth + "}")


@st.composite
def sayings(draw, conversation: Conversation) -> str:
    """What a page might say, with anything in it, now and then the id of a conversation or nothing of the kind."""
    known = st.just(str(conversation.pk))
    fields = st.dictionaries(st.sampled_from(WORDS_OF_A_PAGE), known | ANY_JSON, min_size=1, max_size=4)
    return draw(fields.map(json.dumps) | DEEP | VALUES.map(lambda value: value.encode("utf-8", "replace").decode()))


@pytest.mark.django_db(transaction=True)
@tries
@given(data=st.data())
async def test_nothing_that_is_said_breaks_a_socket(conversation, data):
    """Whatever came before, the page is answered, or sent away with a code that it knows."""
    session = await sync_to_async(session_of)(conversation.owner)
    said = data.draw(st.lists(sayings(conversation), max_size=5))
    opened = connecting(session, ORIGIN)
    await opened.connect()
    for message in [*said, json.dumps({"watch": str(conversation.pk), "lang": "en"})]:
        await opened.send_input({"type": "websocket.receive", "text": message})

    assert await ending(opened) in {"answered", *CLOSED}
    await opened.disconnect()


@pytest.mark.django_db(transaction=True)
@tries
@given(data=st.data())
async def test_nothing_that_is_said_lets_a_stranger_see_a_conversation(conversation, carol, data):
    """S05."""
    session = await sync_to_async(session_of)(carol)
    said = data.draw(st.lists(sayings(conversation), max_size=5))
    opened = connecting(session, ORIGIN)
    await opened.connect()
    for message in [*said, json.dumps({"watch": str(conversation.pk)})]:
        await opened.send_input({"type": "websocket.receive", "text": message})

    assert await ending(opened) in CLOSED
    await opened.disconnect()


CLOSED = {live.CLOSE_GONE, live.CLOSE_TOO_SLOW}


async def ending(opened: WebsocketCommunicator) -> object:
    """``answered`` once the conversation was shown, or the code the socket was closed with."""
    while True:
        heard = await opened.receive_output(timeout=5)
        if heard["type"] == "websocket.close":
            return heard["code"]
        if "Drink" in heard["text"]:
            return "answered"
