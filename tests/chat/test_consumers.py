"""The socket of a page: who gets one, what it may ask, and when it ends."""

import asyncio
import json
import uuid
from contextlib import asynccontextmanager

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import ProgrammingError, connection, connections, transaction
from django.test import Client

from chat import consumers, hub, live, services
from chat.models import Conversation
from tests.rivals import in_a_thread
from webui.accounts import session_watch
from webui.accounts.sessions import end_all_sessions
from webui.asgi import application

ORIGIN = "https://tea.example"
FOREIGN_ORIGINS = [
    None,
    "null",
    "https://evil.example",
    "https://tea.example.evil.example",
    "https://eviltea.example",
    "http://tea.example",
    "https://tea.example:8443",
    "https://localhost",
    "http://127.0.0.1:8000",
    "",
]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def own_origin(settings):
    settings.ALLOWED_ORIGINS = [ORIGIN]
    hub.open_on(asyncio.get_running_loop())
    yield
    await sync_to_async(connections.close_all)()


def session_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
async def alices_session(alice) -> Client:
    return await sync_to_async(session_of)(alice)


def connecting(
    session: Client | None, origin: str | None = ORIGIN, *, host: str = "localhost", path: str = "/ws/"
) -> WebsocketCommunicator:
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    if session:
        cookie = f"{settings.SESSION_COOKIE_NAME}={session.cookies[settings.SESSION_COOKIE_NAME].value}"
        headers.append((b"cookie", cookie.encode()))
    return WebsocketCommunicator(application, path, headers=headers)


@asynccontextmanager
async def socket(session: Client):
    opened = connecting(session)
    assert (await opened.connect())[0]
    try:
        yield opened
    finally:
        await opened.disconnect()


async def watch(opened: WebsocketCommunicator, conversation: Conversation) -> None:
    await opened.send_to(text_data=json.dumps({"watch": str(conversation.pk), "lang": "en"}))


async def close_code(opened: WebsocketCommunicator) -> int:
    """What the socket is closed with; what it says before does not matter."""
    while (said := await opened.receive_output(timeout=5))["type"] != "websocket.close":
        pass
    return said["code"]


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
async def test_a_page_of_another_origin_gets_no_socket(alices_session, origin):
    """S20."""
    assert (await connecting(alices_session, origin).connect())[0] is False


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost@evil.example", ""])
async def test_a_socket_for_another_host_is_refused(alices_session, host):
    """S21."""
    assert (await connecting(alices_session, host=host).connect())[0] is False


@pytest.mark.parametrize("path", ["/", "/ws", "/ws/more/", "/WS/", "/sign-in/", "//ws/"])
async def test_there_is_no_socket_at_any_other_address(alices_session, path):
    """S01."""
    assert (await connecting(alices_session, path=path).connect())[0] is False


async def test_who_is_not_signed_in_gets_no_socket():
    """S01."""
    assert (await connecting(None).connect())[0] is False


@pytest.mark.parametrize("key", ["invented", "a" * 32, '"\\000' + "a" * 31 + '"', "a" * 5000])
async def test_an_invented_session_gets_no_socket(alices_session, key):
    """S01."""
    alices_session.cookies[settings.SESSION_COOKIE_NAME] = key

    assert (await connecting(alices_session).connect())[0] is False


async def test_a_page_is_told_the_list_and_the_thread_it_watches(alices_session, conversation):
    async with socket(alices_session) as opened:
        await watch(opened, conversation)
        parts = [json.loads(await opened.receive_from())["part"] for _ in range(2)]

    assert 'id="side-list"' in parts[0]
    assert "Drink <em>tea</em>." in parts[1]


@pytest.mark.parametrize("who", ["carol", "root"])
async def test_another_persons_conversation_closes_like_one_that_does_not_exist(carol, root, conversation, who):
    """S02, S05."""
    session = await sync_to_async(session_of)({"carol": carol, "root": root}[who])
    said = []
    for wanted in (conversation, Conversation(pk=uuid.uuid4())):
        async with socket(session) as opened:
            await watch(opened, wanted)
            said.append(await opened.receive_output(timeout=5))

    assert [each["code"] for each in said] == [live.CLOSE_GONE] * 2


async def test_a_stranger_is_not_told_how_an_answer_of_somebody_else_grows(carol, conversation, driver, act, question):
    """S05."""
    session = await sync_to_async(session_of)(carol)
    own = await Conversation.objects.acreate(owner=carol, title="Mine")
    async with socket(session) as opened:
        await watch(opened, own)
        for _ in range(2):
            await opened.receive_from()
        asked = await act(_ask, **question(model="fault-gate"))
        while not (answer := hub.answer_of(asked)) or not answer.text:
            await asyncio.sleep(0.01)
        await opened.send_to(text_data=json.dumps({"resync": str(asked)}))

        assert await opened.receive_nothing(timeout=0.3)


@asynccontextmanager
async def nobody_reads(table: str):
    """Whoever reads the table meanwhile waits."""
    with in_a_thread() as elsewhere:
        await asyncio.wrap_future(elsewhere.submit(_lock, table))
        try:
            yield
        finally:
            await asyncio.wrap_future(elsewhere.submit(_unlock))


def _lock(table: str) -> None:
    transaction.set_autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


def _unlock() -> None:
    transaction.rollback()
    transaction.set_autocommit(True)


async def test_a_stranger_is_told_nothing_while_it_is_looked_up_who_they_are(carol, conversation):
    """S05."""
    session = await sync_to_async(session_of)(carol)
    async with socket(session) as opened:
        async with nobody_reads("chat_conversation"):
            await watch(opened, conversation)
            told = []
            for _ in range(10):
                hub.tell(hub.conversation_topic(conversation.pk), {"en": '{"part":"secret"}'})
                told.append(await opened.receive_nothing(timeout=0.02))

        assert set(told) == {True}
        assert await close_code(opened) == live.CLOSE_GONE


