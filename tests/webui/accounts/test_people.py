"""Everybody's accounts, for administrators."""

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from tests.conftest import PASSWORD
from tests.rivals import in_a_thread, once_it_waits, until_waiting
from webui.accounts import services
from webui.accounts.models import User

NEW = {"name": "Dan", "username": "dan", "password": "correct horse battery"}


def do(client: Client, user: User, what: str):
    return client.post(f"/people/{user.pk}/", {"do": what})


def test_a_new_account_can_sign_in_with_the_password_shown(roots):
    page = roots.post("/people/", NEW).content.decode()

    assert NEW["password"] in page
    assert Client().post("/sign-in/", {"username": "dan", "password": NEW["password"]}).status_code == 302


def test_a_new_account_administers_nothing(roots):
    """S07."""
    roots.post("/people/", NEW | {"is_admin": "on", "do": "promote"})

    assert not User.objects.get(username="dan").is_admin


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "ROOT"}, "username"),
        ({"username": ""}, "username"),
        ({"username": "a b"}, "username"),
        ({"password": "short"}, "password"),
        ({"name": "a" * 99}, "name"),
    ],
)
def test_what_will_not_do_is_said_at_its_field_and_nothing_is_lost(roots, change, field):
    page = roots.post("/people/", NEW | change)

    assert page.context["form"].errors.keys() == {field}
    assert page.context["form"]["name"].value() == (NEW | change)["name"]
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"username": "ROOT"}, "Somebody has that sign-in name already."),
        ({"username": ""}, "Choose a sign-in name."),
        ({"password": "short"}, "at least 10 characters"),
        ({"password": "password123"}, "too common"),
    ],
)
def test_the_page_says_in_words_what_is_wrong_and_keeps_what_was_typed(roots, change, sentence):
    typed = NEW | {"name": "Dan & Co"} | change
    page = roots.post("/people/", typed).content.decode()

    assert sentence in page
    assert 'name="name" maxlength="80" value="Dan &amp; Co"' in page
    assert f'value="{typed["username"]}"' in page


@pytest.mark.django_db(transaction=True)
def test_of_two_forms_sent_at_once_one_makes_the_account_and_the_other_says_so(roots):
    with in_a_thread() as elsewhere, once_it_waits(elsewhere) as start:
        User.objects.create_user("dan", PASSWORD)
        page = start(lambda: roots.post("/people/", NEW))

    assert page.result().context["form"].errors.keys() == {"username"}
    assert User.objects.filter(username="dan").count() == 1


def test_a_deactivated_person_is_out_at_once(roots, alice):
    """S43."""
    alices = Client()
    alices.force_login(alice)
    do(roots, alice, "deactivate")

    assert alices.get("/settings/").status_code == 302
    assert Client().post("/sign-in/", {"username": "alice", "password": PASSWORD}).status_code == 200


def test_a_reactivated_person_can_sign_in_again(roots, alice):
    do(roots, alice, "deactivate")
    do(roots, alice, "reactivate")

    assert Client().post("/sign-in/", {"username": "alice", "password": PASSWORD}).status_code == 302


def test_a_session_of_before_stays_ended_when_a_person_is_reactivated(roots, alice):
    alices = Client()
    alices.force_login(alice)
    do(roots, alice, "deactivate")
    do(roots, alice, "reactivate")

    assert alices.get("/settings/").status_code == 302


@pytest.mark.parametrize("what", ["deactivate", "password"])
def test_of_an_ended_session_no_row_is_left(roots, alice, what):
    """S43."""
    Client().force_login(alice)
    before = Session.objects.count()
    do(roots, alice, what)

    assert Session.objects.count() == before - 1


def test_a_reset_password_is_shown_once_and_ends_every_session(roots, alice):
    """S43."""
    alices = Client()
    alices.force_login(alice)
    page = do(roots, alice, "password")
    password = page.context["password"]

    assert password in page.content.decode()
    assert alices.get("/settings/").status_code == 302
    assert Client().post("/sign-in/", {"username": "alice", "password": password}).status_code == 302
    assert password not in roots.get("/people/").content.decode()


def test_an_administrator_can_be_made_and_unmade(roots, alice):
    do(roots, alice, "promote")
    promoted = User.objects.get(pk=alice.pk).is_admin
    do(roots, alice, "demote")

    assert promoted
    assert not User.objects.get(pk=alice.pk).is_admin


def test_a_demoted_administrator_loses_the_pages_at_once(roots, alice):
    """S43."""
    do(roots, alice, "promote")
    alices = Client()
    alices.force_login(alice)
    allowed = alices.get("/people/").status_code
    do(roots, alice, "demote")

    assert (allowed, alices.get("/people/").status_code) == (200, 404)


@pytest.mark.parametrize("what", ["deactivate", "demote"])
def test_somebody_must_remain_who_administers(roots, root, what):
    page = do(roots, root, what)
    root.refresh_from_db()

    assert (root.is_active, root.is_admin) == (True, True)
    assert "Somebody must remain" in page.content.decode()


def test_an_administrator_who_was_deactivated_is_not_the_one_who_remains(roots, root, alice):
    do(roots, alice, "promote")
    do(roots, alice, "deactivate")
    do(roots, root, "demote")
    root.refresh_from_db()

    assert root.is_admin


def test_an_administrator_may_go_when_another_remains(roots, root, alice):
    do(roots, alice, "promote")
    do(roots, root, "deactivate")

    assert roots.get("/people/").status_code == 302
    assert not User.objects.get(pk=root.pk).is_active


# The order in which each would wait for the other, if the rows were not taken in the same order by both.
@pytest.mark.django_db(transaction=True)
def test_of_two_administrators_who_demote_each_other_at_once_one_remains(root, alice):
    services.set_administrator(user=alice, is_admin=True, by=root)
    alice.refresh_from_db()
    with in_a_thread() as elsewhere, once_it_waits(elsewhere) as start:
        list(User.objects.select_for_update().filter(pk=root.pk))
        roots_end = start(lambda: services.set_administrator(user=root, is_admin=False, by=alice))
        until_waiting(roots_end)
        services.set_administrator(user=alice, is_admin=False, by=root)

    assert isinstance(roots_end.exception(), services.LastAdministrator)
    assert list(User.objects.filter(is_admin=True)) == [root]


@pytest.mark.parametrize("what", ["", "delete", "DEACTIVATE"])
def test_what_cannot_be_done_is_not_found(roots, alice, what):
    assert do(roots, alice, what).status_code == 404


def test_a_name_with_markup_stays_text(roots):
    User.objects.create_user("eve", PASSWORD, display_name="<img src=x onerror=alert(1)>")

    assert "<img src=x" not in roots.get("/people/").content.decode()
