"""Every form changes what its fields say, and nothing else: what is sent besides is as if it had not been sent."""

import re
import uuid
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import models, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chat import services
from chat.models import Message, State
from models_admin.models import Job
from tests.conftest import PASSWORD
from tests.test_access_matrix import ADMINISTRATORS, NUMBERED, POST_ONLY, POST_TOO, TURNS, address
from webui.accounts import setup
from webui.accounts.models import AccessToken, Group, User
from webui.inference.models import Host, InstalledModel, Turn, WaitingLine

KEY = str(uuid.uuid4())
QUESTION = {"text": "And then?", "model": "practice:latest", "think": "on", "client_key": KEY}
ACCOUNT = {"name": "Dan", "username": "dan", "password": "another horse battery"}
LIMITS = {"tokens_per_day": "1000", "at_once": "2", "per_minute": "3"}
# Of every form, what makes it do something.
FORMS = {
    "accounts:group": {"name": "Tea", "about": "Drinkers", "playground": "", "members": [], **LIMITS},
    "accounts:group_delete": {},
    "accounts:groups": {"name": "Coffee", "about": "Others", "playground": "", "members": [], **LIMITS},
    "accounts:password": {"current": PASSWORD, "new": "another horse battery"},
    "accounts:people": ACCOUNT,
    "accounts:person": {"do": "password"},
    "accounts:person_limits": LIMITS,
    "accounts:settings": {"display_name": "A.", "language": "zh-hans", "theme": "dark", "send_key": "ctrl"},
    "accounts:setup": {**ACCOUNT, "code": "TEST-CODE"},
    "accounts:sign_in": {"username": "alice", "password": PASSWORD, "next": "/settings/"},
    "accounts:sign_out": {},
    "chat:again": {"model": "practice:latest"},
    "chat:ask": QUESTION,
    "chat:continue": {},
    "chat:delete": {},
    "chat:draft": {"text": "Half a thou"},
    "chat:edit": {"text": "In other words?", "client_key": KEY},
    "chat:new_draft": {"text": "Half a thou"},
    "chat:restore": {},
    "chat:start": QUESTION,
    "chat:stop": {},
    "chat:title": {"title": "Other plans"},
    "chat:version": {},
    "gateway:token_revoke": {},
    "gateway:tokens": {"name": "script", "days": "30", "models": "qwen3:8b", "manages": "on", **LIMITS},
    "models_admin:host": {
        "name": "gpu-one",
        "url": "http://127.0.0.1:9",
        "slots": "2",
        "memory_gb": "48",
        **dict.fromkeys(("host", "bearer", "forget_bearer", "any_certificate", "authority"), ""),
    },
    "models_admin:host_aside": {"do": "aside"},
    "models_admin:host_remove": {"name": "gpu-01"},
    "models_admin:host_switch": {"do": "off"},
    "models_admin:job_cancel": {},
    "models_admin:job_dismiss": {},
    "models_admin:job_retry": {},
    "models_admin:modelfile": {
        "name": "mine",
        "host": "4711",
        "text": "FROM qwen3:8b",
        "private": "on",
        "quantize": "",
        "original": "",
        "replaces": "",
    },
    "models_admin:modelfile_check": {"text": "FROM x", "host": "4711", "fix": ""},
    "models_admin:model_copy": {"name": "its-copy"},
    "models_admin:model_delete": {"name": "qwen3:8b"},
    "models_admin:model_load": {},
    "models_admin:model_pin": {},
    "models_admin:model_push": {},
    "models_admin:model_unload": {},
    "models_admin:model_rules": {
        "audience": "groups",
        "groups": "4711",
        "default_of_all": "on",
        "default_of": "4711",
        "num_ctx": "4096",
        "num_gpu": "1",
        "main_gpu": "0",
        "keep_alive": "30m",
        "options": "top_k 3",
    },
    "models_admin:pull": {"model": "qwen3:32b", "host": "4711", "insecure": "on"},
    "models_admin:turn_front": {},
    "models_admin:turn_remove": {},
    "set_language": {"language": "zh-hans", "next": "/sign-in/"},
}
# They ask a host before anything is kept: tests/models_admin.
ELSEWHERE = {
    "models_admin:setup_host",
    "models_admin:practice",
    "models_admin:playground_complete",
    "models_admin:playground_embed",
    *(f"models_admin:{name}" for name in ("host_add", "host_look", "host_try", "hosts_look")),
}
AT_THE_DOOR = {"accounts:setup", "accounts:sign_in", "set_language"}
STORE_NOTHING = {
    "models_admin:modelfile_check",
    "accounts:sign_in",
    "accounts:sign_out",
    "set_language",
    "chat:stop",
    "chat:version",
}
OURS = [model for model in apps.get_models() if model.__module__.split(".")[0] in {"chat", "models_admin", "webui"}]
TOKEN = re.compile(r"th_[\w-]{4}")  # the start of one
RUNNING, ENDED = 4711, 4712  # jobs; the host and its model are 4711, too


