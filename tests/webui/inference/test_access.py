"""Who may use which model: one function, asked by the picker and by the door."""

import pytest
from django.utils import timezone

from webui.accounts.models import Group
from webui.inference.access import default_for, may_use, open_alike, usable_by
from webui.inference.catalogue import offers_for
from webui.inference.models import DefaultModel, InstalledModel, ModelAccess


@pytest.fixture
def research(alice) -> Group:
    """Alice is in it, bob is not."""
    group = Group.objects.create(name="Research")
    group.members.add(alice)
    return group


def restrict(key: str, audience: str, *groups: Group) -> None:
    ModelAccess.objects.create(key=key, audience=audience).groups.set(groups)


def test_without_a_rule_everybody_may(alice):
    assert may_use(alice, "qwen3:8b")


def test_a_model_of_a_group_is_for_its_people(alice, bob, research):
    restrict("qwen3:8b", "groups", research)

    assert (may_use(alice, "qwen3:8b"), may_use(bob, "qwen3:8b")) == (True, False)


def test_one_of_several_groups_is_enough(alice, bob, research):
    other = Group.objects.create(name="Legal")
    other.members.add(bob)
    restrict("qwen3:8b", "groups", research, other)

    assert may_use(alice, "qwen3:8b")
    assert may_use(bob, "qwen3:8b")


def test_a_private_model_is_for_administrators(alice, root, research):
    restrict("qwen3:8b", "administrators")

    assert (may_use(alice, "qwen3:8b"), may_use(root, "qwen3:8b")) == (False, True)


def test_a_group_that_is_gone_opens_nothing(alice, bob, research):
    restrict("qwen3:8b", "groups", research)
    research.delete()

    assert (may_use(alice, "qwen3:8b"), may_use(bob, "qwen3:8b")) == (False, False)


@pytest.mark.parametrize(
    "name", ["tiny", "TINY:latest", "library/tiny", "registry.ollama.ai/library/tiny:latest", " tiny ", "tiny:local"]
)
def test_no_other_name_of_a_model_is_a_way_round(alice, name):
    restrict("tiny:latest", "administrators")

    assert not may_use(alice, name)


def test_the_picker_offers_what_one_may_use(alice, bob, host, research):
    for name in ("qwen3:8b", "tiny:latest"):
        InstalledModel.objects.create(host=host, name=name, capabilities=["completion"], seen_at=timezone.now())
    restrict("qwen3:8b", "groups", research)

    assert [offer.name for offer in offers_for(alice)] == ["qwen3:8b", "tiny:latest"]
    assert [offer.name for offer in offers_for(bob)] == ["tiny:latest"]


def test_many_names_cost_one_query(alice, django_assert_num_queries):
    with django_assert_num_queries(1):
        may = usable_by(alice)
        assert [may(f"m-{number}") for number in range(50)] == [True] * 50


def test_the_default_of_ones_group_goes_before_that_of_the_portal(alice, bob, research):
    DefaultModel.objects.create(key="qwen3:8b", group=None)
    DefaultModel.objects.create(key="tiny:latest", group=research)

    assert (default_for(alice), default_for(bob)) == ("tiny:latest", "qwen3:8b")


def test_a_default_that_one_may_not_use_is_none(alice, research):
    DefaultModel.objects.create(key="tiny:latest", group=research)
    restrict("tiny:latest", "administrators")

    assert default_for(alice) == ""


def test_what_is_made_of_a_model_is_for_the_same_people(alice, bob, research):
    restrict("qwen3:8b", "groups", research)
    open_alike("Qwen3:8b", "mine")

    assert (may_use(alice, "mine"), may_use(bob, "mine")) == (True, False)


def test_what_somebody_decided_of_it_stays(bob, research):
    restrict("qwen3:8b", "groups", research)
    restrict("mine:latest", "everyone")
    open_alike("qwen3:8b", "mine")

    assert may_use(bob, "mine")


def test_what_is_made_of_a_model_for_everybody_has_no_rule(db):
    open_alike("qwen3:8b", "mine")

    assert not ModelAccess.objects.exists()
