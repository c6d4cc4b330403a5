"""Getting in and out."""

import io
import re
import time

import pytest
from allauth.core.internal import ratelimit
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client

from tests.conftest import PASSWORD

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
    bob.is_active = False
    bob.save()
    tries = [("alice", "wrong password"), ("alicf", "wrong password"), ("bob", PASSWORD)]
    pages = {plain(sign_in(Client(), name, password), name) for name, password in tries}

    assert len(pages) == 1
    assert "That name and password do not match." in pages.pop()


def test_the_pause_of_an_unknown_name_looks_like_that_of_a_known_one(alice):
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


def test_capitals_make_no_new_tries(client, alice):
    for name in ["alice", "Alice", "ALICE", "aLICE", "alicE"]:
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
    stranger = Client(REMOTE_ADDR="10.9.9.9")
    for _ in range(FIVE_TRIES + 1):
        sign_in(stranger, password="wrong password")
    sign_in(client)

    assert is_signed_in(client)


def test_one_address_cannot_try_many_names(client, alice):
    for number in range(50):
        sign_in(client, f"name{number}", "wrong password")
    answer = sign_in(client)

    assert answer.status_code == 429
    assert b"Too many tries." in answer.content


def test_another_address_may_go_on_meanwhile(client, alice):
    for number in range(51):
        sign_in(client, f"name{number}", "wrong password")

    assert sign_in(Client(REMOTE_ADDR="10.9.9.9")).status_code == 302


def test_an_invented_forwarded_address_does_not_help(client, alice):
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
    assert sign_in(client, next=wanted).headers["Location"] == "/"


def test_where_signing_in_leads_cannot_carry_another_header(client, alice):
    assert sign_in(client, next="/\r\nSet-Cookie: a=b").headers["Location"] == "/%0D%0ASet-Cookie:%20a=b"


def test_signing_in_leads_to_the_page_that_was_wanted(client, alice):
    wanted = client.get("/settings/").headers["Location"]
    page = client.get(wanted)

    assert sign_in(client, next=page.context["next"]).headers["Location"] == "/settings/"


def test_a_failure_does_not_forget_the_page_that_was_wanted(client, alice):
    page = sign_in(client, password="wrong password", next="/settings/")

    assert 'name="next" value="/settings/"' in page.content.decode()


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
    answer = client.post("/settings/password/", headers={"HX-Request": "true", "HX-Current-URL": seen_at})

    assert client.get(answer.headers["HX-Redirect"]).context["next"] == "/"


def test_who_is_signed_in_already_is_sent_on(client, alice):
    sign_in(client)

    assert client.get("/sign-in/").headers["Location"] == "/"


def test_signing_in_takes_a_new_session(client, alice):
    client.get("/sign-in/")
    client.cookies["session"] = "a" * 32
    sign_in(client)

    assert client.cookies["session"].value != "a" * 32


def test_signing_out_ends_the_session_for_good(client, alice):
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


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(client, alice):
    sign_in(client)
    cookie = client.cookies["session"]

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
