"""How a model is asked, whoever asks: what operators set, and what people may still say."""

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from webui.accounts.models import User
from webui.inference import door, prefill
from webui.inference.clients import close_clients
from webui.inference.door import NotForThem, Order
from webui.inference.models import InstalledModel, ModelAccess, ModelPolicy
from webui.inference.policy import Policy, policy_of
from webui.ollama import ChatChunk, OllamaClient

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def asking(practice_models, root):
    """``await asking(options)``: root asks the practice model; what the host was sent."""

    async def asking(options=None, *, person: User = root) -> list:
        order = Order(person=person.pk, model="practice:latest", messages=HELLO, options=options or {})
        return [event async for event in door.stream(order)]

    yield asking
    await close_clients()
    await sync_to_async(connections.close_all)()


def chats(practice) -> list[dict]:
    return [request.body for request in practice.requests if request.endpoint == "/api/chat"]


@pytest.mark.django_db
def test_without_a_policy_nothing_is_added():
    assert policy_of("qwen3") == Policy()


@pytest.mark.django_db
def test_a_policy_is_found_by_every_name_of_its_model():
    ModelPolicy.objects.create(key="tiny:latest", num_ctx=4096)

    assert policy_of("library/Tiny").load == {"num_ctx": 4096}


def test_what_people_wish_goes_before_the_defaults_but_not_before_what_only_operators_set():
    policy = Policy(load={"num_ctx": 4096}, defaults={"temperature": 0.2, "top_k": 5})

    assert policy.options({"temperature": 1.0, "num_ctx": 999_999, "num_gpu": 99}) == {
        "temperature": 1.0,
        "top_k": 5,
        "num_ctx": 4096,
    }


@pytest.mark.django_db
@pytest.mark.parametrize(("text", "sent"), [("", None), ("-1", -1), ("0", 0), ("30m", "30m"), ("1h30m", "1h30m")])
def test_keep_alive_is_sent_as_ollama_reads_it(text, sent):
    ModelPolicy.objects.create(key="tiny:latest", keep_alive=text)

    assert policy_of("tiny").keep_alive == sent


@pytest.mark.django_db(transaction=True)
async def test_the_door_applies_the_policy_to_every_question(asking, practice):
    await ModelPolicy.objects.acreate(
        key="practice:latest", num_ctx=4096, main_gpu=1, keep_alive="30m", options={"temperature": 0.5}
    )
    events = await asking({"num_ctx": 1, "seed": 7})

    assert isinstance(events[-1], ChatChunk)
    assert chats(practice)[0]["options"] == {"temperature": 0.5, "seed": 7, "num_ctx": 4096, "main_gpu": 1}
    assert chats(practice)[0]["keep_alive"] == "30m"


@pytest.mark.django_db(transaction=True)
async def test_the_probe_of_a_model_does_not_load_it_anew(practice, practice_models, alice):
    found = await InstalledModel.objects.select_related("host").aget(name="practice:latest")
    async with OllamaClient(practice.url) as client:
        await prefill.honoured(client, found, Policy(load={"num_ctx": 4096}), person=alice.pk)

    assert chats(practice)[0]["options"]["num_ctx"] == 4096


@pytest.mark.django_db(transaction=True)
async def test_the_door_is_closed_to_whom_a_model_is_not_for(asking, practice, alice):
    await ModelAccess.objects.acreate(key="practice:latest", audience="administrators")
    with pytest.raises(NotForThem):
        await asking(person=alice)

    assert chats(practice) == []
    assert await asking()
