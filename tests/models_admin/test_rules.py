"""Who may use a model, whose default it is and how it is asked, as an administrator says it in the drawer."""

import pytest
from django.test import Client
from django.utils import timezone

from models_admin.model_rules import form_of
from webui.accounts.models import Group
from webui.inference.access import default_for, may_use
from webui.inference.models import DefaultModel, InstalledModel, ModelPolicy

NOTHING = {"audience": "everyone"}


@pytest.fixture
def admins(root) -> Client:
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def qwen(host) -> InstalledModel:
    return InstalledModel.objects.create(host=host, name="Qwen3:8b", seen_at=timezone.now())


@pytest.fixture
def research(alice) -> Group:
    group = Group.objects.create(name="Research")
    group.members.add(alice)
    return group


@pytest.fixture
def say(admins, qwen):
    """``say(...)``: the form is sent; the part that comes back."""

    def say(**fields) -> str:
        return admins.post(f"/models/{qwen.pk}/rules/", {**NOTHING, **fields}).content.decode()

    return say


def test_a_model_is_for_a_group_and_the_table_says_so(say, admins, research, alice, bob):
    say(audience="groups", groups=[research.pk])

    assert (may_use(alice, "qwen3:8b"), may_use(bob, "qwen3:8b")) == (True, False)
    assert '<td data-label="Access">Research</td>' in admins.get("/models/").content.decode()


def test_a_model_is_for_administrators_alone(say, admins, alice):
    say(audience="administrators")

    assert not may_use(alice, "qwen3:8b")
    assert '<td data-label="Access">Administrators</td>' in admins.get("/models/").content.decode()


def test_a_model_is_opened_again(say, research, bob):
    say(audience="groups", groups=[research.pk])
    say(audience="everyone", groups=[research.pk])

    assert may_use(bob, "qwen3:8b")


def test_there_is_one_default_for_everyone(say, alice):
    DefaultModel.objects.create(key="tiny:latest", group=None)
    say(default_of_all="on")

    assert default_for(alice) == "qwen3:8b"
    assert DefaultModel.objects.count() == 1


def test_a_default_is_taken_back(say, research):
    say(default_of_all="on", default_of=[research.pk])
    say()

    assert not DefaultModel.objects.exists()


def test_a_policy_is_kept_with_the_types_of_its_options(say):
    say(num_ctx="16384", num_gpu="-1", main_gpu="0", keep_alive="1h30m", options="temperature 0.7\nstop a b\nstop c\n")
    policy = ModelPolicy.objects.get()

    assert (policy.num_ctx, policy.num_gpu, policy.main_gpu, policy.keep_alive) == (16384, -1, 0, "1h30m")
    assert policy.options == {"temperature": 0.7, "stop": ["a b", "c"]}


def test_the_form_shows_what_is_kept(say):
    say(num_ctx="16384", options="temperature 0.7\nstop a b\nstop c")

    assert sorted(form_of("qwen3:8b")["options"].value().splitlines()) == ["stop a b", "stop c", "temperature 0.7"]
    assert form_of("qwen3:8b")["num_ctx"].value() == 16384


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("num_ctx", "10", "256"),
        ("num_ctx", "many", "whole number"),
        ("keep_alive", "for ever", "Write it like 30m"),
        ("options", "max_tokens 5", "unknown parameter"),
        ("options", "temperature hot", "invalid float value"),
        ("options", "num_ctx 5", "num_ctx cannot be set here."),
        ("audience", "nobody", "Select a valid choice"),
    ],
)
def test_what_would_break_a_model_is_said_and_not_kept(say, field, value, said):
    assert said in say(**{field: value})
    assert not ModelPolicy.objects.exists()


def test_the_model_one_begins_with_is_chosen_on_a_new_page(say, host, alice):
    for name in ("aaa:latest", "qwen3:8b"):
        InstalledModel.objects.update_or_create(
            host=host, name=name, defaults={"capabilities": ["completion"], "seen_at": timezone.now()}
        )
    InstalledModel.objects.filter(name="Qwen3:8b").delete()
    DefaultModel.objects.create(key="qwen3:8b", group=None)
    client = Client()
    client.force_login(alice)

    assert client.get("/").context["chosen"].name == "qwen3:8b"
