"""The playground: models asked without a conversation around it."""

import asyncio
import json
from contextlib import aclosing

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from models_admin.playground.views import cosine
from tests.models_admin.test_models import words
from tests.pages import Page
from webui.accounts.models import AuditEntry, Group, User
from webui.inference import door
from webui.inference.clients import close_clients
from webui.inference.door import Completion
from webui.inference.models import InstalledModel, ModelPolicy, Usage
from webui.inference.usage import metered
from webui.ollama import GenerateChunk

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = {"model": "practice:latest", "prompt": "Hello"}
VECTORS = {"model": "practice-embed:latest", "texts": "tea\n\ncoffee\ntea\n"}


@pytest.fixture
async def embedding(practice_models) -> InstalledModel:
    facts = {"digest": "e", "capabilities": ["embedding"], "seen_at": timezone.now()}
    return await InstalledModel.objects.acreate(host=practice_models, name="practice-embed:latest", **facts)


@pytest.fixture(autouse=True)
async def nobody_in_line():
    yield
    await door.turns.close()
    await close_clients()
    await sync_to_async(connections.close_all)()


async def told(client, **form) -> list[dict]:
    answer = await client.post("/playground/complete/", {**MODEL, **form})
    assert answer.status_code == 200
    content = b"".join([part async for part in answer.streaming_content])
    return [json.loads(line) for line in content.splitlines()]


def asked(practice, endpoint: str = "/api/generate") -> dict:
    return next(request.body for request in reversed(practice.requests) if request.endpoint == endpoint)


# Who may


async def test_members_of_a_group_that_may_are_let_in(async_client, bob, practice_models):
    group = await Group.objects.acreate(name="Research", playground=True)
    await group.memberships.acreate(user=bob)
    await async_client.aforce_login(bob)

    page = words(await async_client.get("/playground/"))
    assert "Completion" in page
    assert "Audit log" not in page
    assert "practice:latest" in page


async def test_others_are_refused_and_that_is_recorded(async_client, carol):
    await async_client.aforce_login(carol)

    assert (await async_client.get("/playground/")).status_code == 404
    assert await AuditEntry.objects.filter(who=carol, action="refused", what="/playground/").aexists()


# Completions


async def test_an_answer_grows_line_by_line_and_ends_with_its_figures_and_context(roots, practice_models):
    lines = await told(roots)

    assert lines[0] == {"phase": "reading", "host": "practice"}
    assert "practice model" in "".join(line.get("text", "") for line in lines)
    assert lines[-1]["done"]["output"] > 0
    assert all(isinstance(number, int) for number in lines[-1]["context"])


async def test_a_context_is_sent_again_when_wanted(roots, practice, practice_models):
    await told(roots, context="[1, 2, 3]")
    assert "context" not in asked(practice)

    await told(roots, context="[1, 2, 3]", goes_on="on")
    assert asked(practice)["context"] == [1, 2, 3]


async def test_every_field_reaches_the_host(roots, practice, practice_models):
    await told(
        roots,
        suffix="end",
        system="Be kind",
        template="{{ .Prompt }}",
        raw="on",
        answer_format="schema",
        schema='{"type": "object"}',
        options="temperature 0.5\nstop a\nstop b",
    )
    sent = asked(practice)
    assert {name: sent[name] for name in ("suffix", "system", "template", "raw", "format", "options")} == {
        "suffix": "end",
        "system": "Be kind",
        "template": "{{ .Prompt }}",
        "raw": True,
        "format": {"type": "object"},
        "options": {"temperature": 0.5, "stop": ["a", "b"]},
    }


async def test_the_policy_of_the_model_holds_here_too(roots, practice, practice_models):
    await ModelPolicy.objects.acreate(key="practice:latest", num_ctx=2048)
    await told(roots)

    assert asked(practice)["options"]["num_ctx"] == 2048


@pytest.mark.parametrize(
    ("form", "field", "sentence"),
    [
        ({"options": "temperature hot"}, "options", "temperature hot"),
        ({"options": "num_ctx 9"}, "options", "num_ctx cannot be set here."),
        ({"context": "[1, true]"}, "context", "A context is a list of numbers."),
        ({"context": "[" * 10_000}, "context", "A context is a list of numbers."),
        ({"answer_format": "schema"}, "schema", "A schema is a JSON object."),
        ({"model": ""}, "model", "This field is required."),
    ],
)
async def test_what_cannot_be_sent_is_said_in_words(roots, practice_models, form, field, sentence):
    answer = await roots.post("/playground/complete/", {**MODEL, **form})

    assert sentence in answer.json()["errors"][field]