WAITS = uuid.UUID(int=4711)


def test_every_form_is_here():
    assert FORMS.keys() | ELSEWHERE == POST_ONLY | POST_TOO


@pytest.fixture
def theirs(bob) -> Message:
    """A message of somebody else."""
    conversation = bob.conversations.create(title="Theirs")
    return conversation.messages.create(role="user", author=bob, text="Mine")


@pytest.fixture(autouse=True)
def work(root, alice, host):
    """A group, a token, a host with a model, one who waits for it, a job that runs there and one that failed."""
    Host.objects.filter(pk=host.pk).update(id=4711)
    Group.objects.create(pk=4711, name="Research")
    AccessToken.objects.create(pk=4711, user=alice, name="notebook", prefix="th_1234", digest="0")
    InstalledModel.objects.create(pk=4711, host_id=4711, name="qwen3:8b", seen_at=timezone.now())
    line = WaitingLine.objects.create(host_id=4711, model="qwen3:8b")
    Turn.objects.create(
        pk=WAITS,
        line=line,
        person=root,
        door="browser",
        rank=0,
        round=0,
        joined_at=timezone.now(),
        owner=WAITS,
        lease_expires=timezone.now() + timedelta(hours=1),
    )
    job = {"kind": "pull", "host_id": 4711, "started_by": root}
    Job.objects.create(pk=RUNNING, model="a", model_key="a:latest", **job)
    Job.objects.create(pk=ENDED, model="b", model_key="b:latest", state="failed", ended_at=timezone.now(), **job)


@pytest.fixture
def answer(answer) -> Message:
    """Alice's, stopped, so that it can go on."""
    answer.state = State.STOPPED
    answer.save()
    return answer


@pytest.fixture
def nothing_set_up(alice, root, answer, settings, tmp_path, monkeypatch):
    """Nobody administers, and the code is known."""
    settings.DATA_DIR = tmp_path
    (tmp_path / "setup_code").write_text(FORMS["accounts:setup"]["code"])
    monkeypatch.setattr(setup, "_done", False)
    User.objects.update(is_admin=False)


@pytest.mark.parametrize("name", sorted(FORMS.keys() - {"accounts:setup", "chat:restore"}))
def test_a_form_takes_its_own_fields_and_no_others(name, alice, root, answer, theirs):
    """S07."""
    person = None if name in AT_THE_DOOR else root if name in ADMINISTRATORS else alice

    assert_only_its_own_fields(name, person, answer, theirs)


def test_the_set_up_takes_its_own_fields_and_no_others(nothing_set_up, answer, theirs):
    """S07."""
    assert_only_its_own_fields("accounts:setup", None, answer, theirs)


