"""Limits: given by administrators to groups and people, by people to their tokens; and everybody's meter."""

import uuid

import pytest

from tests.pages import Page
from webui.accounts.models import LIMITS, AccessToken, AuditEntry, Group
from webui.inference.models import Usage

GIVEN = {"tokens_per_day": "200000", "at_once": "2", "per_minute": ""}
STORED = (200_000, 2, None)


def limits_of(row) -> tuple[int | None, ...]:
    return row.__class__.objects.values_list(*LIMITS).get(pk=row.pk)


def test_a_group_has_limits_which_are_shown_and_can_be_lifted(roots):
    roots.post("/groups/", {"name": "Legal", **GIVEN})
    group = Group.objects.get()
    given, table = limits_of(group), Page(roots.get("/groups/").content.decode()).text("main")
    form = roots.get(f"/groups/{group.pk}/").content.decode()
    roots.post(f"/groups/{group.pk}/", {"name": "Legal"})

    assert given == STORED
    assert "200,000 tokens a day" in table
    assert (
        'name="tokens_per_day" type="number" min="1" inputmode="numeric" placeholder="no limit" value="200000"' in form
    )
    assert limits_of(group) == (None, None, None)


def test_somebody_has_limits_of_their_own(roots, alice):
    """S58."""
    answer = roots.post(f"/people/{alice.pk}/limits/", GIVEN, headers={"HX-Request": "true"})
    entry = AuditEntry.objects.get()

    assert limits_of(alice) == STORED
    assert answer.headers["HX-Redirect"] == "/people/"
    assert "200,000 tokens a day" in Page(roots.get("/people/").content.decode()).text("main")
    assert 'value="200000"' in roots.get(f"/people/{alice.pk}/limits/").content.decode()
    assert (entry.action, entry.what, entry.after) == (
        "limits_changed",
        "alice",
        {"tokens_per_day": 200000, "at_once": 2},
    )


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "9" * 30])
@pytest.mark.parametrize("name", LIMITS)
def test_what_is_no_limit_is_said_and_changes_nothing(roots, alice, name, value):
    text = roots.post(f"/people/{alice.pk}/limits/", {name: value}).content.decode()

    assert 'role="alert"' in text
    assert limits_of(alice) == (None, None, None)


def test_a_token_has_limits_of_its_own(client, alice):
    client.force_login(alice)
    text = Page(client.post("/settings/tokens/", {"name": "script", "days": "", **GIVEN}).content.decode()).text("main")

    assert limits_of(AccessToken.objects.get()) == STORED
    assert "200,000 tokens a day" in text


def test_everybody_sees_how_much_of_their_limits_is_used(client, alice, bob):
    group = Group.objects.create(name="Sales", tokens_per_day=2000, per_minute=5)
    group.members.add(alice)
    Usage.objects.create(run=uuid.uuid4(), door="browser", user=alice, model="a", prompt_tokens=1000, output_tokens=200)
    shown = {}
    for person in (alice, bob):
        client.force_login(person)
        shown[person] = Page(client.get("/settings/usage/").content.decode()).text("main")

    assert "1,200 / 2,000" in shown[alice]
    assert "0 / 5" in shown[alice]
    assert "Your limits" not in shown[bob]
