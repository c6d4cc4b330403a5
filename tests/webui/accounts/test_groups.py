"""Groups: named, filled and deleted by administrators."""

import pytest

from webui.accounts.models import Group


@pytest.fixture
def research(alice) -> Group:
    group = Group.objects.create(name="Research")
    group.members.add(alice)
    return group


def test_a_group_is_created_and_shown_with_how_many_are_in_it(roots, research):
    roots.post("/groups/", {"name": " Legal ", "about": "Contracts"})
    page = roots.get("/groups/").content.decode()

    assert Group.objects.filter(name="Legal", about="Contracts").exists()
    assert page.index("Legal") < page.index("Research")
    assert '<td class="num" data-label="People">1</td>' in page


@pytest.mark.parametrize("name", ["", "  ", "RESEARCH", "x" * 81])
def test_a_group_needs_a_name_of_its_own(roots, research, name):
    page = roots.post("/groups/", {"name": name}).content.decode()

    assert 'role="alert"' in page
    assert Group.objects.count() == 1


def test_the_people_that_are_marked_are_the_people_of_a_group(roots, research, alice, bob):
    roots.post(f"/groups/{research.pk}/", {"name": "Research", "members": [bob.pk]})

    assert list(research.members.all()) == [bob]


def test_who_stays_keeps_the_role(roots, research, alice, bob):
    research.memberships.update(role="manager")
    roots.post(f"/groups/{research.pk}/", {"name": "Research", "members": [alice.pk, bob.pk]})

    assert dict(research.memberships.values_list("user__username", "role")) == {"alice": "manager", "bob": "member"}


def test_a_name_that_another_has_changes_nothing(roots, research, bob):
    other = Group.objects.create(name="Legal")
    roots.post(f"/groups/{other.pk}/", {"name": "research", "members": [bob.pk]})
    other.refresh_from_db()

    assert (other.name, other.members.count()) == ("Legal", 0)


def test_deleting_a_group_keeps_its_people(roots, research, alice):
    roots.post(f"/groups/{research.pk}/delete/")
    alice.refresh_from_db()

    assert not Group.objects.exists()
