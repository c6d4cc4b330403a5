"""Getting in and out."""

import io
import re
import time
from typing import ClassVar

import pytest
from allauth.core.internal import ratelimit
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.test import Client

from tests.conftest import PASSWORD
from webui.accounts.sessions import SessionStore

FIVE_TRIES = 5
PAUSE_S = 15 * 60


@pytest.fixture(autouse=True)
def forget_tries(db):
    cache.clear()
    yield
    cache.clear()


def sign_in(client: Client, username="alice", password=PASSWORD, **more):
    return client.post("/sign-in/", {"username": username, "password": password, **more})


def plain(answer, username: str) -> str:
    """The page without the name that was typed, and without the token that differs each time."""
    return re.sub(r"[a-zA-Z0-9]{64}", "", answer.content.decode()).replace(username, "")


def is_signed_in(client: Client) -> bool:
    return client.get("/settings/").status_code == 200


def test_a_name_and_its_password_open_the_first_page(client, alice):
    answer = sign_in(client)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert is_signed_in(client)


@pytest.mark.parametrize("username", ["ALICE", " alice "])
def test_capitals_and_blanks_round_the_name_do_not_matter(client, alice, username):
    sign_in(client, username)

    assert is_signed_in(client)


def test_a_wrong_password_and_an_unknown_name_look_the_same(alice):
    wrong = sign_in(Client(), "alice", "wrong password")
    unknown = sign_in(Client(), "alicf", "wrong password")

    assert wrong.status_code == unknown.status_code == 200
    assert wrong.context["tries_left"] == unknown.context["tries_left"]
    assert "failed" in wrong.context
    assert "failed" in unknown.context


def test_a_wrong_password_an_unknown_name_and_a_deactivated_person_get_the_same_page(alice, bob):
    """S40."""
    bob.is_active = False
    bob.save()
    tries = [("alice", "wrong password"), ("alicf", "wrong password"), ("bob", PASSWORD)]
    pages = {plain(sign_in(Client(), name, password), name) for name, password in tries}

    assert len(pages) == 1
    assert "That name and password do not match." in pages.pop()


def test_the_pause_of_an_unknown_name_looks_like_that_of_a_known_one(alice):
    """S40."""
    for name in ["alice", "alicf"]:
        for _ in range(FIVE_TRIES):
            sign_in(Client(), name, "wrong password")

    assert plain(sign_in(Client(), "alice"), "alice") == plain(sign_in(Client(), "alicf"), "alicf")


def test_after_a_failure_the_name_is_still_there_and_the_password_is_not(client, alice):
    page = sign_in(client, "alice", "wrong password").content.decode()

    assert 'value="alice"' in page
    assert "wrong password" not in page


def test_a_deactivated_person_does_not_get_in(client, alice):
    alice.is_active = False
    alice.save()
    sign_in(client)

    assert not is_signed_in(client)


def test_an_empty_form_is_answered_with_the_form(client, alice):
    assert client.post("/sign-in/", {}).status_code == 200


@pytest.mark.parametrize("username", ["a\x00b", "茶" * 500, "' or 1=1 --"])
def test_an_odd_name_is_only_wrong(client, alice, username):
    assert sign_in(client, username).status_code == 200


def test_the_sixth_try_has_to_wait_even_with_the_right_password(client, alice):
    """S39."""
    for _ in range(FIVE_TRIES):
        sign_in(client, password="wrong password")
    answer = sign_in(client)

    assert answer.status_code == 429
    assert not is_signed_in(client)


def test_the_pause_is_said_in_words_and_keeps_the_name(client, alice):
    for _ in range(FIVE_TRIES):
        sign_in(client, password="wrong password")
    page = sign_in(client).content.decode()

    assert "Too many tries." in page
    assert "Wait 15 minutes" in page
    assert 'value="alice"' in page


def test_another_spelling_makes_no_new_tries(client, alice):
    """S39."""
    for name in ["alice", "Alice", "ALICE", "aLICE", "al\N{LATIN SMALL LETTER DOTLESS I}ce"]:
        sign_in(client, name, "wrong password")

    assert sign_in(client).status_code == 429


def test_signing_in_often_is_no_reason_to_pause(client, alice):
    answers = [sign_in(Client()).status_code for _ in range(FIVE_TRIES + 1)]

    assert set(answers) == {302}


def test_an_empty_form_counts_as_no_try(client, alice):
    for _ in range(FIVE_TRIES + 1):
        sign_in(client, password="")

    assert sign_in(client).status_code == 302


def test_the_page_says_how_many_tries_are_left(client, alice):
    left = [sign_in(client, password="wrong password").context["tries_left"] for _ in range(3)]

    assert left == [4, 3, 2]


def test_after_the_pause_one_can_sign_in_again(client, alice, monkeypatch):
    for _ in range(FIVE_TRIES + 1):
        sign_in(client, password="wrong password")
    later = time.time() + PAUSE_S + 1
    monkeypatch.setattr(ratelimit.time, "time", lambda: later)
    sign_in(client)

    assert is_signed_in(client)


