"""The pages on which administrators start, cancel, retry and dismiss jobs."""

import pytest

from models_admin.jobs import services
from models_admin.models import Job
from tests.pages import Page, text_of

pytestmark = pytest.mark.django_db(transaction=True)

PART = {"HX-Request": "true"}


@pytest.fixture
async def failed(practice_models, root) -> Job:
    return await Job.objects.acreate(
        kind="pull",
        host=practice_models,
        model="qwen3:8b",
        model_key="qwen3:8b",
        started_by=root,
        state="failed",
        phase="moving",
        completed=10_800_000_000,
        total=15_000_000_000,
        error="registry",
        error_detail="max retries exceeded: <b>unexpected EOF</b>",
        ended_at="2026-01-01T00:00Z",
    )


async def words(answer) -> str:
    return " ".join(text_of(Page(answer.content.decode()).root).split())


async def test_a_pull_is_queued_and_shown(roots, root, practice_models):
    part = await roots.post("/models/pull/", {"model": "qwen3:8b", "host": practice_models.pk}, headers=PART)
    job = await Job.objects.aget()

    assert (job.kind, job.model, job.insecure, job.started_by_id) == ("pull", "qwen3:8b", False, root.pk)
    assert "qwen3:8b to practice, started by Root" in await words(part)


async def test_without_scripts_one_comes_back_to_the_page(roots, practice_models):
    answer = await roots.post("/models/pull/", {"model": "qwen3:8b", "host": practice_models.pk})

    assert answer.headers["Location"] == "/models/"


async def test_plain_http_is_used_only_when_it_is_asked_for(roots, practice_models):
    wish = {"model": "reg.lan:5000/team/m:1", "host": practice_models.pk, "insecure": "on"}
    part = await roots.post("/models/pull/", wish, headers=PART)

    assert (await Job.objects.aget()).insecure
    assert "over plain http" in await words(part)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (" qwen3:8b ", "qwen3:8b"),
        ("ollama pull qwen3:8b", "qwen3:8b"),
        ("ollama run qwen3", "qwen3"),
        ("https://hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M", "hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M"),
        ("reg.lan:5000/team/m:1", "reg.lan:5000/team/m:1"),
    ],
)
async def test_a_name_may_be_pasted_as_it_is_found(roots, practice_models, typed, name):
    await roots.post("/models/pull/", {"model": typed, "host": practice_models.pk})

    assert (await Job.objects.aget()).model == name


@pytest.mark.parametrize("typed", ["", "two words", "/etc/passwd", "../../x", "a\nb", "https://", "x:", "-x"])
async def test_what_cannot_be_a_name_is_said_and_stays_in_the_field(roots, practice_models, typed):
    part = await roots.post("/models/pull/", {"model": typed, "host": practice_models.pk}, headers=PART)

    assert part.status_code == 200
    assert b'role="alert"' in part.content
    assert not await Job.objects.aexists()


async def test_a_host_that_is_disabled_takes_no_jobs(roots, practice_models):
    practice_models.enabled = False
    await practice_models.asave()
    await roots.post("/models/pull/", {"model": "qwen3", "host": practice_models.pk}, headers=PART)

    assert not await Job.objects.aexists()


async def test_what_is_in_the_way_is_said(roots, practice_models, start, mara):
    await start("qwen3:8b", kind="delete", by=mara)
    part = await roots.post("/models/pull/", {"model": "qwen3:8b", "host": practice_models.pk}, headers=PART)

    assert "Mara has something else done with qwen3:8b on practice." in await words(part)


async def test_a_failure_stays_on_the_page_in_words(roots, failed):
    """F41, S16."""
    page = await roots.get("/models/")
    said = await words(page)

    assert "practice could not reach the registry, or lost it. Retry when the network is back." in said
    assert "11 GB are kept; retry goes on from there." in said
    assert b"<b>unexpected" not in page.content


async def test_dismissing_takes_a_failure_out_of_the_list_and_not_out_of_the_history(roots, failed):
    part = await roots.post(f"/jobs/{failed.pk}/dismiss/", headers=PART)

    assert "qwen3:8b" not in await words(part)
    assert "qwen3:8b to practice, started by Root" in await words(await roots.get("/jobs/"))


async def test_a_retry_is_a_job_of_its_own(roots, failed):
    part = await roots.post(f"/jobs/{failed.pk}/retry/", headers=PART)
    again = await Job.objects.aget(state="queued")

    assert (again.model, again.host_id) == (failed.model, failed.host_id)
    assert (await words(part)).count("qwen3:8b to practice") == 1


async def test_a_running_job_is_neither_retried_nor_dismissed(roots, start):
    job = await start("qwen3:8b")
    await roots.post(f"/jobs/{job.pk}/retry/")
    await roots.post(f"/jobs/{job.pk}/dismiss/")
    row = await Job.objects.aget()

    assert (row.state, row.dismissed_at) == ("queued", None)


async def test_who_cancelled_is_shown(roots, start):
    job = await start("qwen3:8b")
    part = await roots.post(f"/jobs/{job.pk}/cancel/", headers=PART)

    assert "Cancelled by Root" in await words(part)


async def test_what_a_hostile_registry_says_stays_text(roots, practice_models, start):
    """S15, S16."""
    job = await start("x")
    await Job.objects.filter(pk=job.pk).aupdate(model='"><script>alert(1)</script>')
    page = (await roots.get("/models/")).content.decode()

    assert "<script>alert" not in page


@pytest.mark.parametrize("count", [1, 5])
def test_the_page_needs_the_same_queries_however_many_jobs(client, root, host, count, django_assert_num_queries):
    for number in range(count):
        services.start(kind="pull", host=host, model=f"model-{number}", by=root)
    client.force_login(root)

    with django_assert_num_queries(10):
        client.get("/models/")