def _ask(**facts) -> uuid.UUID:
    services.ask(**facts)
    return facts["conversation"].runs.latest("requested_at").pk


@pytest.mark.parametrize(
    "message",
    ["{", "[]", "7", '"watch"', "null", "[" * 5_000, "\ud83d".encode("utf-8", "replace").decode()],
)
async def test_what_no_page_of_ours_would_say_closes_the_socket(alices_session, message):
    async with socket(alices_session) as opened:
        await opened.send_to(text_data=message)

        assert await close_code(opened) == live.CLOSE_TOO_SLOW


@pytest.mark.parametrize(
    "message",
    [
        {"ack": "many"},
        {"ack": -5},
        {"ack": 10**30},
        {"ack": None},
        {"resync": 7},
        {"resync": str(uuid.UUID(int=7))},
        {"owner": 1, "group": "conversation.1"},
        {"watch": None, "lang": "xx", "list": ["a"], "seen": {}},
        {"watch": None, "lang": ["en"], "list": None, "seen": 7},
        {"watch": None, "lang": {"en": 1}},
    ],
)
async def test_odd_values_do_nothing(alices_session, conversation, message):
    async with socket(alices_session) as opened:
        await opened.send_to(text_data=json.dumps(message))
        await watch(opened, conversation)
        while "Drink" not in await opened.receive_from(timeout=5):
            pass


@pytest.mark.parametrize("wanted", ["7", 7, ["a"], {"a": 1}, "../x", str(uuid.UUID(int=7))])
async def test_a_conversation_that_cannot_exist_is_gone(alices_session, wanted):
    async with socket(alices_session) as opened:
        await opened.send_to(text_data=json.dumps({"watch": wanted}))
        said = await opened.receive_output(timeout=5)

    # What is no id at all is no wish either: such a page hears of its list alone.
    is_id = isinstance(wanted, str) and len(wanted) == 36
    assert (said.get("code") == live.CLOSE_GONE) is is_id


async def test_a_page_that_says_too_much_is_cut_off(alices_session):
    """S47."""
    async with socket(alices_session) as opened:
        for _ in range(3 * consumers.MESSAGES_PER_S):
            await opened.send_to(text_data='{"ack":0}')

        assert await close_code(opened) == live.CLOSE_TOO_SLOW


async def test_a_person_has_twenty_sockets_and_no_more(alices_session):
    """S47."""
    opened = [connecting(alices_session) for _ in range(consumers.SOCKETS_PER_PERSON)]
    for each in opened:
        await each.connect()
    async with socket(alices_session) as one_more:
        code = await close_code(one_more)
    for each in opened:
        await each.disconnect()

    assert code == live.CLOSE_TOO_SLOW


async def test_closed_sockets_do_not_count(alices_session):
    for _ in range(consumers.SOCKETS_PER_PERSON + 1):
        async with socket(alices_session) as opened:
            pass
    async with socket(alices_session) as opened:
        assert await opened.receive_nothing(timeout=0.05)


def sign_out(user, session: Client) -> None:
    session.post("/sign-out/")


def change_the_password(user, session: Client) -> None:
    user.set_password("another horse battery")
    user.save()


def deactivate(user, session: Client) -> None:
    user.is_active = False
    user.save()


def end_sessions(user, session: Client) -> None:
    end_all_sessions(user)


@pytest.mark.parametrize("happens", [sign_out, change_the_password, deactivate, end_sessions])
async def test_the_socket_ends_with_the_session(monkeypatch, alice, alices_session, conversation, happens):
    """S43."""
    monkeypatch.setattr(session_watch, "LOOK_S", 0.05)
    async with socket(alices_session) as opened:
        await watch(opened, conversation)
        for _ in range(2):
            await opened.receive_from()
        await sync_to_async(happens)(alice, alices_session)

        assert await close_code(opened) == live.CLOSE_SIGNED_OUT


def test_a_session_that_ended_is_noticed_within_five_seconds():
    """S43."""
    assert session_watch.LOOK_S < 5


async def test_a_page_is_told_nothing_of_other_peoples_lists(alice, bob, alices_session):
    """S05."""
    async with socket(alices_session) as opened:
        await opened.send_to(text_data=json.dumps({"watch": None, "lang": "en"}))
        await opened.receive_from()
        await sync_to_async(live.list_changed)(bob.pk)

        assert await opened.receive_nothing(timeout=0.1)


@asynccontextmanager
async def broken(table: str):
    """Whoever reads the table meanwhile fails."""
    await sync_to_async(_rename)(table, f"{table}_away")
    try:
        yield
    finally:
        await sync_to_async(_rename)(f"{table}_away", table)


def _rename(table: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {name}")


async def test_of_a_socket_that_breaks_nothing_is_left(alice, alices_session):
    """S47."""
    opened = connecting(alices_session)
    await opened.connect()
    async with broken("chat_conversation"):
        await opened.send_to(text_data='{"watch":null,"lang":"en"}')
        with pytest.raises(ProgrammingError):
            await opened.wait(timeout=5)

    assert consumers.PageConsumer._sockets == {}
    assert hub.languages(hub.person_topic(alice.pk)) == set()


async def test_who_asks_whether_they_are_heard_is_answered(alices_session):
    """F45."""
    async with socket(alices_session) as opened:
        await opened.send_to(text_data='{"there":true}')

        assert await opened.receive_from(timeout=5) == "{}"
