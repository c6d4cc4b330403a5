"""One's own settings."""

import pytest
from django.test import Client

from tests.conftest import PASSWORD
from webui.accounts.models import User

PROFILE = {"display_name": "Alice A.", "language": "zh-hans", "theme": "dark", "send_key": "ctrl"}
NEW = "another horse battery"


@pytest.fixture
def alices(client, alice) -> Client:
    client.force_login(alice)
    return client


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
    before = User.objects.filter(pk=alice.pk).values("pk", "username", "is_admin", "is_active").get()
    alices.post("/settings/", PROFILE | extra)

    assert User.objects.filter(pk=alice.pk).values("pk", "username", "is_admin", "is_active").get() == before


def test_a_name_with_markup_stays_text(alices):
    alices.post("/settings/", PROFILE | {"display_name": "<b onclick=x>Alice"})

    assert "<b onclick" not in alices.get("/").content.decode()


def test_a_new_password_keeps_this_session_and_ends_the_others(alices, alice):
    elsewhere = Client()
    elsewhere.force_login(alice)
    change_password(alices)

    assert alices.get("/settings/").status_code == 200
    assert elsewhere.get("/settings/").status_code == 302


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
