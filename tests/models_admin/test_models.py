"""The table of all models, the drawer, and what administrators do to one model."""

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from models_admin import model_list
from models_admin.models import Job
from tests.pages import Page, text_of
from webui.inference import hosts
from webui.inference.models import Host, InstalledModel, ModelAccess, Usage
from webui.ollama import OllamaClient

pytestmark = pytest.mark.django_db(transaction=True)

PART = {"HX-Request": "true"}


def words(answer) -> str:
    return " ".join(text_of(Page(answer.content.decode()).root).split())


@pytest.fixture
async def gpu(db) -> Host:
    return await Host.objects.acreate(name="gpu-01", base_url="http://127.0.0.1:9", health=Host.Health.WELL)


@pytest.fixture
async def qwen(gpu) -> InstalledModel:
    return await add(gpu, "qwen3:32b", size=20_200_000_000, family="qwen3", context_length=40_960)


async def add(host: Host, name: str, **facts) -> InstalledModel:
    facts = {"digest": name, "capabilities": ["completion"], "seen_at": timezone.now(), **facts}
    return await InstalledModel.objects.acreate(host=host, name=name, **facts)


async def names(client, **query) -> list[str]:
    page = Page((await client.get("/models/", query)).content.decode())
    table = page.find("models").find(".//tbody")
    return [] if table is None else [text_of(row.find(".//a")) for row in table]


# The table


async def test_the_head_counts_what_there_is(roots, qwen):
    await add(qwen.host, "bge-m3:latest", size=1_200_000_000, loaded=True)

    assert "2 models · 1 host · 21 GB on disk · 1 in memory now" in words(await roots.get("/models/"))


async def test_a_model_in_memory_shows_how_much_of_it_and_until_when(roots, qwen):
    await InstalledModel.objects.filter(pk=qwen.pk).aupdate(
        loaded=True, memory=24_100_000_000, vram=24_100_000_000, expires_at=timezone.now() + timedelta(minutes=4.5)
    )
    said = words(await roots.get("/models/"))

    assert "24 GB · 4 min" in said


async def test_a_pinned_model_stays(roots, qwen):
    expires = timezone.now() + timedelta(days=100_000)
    await InstalledModel.objects.filter(pk=qwen.pk).aupdate(loaded=True, memory=1_000_000_000, expires_at=expires)

    assert "1.0 GB · stays" in words(await roots.get("/models/"))


async def test_last_used_is_what_the_ledger_says_of_that_host(roots, root, qwen):
    other = await Host.objects.acreate(name="gpu-02", base_url="http://127.0.0.1:10")
    await add(other, "qwen3:32b")
    usage = {"run": "00000000-0000-4000-8000-000000000001", "door": "browser", "outcome": "done"}
    await Usage.objects.acreate(user=root, host="gpu-01", model="Qwen3:32b", **usage)
    said = words(await roots.get("/models/"))

    assert said.count("0\xa0minutes ago".replace("\xa0", " ")) == 1
    assert said.count("not lately") == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["a:latest", "b:latest", "c:latest"]),
        ({"q": "B"}, ["b:latest"]),
        ({"q": "vision gpu-02"}, ["c:latest"]),
        ({"host": "gpu-01"}, ["a:latest", "b:latest"]),
        ({"sort": "-name"}, ["c:latest", "b:latest", "a:latest"]),
        ({"sort": "size"}, ["c:latest", "a:latest", "b:latest"]),
        ({"sort": "-context"}, ["b:latest", "a:latest", "c:latest"]),
        ({"sort": "nonsense"}, ["a:latest", "b:latest", "c:latest"]),
        ({"sort": "--name"}, ["a:latest", "b:latest", "c:latest"]),
        ({"q": "nothing"}, []),
    ],
)
async def test_the_table_is_filtered_and_sorted(roots, gpu, query, found):
    other = await Host.objects.acreate(name="gpu-02", base_url="http://127.0.0.1:10")
    await add(gpu, "a:latest", size=2, context_length=20)
    await add(gpu, "b:latest", size=3, context_length=30)
    await add(other, "c:latest", size=1, context_length=10, capabilities=["vision"])

    assert await names(roots, **query) == found


