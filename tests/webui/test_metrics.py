"""What Prometheus reads, parsed by its own parser."""

import asyncio
from contextlib import aclosing

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from prometheus_client.parser import text_string_to_metric_families

from chat import hub
from tests.chat.test_consumers import ORIGIN, session_of, socket
from webui.ids import uuid7
from webui.inference import door, ledger, lines, metrics, usage
from webui.inference.clients import close_clients
from webui.inference.door import Order
from webui.inference.models import Host, Usage
from webui.inference.turns import Turns
from webui.ollama import ChatChunk

TOKEN = "a token of the operators"
BEARER = f"Bearer {TOKEN}"
MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def with_token(settings):
    settings.METRICS_TOKEN = TOKEN


def read(text: bytes) -> dict[tuple, float]:
    """The value of each name and its labels, sorted by their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def figure(*wanted: str) -> float:
    return read(metrics.text()).get(wanted, 0)


def test_without_a_token_in_the_settings_there_is_no_such_page(client, root, settings):
    settings.METRICS_TOKEN = ""

    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
    assert client.get("/metrics").status_code == 404


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ÿ"]
)
def test_whoever_does_not_know_the_token_learns_nothing(client, root, given):
    client.force_login(root)
    answer = client.get("/metrics", headers={"Authorization": given})

    assert (answer.status_code, answer.content) == (401, b"")


def test_whoever_knows_it_needs_no_session_and_no_set_up(client, db):
    answer = client.get("/metrics", headers={"Authorization": BEARER})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert {"teahouse_sockets", "process_resident_memory_bytes", "process_cpu_seconds_total"} <= {
        name for name, *_ in read(answer.content)
    }


def test_who_is_answered_and_who_waits_is_told_for_each_model_and_host(client, host, alice, bob):
    key = (host.pk, 'odd "name"\\\n:1b')
    for person in (alice, bob, bob):
        standing = lines.Standing(uuid7(), key, person.pk, Usage.Door.BROWSER)
        lines.settle(uuid7(), joining=[standing], leaving=set(), keys={key})

    told = read(client.get("/metrics", headers={"Authorization": BEARER}).content)
    assert told["teahouse_answering", "gpu-01", key[1]] == 1
    assert told["teahouse_waiting", "gpu-01", key[1]] == 2


def test_how_the_hosts_are_is_told(client, host):
    Host.objects.create(name="gpu-02", base_url="http://127.0.0.1:8", health=Host.Health.UNREACHABLE, slots=4)

    told = read(client.get("/metrics", headers={"Authorization": BEARER}).content)
    assert (told["teahouse_host_well", "gpu-01"], told["teahouse_host_well", "gpu-02"]) == (1, 0)
    assert told["teahouse_host_slots", "gpu-02"] == 4


COUNTED = [
    ("teahouse_answers_total", "api", "failed"),
    ("teahouse_tokens_total", "api", "read"),
    ("teahouse_tokens_total", "api", "written"),
    ("teahouse_first_piece_seconds_bucket", "api", "0.5"),
    ("teahouse_first_piece_seconds_bucket", "api", "1.0"),
    ("teahouse_line_seconds_sum", "api"),
]


def test_what_is_in_the_ledger_is_counted(alice, django_capture_on_commit_callbacks):
    before = [figure(*name) for name in COUNTED]
    facts = {"prompt_tokens": 7, "output_tokens": 3, "first_piece_ms": 700, "queue_ms": 2_000}
    with django_capture_on_commit_callbacks(execute=True):
        ledger.write(Usage(run=uuid7(), user=alice, door="api", model="m", host="h", outcome="failed", **facts))

    assert [figure(*name) - was for name, was in zip(COUNTED, before, strict=True)] == [1, 7, 3, 0, 1, 2]


@pytest.mark.django_db(transaction=True)
async def test_pieces_are_counted_as_they_come(alice, practice_models, practice, monkeypatch):
    monkeypatch.setattr(door, "turns", Turns())  # of this test's loop
    before = await sync_to_async(figure)("teahouse_pieces_total")
    order = Order(person=alice.pk, model="practice:latest", messages=MESSAGES, door=Usage.Door.BACKGROUND)
    async with aclosing(usage.metered(order)) as events:
        chunks = [event async for event in events if isinstance(event, ChatChunk)]

    assert await sync_to_async(figure)("teahouse_pieces_total") - before == len(chunks) > 1
    await door.turns.close()
    await close_clients()
    await sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
async def test_open_sockets_are_counted(alice, settings):
    settings.ALLOWED_ORIGINS = [ORIGIN]
    hub.open_on(asyncio.get_running_loop())
    before = await sync_to_async(figure)("teahouse_sockets")
    async with socket(await sync_to_async(session_of)(alice)):
        assert await sync_to_async(figure)("teahouse_sockets") == before + 1

    assert await sync_to_async(figure)("teahouse_sockets") == before
    await sync_to_async(connections.close_all)()