def test_a_stranger_elsewhere_cannot_lock_a_person_out(client, alice):
    """S39."""
    stranger = Client(REMOTE_ADDR="10.9.9.9")
    for _ in range(FIVE_TRIES + 1):
        sign_in(stranger, password="wrong password")
    sign_in(client)

    assert is_signed_in(client)


def test_one_address_cannot_try_many_names(client, alice):
    """S39."""
    for number in range(50):
        sign_in(client, f"name{number}", "wrong password")
    answer = sign_in(client)

    assert answer.status_code == 429
    assert b"Too many tries." in answer.content


def test_addresses_of_one_network_count_together(alice):
    """S39. Whoever has a network of the new kind has more addresses than anybody could try."""
    for number in range(50):
        sign_in(Client(REMOTE_ADDR=f"fd00::{number + 1:x}"), f"name{number}", "wrong password")

    assert sign_in(Client(REMOTE_ADDR="fd00::ffff")).status_code == 429


def test_tries_are_kept_where_every_process_finds_them_again(client, alice):
    """S39. In the database: a new start forgives nothing."""
    sign_in(client, password="wrong password")

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM cache")
        assert cursor.fetchone() > (0,)


def test_many_tries_of_others_do_not_make_the_portal_forget(client, alice):
    """S39."""
    for _ in range(FIVE_TRIES):
        sign_in(client, password="wrong password")
    for number in range(1000):
        cache.set(f"later-in-the-alphabet-{number}", [time.time()], PAUSE_S)

    assert sign_in(client).status_code == 429


def test_failures_are_logged_with_their_address_and_nothing_that_was_typed(client, alice, caplog):
    """S39, S57."""
    for _ in range(FIVE_TRIES + 1):
        sign_in(client, password="secret of mine")

    assert caplog.messages.count("sign-in failed from 127.0.0.1") == FIVE_TRIES
    assert "sign-in paused for 127.0.0.1" in caplog.messages
    assert "secret of mine" not in caplog.text
    assert "alice" not in caplog.text


class CountingHasher(MD5PasswordHasher):
    """Slow work is what tells names apart by the clock; here it is counted."""

    algorithm = "counting"
    work: ClassVar[list[str]] = []

    def encode(self, password: str, salt: str) -> str:
        self.work.append(password)
        return super().encode(password, salt)


def test_a_name_that_is_known_costs_as_much_work_as_one_that_is_not(alice, bob, settings):
    """S40. The clock tells nothing that the page does not tell."""
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    for person in (alice, bob):
        person.set_password(PASSWORD)
        person.is_active = person is alice
        person.save()

    def work(name: str, password: str) -> list[str]:
        CountingHasher.work.clear()
        sign_in(Client(), name, password)
        return list(CountingHasher.work)

    wrong = work("alice", "wrong password")
    assert wrong == ["wrong password"]
    assert work("nobody", "wrong password") == wrong
    assert work("bob", "wrong password") == wrong
    assert work("bob", PASSWORD) == [PASSWORD]


def test_another_address_may_go_on_meanwhile(client, alice):
    for number in range(51):
        sign_in(client, f"name{number}", "wrong password")

    assert sign_in(Client(REMOTE_ADDR="10.9.9.9")).status_code == 302


def test_an_invented_forwarded_address_does_not_help(client, alice):
    """S39, S53."""
    for number in range(FIVE_TRIES):
        client.post(
            "/sign-in/",
            {"username": "alice", "password": "wrong password"},
            headers={"X-Forwarded-For": f"10.1.1.{number}"},
        )

    assert sign_in(client).status_code == 429


def test_behind_a_trusted_proxy_each_address_counts_for_itself(client, alice, settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    for _ in range(FIVE_TRIES):
        client.post(
            "/sign-in/",
            {"username": "alice", "password": "wrong password"},
            headers={"X-Forwarded-For": "10.1.1.1"},
        )

    assert sign_in(client).status_code == 302


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "///evil.example",
        "\\\\evil.example",
        "http:evil.example",
        " //evil.example",
        "settings/",
    ],
)
def test_signing_in_never_leads_elsewhere(client, alice, wanted):
    """S23."""
    assert sign_in(client, next=wanted).headers["Location"] == "/"


def test_where_signing_in_leads_cannot_carry_another_header(client, alice):
    """S23, S53."""
    assert sign_in(client, next="/\r\nSet-Cookie: a=b").headers["Location"] == "/%0D%0ASet-Cookie:%20a=b"


def test_signing_in_leads_to_the_page_that_was_wanted(client, alice):
    wanted = client.get("/settings/").headers["Location"]
    page = client.get(wanted)

    assert sign_in(client, next=page.context["next"]).headers["Location"] == "/settings/"


def test_a_failure_does_not_forget_the_page_that_was_wanted(client, alice):
    page = sign_in(client, password="wrong password", next="/settings/")

    assert 'name="next" value="/settings/"' in page.content.decode()


@pytest.mark.parametrize("way", ["next", "referer"])
@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_changing_the_language_never_leads_elsewhere(client, root, wanted, way):
    """S23."""
    fields, headers = ({"next": wanted}, {}) if way == "next" else ({}, {"Referer": wanted})

    assert client.post("/language/", {"language": "en", **fields}, headers=headers).headers["Location"] == "/"