def test_restoring_takes_no_fields(alice, answer, theirs):
    """S07."""
    services.delete(conversation=answer.conversation)

    assert_only_its_own_fields("chat:restore", alice, answer, theirs)


def assert_only_its_own_fields(name: str, person: User | None, answer: Message, theirs: Message) -> None:
    own = FORMS[name]
    known = names_of(answer, theirs)
    more = {field: value for field, value in unasked(theirs).items() if field not in own}
    before = rows(known)
    alone, together = (done(name, person, answer, fields, known) for fields in (own, {**more, **own}))

    assert together == alone
    assert alone[1] != before or name in STORE_NOTHING


def done(name: str, person: User | None, answer: Message, fields: dict, known: dict) -> tuple[object, object]:
    """What the browser and the database have after the form was sent; and then as if it had not been."""
    client = Client()
    with transaction.atomic():
        if person:
            client.force_login(person)
        response = client.post(url_of(name, answer), fields)
        found = rows(known)
        transaction.set_rollback(True)
    assert response.status_code in {200, 204, 302}
    return (response.status_code, sorted(client.cookies)), found


def url_of(name: str, answer: Message) -> str:
    if name in {"accounts:person", "accounts:person_limits"}:
        return reverse(name, args=[answer.conversation.owner_id])
    if name in TURNS:
        return reverse(name, args=[WAITS])
    if name in NUMBERED:
        return reverse(name, args=[ENDED if name in {"models_admin:job_retry", "models_admin:job_dismiss"} else 4711])
    if name == "chat:edit":
        return reverse(name, args=[answer.conversation_id, answer.parent_id])
    return address(name, answer.conversation, answer.pk)


def unasked(theirs: Message) -> dict[str, object]:
    """A value for every column there is, and for what the templates call them."""
    found: dict[str, object] = {"is_staff": "on", "is_superuser": "on", "pk": 1, "groups": 1, "tokens": 1}
    for model in OURS:
        for field in model._meta.concrete_fields:
            found |= dict.fromkeys((field.name, field.attname), _hostile(field, theirs))
    return found


def _hostile(field: models.Field, theirs: Message) -> object:
    if field.remote_field:
        kin = {"Conversation": theirs.conversation_id, "Message": theirs.pk, "User": theirs.author_id}
        return kin.get(field.related_model.__name__, 1)
    if field.choices:
        return field.choices[-1][0]
    return {
        models.BooleanField: "on",
        models.DateTimeField: "2001-01-01 00:00",
        models.UUIDField: theirs.pk,
        models.JSONField: '{"think": true}',
        models.CharField: "hostile",
        models.TextField: "hostile",
    }.get(type(field), 7)


def names_of(answer: Message, theirs: Message) -> dict[object, str]:
    """What ids that were there before stand for."""
    return {
        answer.pk: "answer",
        answer.parent_id: "question",
        answer.conversation_id: "conversation",
        theirs.pk: "their message",
        theirs.conversation_id: "their conversation",
        uuid.UUID(KEY): "key",
        **{("user", user.pk): user.username for user in User.objects.all()},
    }


def rows(known: dict[object, str]) -> list[object]:
    """Everything that is stored; new ids, moments and secrets as no more than being there."""
    return [(model.__name__, sorted(str(_seen(row, known)) for row in model.objects.all())) for model in OURS]


def _seen(row: models.Model, known: dict[object, str]) -> dict[str, object]:
    return {
        field.attname: _seen_field(field, getattr(row, field.attname), known) for field in row._meta.concrete_fields
    }


def _seen_field(field: models.Field, value: object, known: dict[object, str]) -> object:
    meant = field.related_model or field.model
    if field.remote_field or field.primary_key or isinstance(field, models.UUIDField):
        return known.get(("user", value) if meant is User else value, value and "new")
    if isinstance(field, models.DateTimeField) or field.name in {"password", "digest"}:
        return bool(value)
    return TOKEN.sub("th_", value) if isinstance(value, str) else value