async def test_a_failure_is_said_in_words(roots, practice_models):
    lines = await told(roots, model="nobody-knows-it")

    assert "nobody-knows-it is not installed" in Page(lines[-1]["failed"]).root.find(".//strong").text


async def test_what_it_cost_is_in_the_ledger(roots, root, practice_models):
    lines = await told(roots)

    row = await Usage.objects.select_related("user").aget()
    assert (row.user, row.host, row.model, row.outcome) == (root, "practice", "practice:latest", "done")
    assert (row.prompt_tokens, row.output_tokens) == (lines[-1]["done"]["prompt"], lines[-1]["done"]["output"])


async def test_a_failure_is_in_the_ledger(roots, practice_models):
    await told(roots, model="fault-st500")

    assert await Usage.objects.filter(outcome="failed").aexists()


async def test_whoever_leaves_stops_the_host_and_is_in_the_ledger(roots, root, practice, practice_models):
    practice.speed = 20
    order = Completion(person=root.pk, model="practice:latest", prompt="Hello")
    async with aclosing(metered(order)) as events:
        async for event in events:
            if isinstance(event, GenerateChunk):
                break

    async with asyncio.timeout(5):
        await practice.wait_for(lambda: practice.requests[-1].outcome == "left")
    assert await Usage.objects.filter(outcome="stopped", output_tokens=1).aexists()


# Vectors


async def test_texts_are_compared_with_each_other(roots, practice, embedding):
    page = Page((await roots.post("/playground/embed/", VECTORS)).content.decode())
    table = [[cell.text for cell in row if cell.tag == "td"] for row in page.root.find(".//tbody")]

    assert asked(practice, "/api/embed")["input"] == ["tea", "coffee", "tea"]
    assert (table[0][0], table[0][2]) == ("1.000", "1.000")
    assert table[0][1] == table[1][0] != "1.000"


async def test_dimensions_are_asked_for(roots, practice, embedding):
    said = words(await roots.post("/playground/embed/", {**VECTORS, "dimensions": "8"}))

    assert asked(practice, "/api/embed")["dimensions"] == 8
    assert "8 dimensions" in said


@pytest.mark.parametrize(("singly", "endpoint"), [("", "/api/embed"), ("on", "/api/embeddings")])
async def test_the_policy_of_the_model_holds_for_vectors_too(roots, practice, embedding, singly, endpoint):
    await ModelPolicy.objects.acreate(key="practice-embed:latest", num_ctx=2048, keep_alive="-1")
    await roots.post("/playground/embed/", {**VECTORS, "singly": singly})

    sent = asked(practice, endpoint)
    assert (sent["options"], sent["keep_alive"]) == ({"num_ctx": 2048}, -1)


async def test_the_old_endpoint_takes_one_text_after_the_other(roots, practice, embedding):
    said = words(await roots.post("/playground/embed/", {**VECTORS, "singly": "on"}))

    assert [request.endpoint for request in practice.requests].count("/api/embeddings") == 3
    assert "1.000" in said


async def test_without_texts_it_says_what_to_write(roots, embedding):
    assert "Write a text on each line." in words(await roots.post("/playground/embed/", {**VECTORS, "texts": "\n"}))


async def test_a_model_that_makes_no_vectors_says_so(roots, practice_models):
    assert "callout" in (await roots.post("/playground/embed/", {**VECTORS, "model": "nobody"})).content.decode()


def test_the_cosine_of_nothing_is_nothing():
    assert cosine([0, 0], [1, 0]) == 0
    assert cosine([1, 0], [0, 1]) == 0
    assert cosine([2, 0], [-1, 0]) == -1


async def test_who_has_no_models_is_told(roots, host):
    page = words(await roots.get("/playground/"))
    assert "No model writes text here" in page
    assert "No model makes vectors here" in page


async def test_a_limit_is_named_with_the_time_when_to_ask_again(async_client, root, embedding):
    """Q2."""
    await User.objects.filter(pk=root.pk).aupdate(per_minute=0)
    await async_client.aforce_login(root)
    [line] = await told(async_client)
    vectors = (await async_client.post("/playground/embed/", VECTORS)).content.decode()

    for text in (line["failed"], vectors):
        assert "That was too often within a minute" in text
        assert "You can ask again from " in text
    assert not await Usage.objects.aexists()
