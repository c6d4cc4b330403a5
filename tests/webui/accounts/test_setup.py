"""The first administrator."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache
from django.test import Client

from tests.rivals import in_a_thread, once_it_waits
from webui.accounts import setup
from webui.accounts.models import User

FORM = {"name": "Mara", "username": "mara", "password": "correct horse battery"}


@pytest.fixture(autouse=True)
def fresh(db, settings, tmp_path, monkeypatch):
    """A portal nobody has set up."""
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(setup, "_done", False)
    cache.clear()
    yield
    cache.clear()


def send(client: Client, **changes):
    return client.post("/setup/", {**FORM, "code": setup.code(), **changes})


@pytest.mark.parametrize("path", ["/", "/sign-in/", "/settings/", "/people/", "/models/", "/nowhere/", "/setup/host/"])
def test_every_page_leads_to_the_set_up(client, path):
    assert client.get(path).headers["Location"] == "/setup/"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_machines_get_their_answers_before_the_set_up(client, path):
    assert client.get(path).status_code == 200


def test_the_code_makes_an_administrator_who_is_signed_in(client):
    """S41."""
    answer = send(client)

    assert answer.headers["Location"] == "/setup/host/"
    assert User.objects.get(username="mara").is_admin
    assert client.get("/people/").status_code == 200


def test_the_administrator_keeps_the_language_of_the_set_up_page(client):
    client.post("/setup/", FORM | {"code": setup.code()}, headers={"Accept-Language": "zh-CN"})

    assert User.objects.get().language == "zh-hans"


@pytest.mark.parametrize("change", [str.lower, lambda code: code.replace("-", ""), lambda code: f" {code} "])
def test_the_code_may_be_written_carelessly(client, change):
    assert send(client, code=change(setup.code())).status_code == 302


@pytest.mark.parametrize("code", ["", "AAAA-AAAA", "\x00"])
def test_a_wrong_code_makes_nobody_and_loses_nothing(client, code):
    """S41."""
    page = send(client, code=code)

    assert page.status_code == 200
    assert not User.objects.exists()
    assert 'value="mara"' in page.content.decode()
    assert page.context["form"].errors["code"]


def test_a_wrong_code_is_named_as_such_and_the_right_one_is_not_told(client):
    page = send(client, code="AAAA-AAAA").content.decode()

    assert "That is not the code in the server log." in page
    assert setup.code() not in page


def test_a_refused_form_does_not_send_the_password_back(client):
    assert FORM["password"] not in send(client, code="AAAA-AAAA").content.decode()


@pytest.mark.parametrize(
    ("field", "value"), [("password", "short"), ("password", "password123"), ("username", ""), ("username", "a b")]
)
def test_what_will_not_do_is_said_at_its_field(client, field, value):
    """S41."""
    page = send(client, **{field: value})

    assert page.context["form"].errors.keys() == {field}
    assert not User.objects.exists()


def test_the_code_cannot_be_guessed_at_for_long(client):
    """S39, S41."""
    for _ in range(5):
        send(client, code="AAAA-AAAA")

    assert send(client).status_code == 200
    assert not User.objects.exists()


# Otherwise one could go on guessing through the pause, and use the code after it.
def test_during_the_pause_the_right_code_and_a_wrong_one_look_the_same(client):
    """S40, S41."""
    for _ in range(5):
        send(client, code="AAAA-AAAA")
    right, wrong = send(client), send(client, code="AAAA-AAAA")

    assert plain(right, setup.code()) == plain(wrong, "AAAA-AAAA")
    assert "Too many tries" in right.content.decode()


def test_with_the_right_code_a_person_may_look_for_a_good_password_for_long(client):
    for _ in range(6):
        send(client, password="short")

    assert send(client).status_code == 302


def test_the_code_is_kept_from_other_accounts_of_the_machine(tmp_path):
    setup.code()

    assert (tmp_path / "setup_code").stat().st_mode & 0o777 == 0o600


def test_the_code_stays_the_same_until_it_is_used():
    assert setup.code() == setup.code()


# Where SECRET_KEY and DATABASE_URL are given, nothing else has made the directory.
def test_the_code_makes_the_directory_it_is_kept_in(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "not" / "yet"

    assert setup.code() == setup.code()


def test_processes_that_start_at_once_agree_on_the_code():
    with ThreadPoolExecutor(8) as pool:
        said = {found.result() for found in [pool.submit(setup.code) for _ in range(32)]}

    assert len(said) == 1


def test_a_code_that_was_never_written_to_its_end_lets_nobody_in(client, tmp_path):
    (tmp_path / "setup_code").touch()

    assert send(client, code="-").status_code == 200
    assert not User.objects.exists()


def test_the_code_works_once(client, django_capture_on_commit_callbacks, tmp_path):
    with django_capture_on_commit_callbacks(execute=True):
        send(client)

    assert not (tmp_path / "setup_code").exists()
    assert Client().get("/setup/").status_code == 404


def test_the_environment_can_name_the_administrator(settings):
    settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD = "ops", "correct horse battery"
    setup.from_environment()

    assert User.objects.get().is_admin
    assert setup.announcement() is None


def test_the_environment_changes_nothing_once_somebody_administers(settings):
    User.objects.create_user("mara", "correct horse battery", is_admin=True)
    settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD = "ops", "another horse battery"
    setup.from_environment()

    assert User.objects.get().username == "mara"


@pytest.mark.parametrize("given", [("ops", ""), ("", "correct horse battery"), ("", "")])
def test_half_an_administrator_in_the_environment_is_none(settings, given):
    settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD = given
    setup.from_environment()

    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("username", ["mara", "another"])
def test_of_two_forms_sent_at_once_one_makes_the_administrator(username, monkeypatch):
    code = setup.code()
    with in_a_thread() as elsewhere, once_it_waits(elsewhere) as start:
        setup.create_administrator(username="mara", password=FORM["password"])
        monkeypatch.setattr(setup, "_done", False)
        answer = start(lambda: Client().post("/setup/", {**FORM, "username": username, "code": code}))

    assert answer.result().headers["Location"] == "/sign-in/"
    assert User.objects.get().username == "mara"


@pytest.mark.django_db(transaction=True)
def test_of_two_processes_that_start_at_once_one_makes_the_administrator(settings):
    settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD = "ops", "correct horse battery"
    with in_a_thread() as elsewhere, once_it_waits(elsewhere) as start:
        setup.from_environment()
        ended = start(setup.from_environment)

    assert ended.exception() is None
    assert User.objects.get().username == "ops"


def test_the_console_says_where_and_with_which_code():
    assert setup.code() in setup.announcement()
    assert "/setup/" in setup.announcement()


def test_the_console_says_nothing_once_somebody_administers():
    User.objects.create_user("mara", "correct horse battery", is_admin=True)

    assert setup.announcement() is None


def plain(answer, typed: str) -> str:
    """The page without what was typed, and without the token that differs each time."""
    return re.sub(r"[a-zA-Z0-9]{64}", "", answer.content.decode()).replace(typed, "")


@pytest.mark.parametrize(("password", "warned"), [("admin", True), ("password123", True), ("correct horse", False)])
def test_a_weak_password_of_the_environment_is_warned_of(settings, caplog, password, warned):
    """S41."""
    settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD = "ops", password
    setup.from_environment()

    assert ("ADMIN_PASSWORD is weaker" in caplog.text) is warned
    assert password not in caplog.text


def test_there_is_no_account_before_the_set_up():
    """S41."""
    assert not User.objects.exists()


def test_the_code_is_for_the_eyes_of_the_portal_alone(settings):
    """S41, S56."""
    setup.code()

    assert (settings.DATA_DIR / "setup_code").stat().st_mode & 0o777 == 0o600
