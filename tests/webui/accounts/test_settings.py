"""One's own settings."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from tests.conftest import PASSWORD
from webui.accounts.models import User

PROFILE = {"display_name": "Alice A.", "language": "zh-hans", "theme": "dark", "send_key": "ctrl"}
NEW = "another horse battery"


def change_password(client: Client, current=PASSWORD, new=NEW):
    return client.post("/settings/password/", {"current": current, "new": new})


def test_a_profile_is_kept(alices, alice):
    alices.post("/settings/", PROFILE)
    alice.refresh_from_db()

    assert {name: getattr(alice, name) for name in PROFILE} == PROFILE


def test_the_pages_follow_the_profile(alices):
    alices.post("/settings/", PROFILE)
    page = alices.get("/")

    assert page.headers["Content-Language"] == "zh-hans"
    assert 'lang="zh-Hans"' in page.content.decode()
    assert 'data-theme="dark"' in page.content.decode()


@pytest.mark.parametrize(("chosen", "mark"), [("ctrl", ' data-send-with="ctrl"'), ("enter", "")])
def test_the_key_that_sends_is_told_to_every_page(alices, chosen, mark):
    alices.post("/settings/", PROFILE | {"send_key": chosen, "theme": ""})

    assert f'<html lang="zh-Hans"{mark}>' in alices.get("/").content.decode()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_is_told_to_every_page(alices, theme):
    alices.post("/settings/", PROFILE | {"theme": theme, "send_key": "enter"})

    assert f'<html lang="zh-Hans" data-theme="{theme}">' in alices.get("/").content.decode()


def test_without_a_language_of_ones_own_it_is_that_of_the_browser(alices, alice):
    alices.post("/settings/", PROFILE)
    alices.post("/settings/", PROFILE | {"language": ""})

    assert alices.get("/", headers={"Accept-Language": "en"}).headers["Content-Language"] == "en"


def test_the_settings_page_shows_what_is_chosen(alices):
    alices.post("/settings/", PROFILE)
    page = alices.get("/settings/").content.decode()

    assert 'value="zh-hans" lang="zh-Hans" selected' in page
    assert 'name="theme" value="dark" checked' in page
    assert 'value="ctrl" selected' in page


def test_other_people_keep_their_own_settings(alices, bob):
    alices.post("/settings/", PROFILE)
    bob.refresh_from_db()

    assert (bob.language, bob.theme, bob.send_key) == ("", "", "enter")


def test_a_name_of_blanks_is_none(alices, alice):
    alices.post("/settings/", PROFILE | {"display_name": "   "})
    alice.refresh_from_db()

    assert alice.name == "alice"


def test_a_refused_profile_is_not_lost(alices):
    page = alices.post("/settings/", PROFILE | {"display_name": "a" * 99, "send_key": "ctrl"}).content.decode()

    assert f'value="{"a" * 99}"' in page
    assert 'value="ctrl" selected' in page


def test_the_language_of_the_profile_wins_over_the_browser(alices, alice):
    alice.language = "zh-hans"
    alice.save()

    assert alices.get("/", headers={"Accept-Language": "en"}).headers["Content-Language"] == "zh-hans"


@pytest.mark.parametrize(
    "change", [{"language": "xx"}, {"theme": "pink"}, {"send_key": "x"}, {"display_name": "a" * 99}]
)
def test_what_does_not_exist_cannot_be_chosen(alices, alice, change):
    page = alices.post("/settings/", PROFILE | change)
    alice.refresh_from_db()

    assert page.status_code == 200
    assert alice.language == ""


@pytest.mark.parametrize("extra", [{"is_admin": "on"}, {"username": "root2"}, {"is_active": ""}, {"id": "1"}])
def test_nothing_else_can_be_changed_with_it(alices, alice, extra):
    """S07."""
    before = User.objects.filter(pk=alice.pk).values("pk", "username", "is_admin", "is_active").get()
    alices.post("/settings/", PROFILE | extra)

    assert User.objects.filter(pk=alice.pk).values("pk", "username", "is_admin", "is_active").get() == before


def test_a_name_with_markup_stays_text(alices):
    alices.post("/settings/", PROFILE | {"display_name": "<b onclick=x>Alice"})

    assert "<b onclick" not in alices.get("/").content.decode()


def test_a_new_password_keeps_this_session_and_ends_the_others(alices, alice):
    """S43."""
    elsewhere = Client()
    elsewhere.force_login(alice)
    change_password(alices)

    assert alices.get("/settings/").status_code == 200
    assert elsewhere.get("/settings/").status_code == 302


def test_with_a_new_password_this_session_takes_a_new_key(alices):
    """S42."""
    before = alices.cookies["session"].value
    change_password(alices)
    stolen = Client()
    stolen.cookies["session"] = before

    assert stolen.get("/settings/").status_code == 302


def test_with_a_new_password_no_row_is_left_of_the_other_sessions(alices, alice):
    for _ in range(2):
        Client().force_login(alice)
    change_password(alices)

    assert [row.session_key for row in Session.objects.all()] == [alices.cookies["session"].value]


def test_a_new_password_ends_nobody_elses_session(alices, bob):
    bobs = Client()
    bobs.force_login(bob)
    change_password(alices)

    assert bobs.get("/settings/").status_code == 200


def test_a_new_password_replaces_the_old_one(alices, alice):
    change_password(alices)
    alice.refresh_from_db()

    assert alice.check_password(NEW)


@pytest.mark.parametrize(
    ("current", "new", "field"), [("wrong", NEW, "current"), (PASSWORD, "short", "new"), (PASSWORD, "", "new")]
)
def test_a_password_that_will_not_do_changes_nothing(alices, alice, current, new, field):
    page = change_password(alices, current, new)
    alice.refresh_from_db()

    assert page.context["password_form"].errors.keys() == {field}
    assert alice.check_password(PASSWORD)


@pytest.mark.parametrize(
    ("current", "new", "sentence"),
    [("wrong", NEW, "That is not your password."), (PASSWORD, "short", "at least 10 characters")],
)
def test_the_page_says_in_words_why_a_password_will_not_do(alices, current, new, sentence):
    assert sentence in change_password(alices, current, new).content.decode()


def test_a_refused_password_is_not_sent_back(alices):
    page = change_password(alices, "wrong-but-secret", NEW).content.decode()

    assert "wrong-but-secret" not in page
    assert NEW not in page


def test_a_password_that_will_not_do_ends_no_session(alices, alice):
    elsewhere = Client()
    elsewhere.force_login(alice)
    change_password(alices, current="wrong")

    assert elsewhere.get("/settings/").status_code == 200


@pytest.mark.parametrize(
    "password", ["茶馆里的十个汉字或者更多", "a" * 1000, "  blanks at both ends  ", "emoji 🍵🍵🍵🍵🍵"]
)
def test_a_password_may_be_of_any_letters_and_long(alices, alice, password):
    """S41."""
    change_password(alices, new=password)

    assert Client().post("/sign-in/", {"username": "alice", "password": password}).status_code == 302