SEEN_AT = "http://testserver/settings/?tab=a"


# What the session ended under: going to a part shows a fragment, going to where a form is sent shows an error.
@pytest.mark.parametrize(
    ("verb", "path", "headers"),
    [
        ("get", "/shortcuts/", {"HX-Request": "true", "HX-Current-URL": SEEN_AT}),
        ("post", "/draft/", {"HX-Request": "true", "HX-Current-URL": SEEN_AT}),
        ("post", "/settings/password/", {"Referer": SEEN_AT}),
    ],
)
def test_signing_in_again_leads_back_to_the_page_one_was_on(client, alice, verb, path, headers):
    answer = getattr(client, verb)(path, headers=headers)
    door = answer.headers.get("HX-Redirect") or answer.headers["Location"]

    assert client.get(door).context["next"] == "/settings/?tab=a"


@pytest.mark.parametrize(
    "seen_at", ["", "http://evil.example/settings/", "http://testserver//evil.example", "http://[", "nonsense"]
)
def test_signing_in_again_never_leads_elsewhere(client, alice, seen_at):
    """S23."""
    answer = client.post("/settings/password/", headers={"HX-Request": "true", "HX-Current-URL": seen_at})

    assert client.get(answer.headers["HX-Redirect"]).context["next"] == "/"


def test_who_is_signed_in_already_is_sent_on(client, alice):
    sign_in(client)

    assert client.get("/sign-in/").headers["Location"] == "/"


def test_signing_in_takes_a_new_session(client, alice):
    """S42. Whoever put the old one into the browser has nothing of it."""
    prepared = SessionStore()
    prepared.create()
    client.cookies["session"] = prepared.session_key
    sign_in(client)
    attacker = Client()
    attacker.cookies["session"] = prepared.session_key

    assert is_signed_in(client)
    assert client.cookies["session"].value != prepared.session_key
    assert not is_signed_in(attacker)


def test_signing_in_does_not_take_a_session_that_was_made_up(client, alice):
    """S42."""
    client.cookies["session"] = "a" * 32
    sign_in(client)

    assert client.cookies["session"].value != "a" * 32


def test_signing_out_ends_the_session_for_good(client, alice):
    """S42, S43."""
    sign_in(client)
    stolen = client.cookies["session"].value
    answer = client.post("/sign-out/")
    client.cookies["session"] = stolen

    assert answer.headers["Location"] == "/sign-in/"
    assert not is_signed_in(client)
    assert not Session.objects.filter(session_key=stolen).exists()


def test_signing_out_here_leaves_the_other_devices_signed_in(client, alice):
    elsewhere = Client()
    for each in (client, elsewhere):
        sign_in(each)
    client.post("/sign-out/")

    assert is_signed_in(elsewhere)


def test_signing_out_twice_is_no_error(client, alice):
    client.post("/sign-out/")

    assert client.post("/sign-out/").headers["Location"] == "/sign-in/"


def test_the_next_person_at_this_browser_finds_nothing_of_the_last_one(client, alice, bob):
    sign_in(client)
    session = client.session
    session["secret"] = "of alice"
    session.save()
    client.post("/sign-out/")
    sign_in(client, "bob")

    assert client.session.get("secret") is None


@pytest.mark.parametrize("name", ["session", "csrf", "language"])
def test_cookies_are_out_of_reach_of_scripts_and_other_sites(client, alice, name):
    """S44. Behind https they have another name and one more flag: tests/webui/test_http.py."""
    client.get("/sign-in/")
    client.post("/language/", {"language": "en", "next": "/sign-in/"})
    sign_in(client)
    cookie = client.cookies[name]

    assert (cookie["httponly"], cookie["samesite"], cookie["domain"], cookie["path"]) == (True, "Lax", "", "/")


def test_the_door_speaks_the_language_of_the_browser(client, alice):
    page = client.get("/sign-in/", headers={"Accept-Language": "zh-CN,zh;q=0.9"})

    assert page.headers["Content-Language"] == "zh-hans"
    assert "登录" in page.content.decode()


def test_the_language_can_be_changed_at_the_door(client, alice):
    client.post("/language/", {"language": "zh-hans", "next": "/sign-in/"})

    assert client.get("/sign-in/").headers["Content-Language"] == "zh-hans"


class Unreadable(io.BytesIO):
    """A body that breaks the test when it is read."""

    def read(self, *_: object) -> bytes:
        raise AssertionError("was read")


@pytest.mark.parametrize("path", ["/sign-in/", "/language/", "/c/", "/nowhere/"])
@pytest.mark.parametrize("told", [{"CONTENT_LENGTH": "65537"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_what_is_long_is_not_read_of_somebody_who_is_not_signed_in(client, root, path, told):
    """S48. To take a large form apart costs more than to send it."""
    kind = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
    answer = client.post(path, HTTP_HX_REQUEST="true", **kind, **told, **{"wsgi.input": Unreadable()})

    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"].startswith("/sign-in/")