async def test_a_sorted_column_says_so_and_turns_round(roots, qwen):
    page = Page((await roots.get("/models/", {"sort": "-size"})).content.decode())
    column = next(th for th in page.root.iter("th") if th.get("aria-sort"))

    assert (text_of(column).strip(), column.get("aria-sort")) == ("Size", "descending")
    assert column.find("button").get("value") == "size"


async def test_htmx_gets_the_table_alone_and_what_belongs_to_it(roots, qwen):
    part = (await roots.get("/models/", headers={**PART, "HX-Target": "models"})).content.decode()

    assert "<html" not in part
    for id_ in ('id="models"', 'id="models-sum" hx-swap-oob', 'id="models-read" hx-swap-oob'):
        assert id_ in part


async def test_a_host_that_does_not_answer_is_marked_and_delays_nothing(roots, qwen):
    await Host.objects.aupdate(health=Host.Health.UNREACHABLE)
    async with asyncio.timeout(1):
        said = words(await roots.get("/models/"))

    assert "gpu-01 does not answer" in said


def test_two_hundred_models_on_five_hosts_are_shown_at_once(client, root, django_assert_num_queries):
    for number in range(5):
        health = "unreachable" if number < 2 else "well"
        host = Host.objects.create(name=f"gpu-{number}", base_url=f"http://127.0.0.1:{number + 1}", health=health)
        InstalledModel.objects.bulk_create(
            InstalledModel(
                host=host, name=f"m-{n}:latest", capabilities=["completion", "tools"], seen_at=timezone.now()
            )
            for n in range(40)
        )
    client.force_login(root)
    client.get("/models/")
    began = timezone.now()
    with django_assert_num_queries(10):
        client.get("/models/")

    assert (timezone.now() - began).total_seconds() < 0.4  # it takes half of that on a machine that does nothing else


async def test_what_a_host_says_of_its_memory_is_kept(practice, practice_models):
    async with OllamaClient(practice.url) as client:
        await client.load("practice:latest", keep_alive="5m")
        await hosts.refresh(practice_models, client)
        loaded = await InstalledModel.objects.aget(name="practice:latest")
        await client.load("practice:latest", keep_alive=-1)
        await hosts.refresh(practice_models, client)
        pinned = await InstalledModel.objects.aget(name="practice:latest")

    assert (loaded.vram, loaded.memory > 0, loaded.context_used > 0) == (4_096_000_000, True, True)
    assert timedelta(minutes=4) < loaded.expires_at - timezone.now() < timedelta(minutes=6)
    assert (model_list.is_pinned(loaded), model_list.is_pinned(pinned)) == (False, True)


# The drawer


async def test_the_drawer_shows_a_model_beside_the_table(roots, qwen):
    page = Page((await roots.get(f"/models/{qwen.pk}/")).content.decode())

    assert "40960 tokens" in " ".join(page.text("drawer").split())
    assert page.find("models") is not None


async def test_htmx_gets_the_drawer_alone(roots, qwen):
    part = (await roots.get(f"/models/{qwen.pk}/", headers={**PART, "HX-Target": "drawer"})).content.decode()

    assert part.lstrip().startswith("<aside")


async def test_the_host_itself_is_asked_for_the_texts_of_a_model(roots, practice_models):
    found = await InstalledModel.objects.aget(name="practice:latest")
    part = await roots.get(f"/models/{found.pk}/shown/", headers=PART)

    assert "general.architecture" in words(part)


async def test_a_host_that_does_not_answer_leaves_the_drawer_with_what_is_known(roots, qwen):
    part = await roots.get(f"/models/{qwen.pk}/shown/", headers=PART)

    assert "gpu-01 does not say more now." in words(part)


async def test_a_model_that_is_gone_is_not_found(roots):
    assert (await roots.get("/models/999/")).status_code == 404


@pytest.mark.parametrize("page", ["", "menu/", "copy/", "delete/"])
async def test_what_a_hostile_host_calls_its_models_stays_text(roots, gpu, page):
    """S15."""
    evil = '"><img src=x onerror=alert(1)>'
    found = await add(gpu, evil, family=evil, quantization="<u>", capabilities=[evil], digest=evil)
    answer = (await roots.get(f"/models/{found.pk}/{page}", headers=PART)).content.decode()

    assert "<img" not in answer
    assert "<u>" not in answer


# What is done to one


@pytest.mark.parametrize(
    ("act", "kind", "wish"),
    [("load", "load", {}), ("pin", "load", {"keep_alive": -1}), ("unload", "unload", {}), ("push", "push", {})],
)
async def test_an_act_is_a_job(roots, qwen, act, kind, wish):
    part = await roots.post(f"/models/{qwen.pk}/{act}/", headers=PART)
    job = await Job.objects.aget()

    assert (job.kind, job.model, job.request) == (kind, "qwen3:32b", wish)
    assert "qwen3:32b" in words(part)


async def test_freeing_and_filling_the_memory(jobs_driver, practice_models, start, until_over):
    async def is_loaded() -> bool:
        return (await InstalledModel.objects.aget(name="practice:latest")).loaded

    await until_over(await start("practice:latest", kind="load"))
    filled = await is_loaded()
    await until_over(await start("practice:latest", kind="unload"))

    assert (filled, await is_loaded()) == (True, False)


async def test_a_copy_is_asked_for_by_name(roots, qwen):
    answer = await roots.post(f"/models/{qwen.pk}/copy/", {"name": "my-qwen"}, headers=PART)
    job = await Job.objects.aget()

    assert answer.status_code == 204
    assert (job.kind, job.source, job.model) == ("copy", "qwen3:32b", "my-qwen")


async def test_a_copy_is_for_whom_the_model_is_for(roots, qwen):
    """S32."""
    await ModelAccess.objects.acreate(key="qwen3:32b", audience="administrators")
    await roots.post(f"/models/{qwen.pk}/copy/", {"name": "my-qwen"}, headers=PART)

    assert await ModelAccess.objects.filter(key="my-qwen:latest", audience="administrators").aexists()


@pytest.mark.parametrize("name", ["", "two words", "Qwen3:32b"])
async def test_a_copy_needs_a_name_that_is_free(roots, qwen, name):
    answer = await roots.post(f"/models/{qwen.pk}/copy/", {"name": name}, headers=PART)

    assert b'role="alert"' in answer.content
    assert not await Job.objects.aexists()


async def test_deleting_says_who_used_it_lately(roots, root, alice, qwen):
    for number, user in enumerate([root, alice, alice]):
        usage = {"run": f"00000000-0000-4000-8000-00000000000{number}", "door": "browser", "outcome": "done"}
        await Usage.objects.acreate(user=user, host="gpu-01", model="qwen3:32b", **usage)

    assert "2 people in the last 30 days" in words(await roots.get(f"/models/{qwen.pk}/delete/", headers=PART))


@pytest.mark.parametrize("typed", ["", "qwen3", "QWEN3:32B"])
async def test_nothing_is_deleted_whose_name_was_not_typed(roots, qwen, typed):
    answer = await roots.post(f"/models/{qwen.pk}/delete/", {"name": typed}, headers=PART)

    assert b"That is not its name." in answer.content
    assert not await Job.objects.aexists()


async def test_a_model_whose_name_was_typed_is_deleted(roots, qwen):
    answer = await roots.post(f"/models/{qwen.pk}/delete/", {"name": "qwen3:32b"}, headers=PART)

    assert answer.status_code == 204
    assert (await Job.objects.aget()).kind == "delete"


async def test_what_is_in_the_way_of_deleting_is_said(roots, root, qwen, mara):
    await Job.objects.acreate(kind="pull", host=qwen.host, model="qwen3:32b", model_key="qwen3:32b", started_by=mara)
    answer = await roots.post(f"/models/{qwen.pk}/delete/", {"name": "qwen3:32b"}, headers=PART)

    assert "Mara has something else done with qwen3:32b on gpu-01." in words(answer)
    assert await sync_to_async(Job.objects.count)() == 1
