"""Jobs that run: who does them, how they end, and what is left of them."""

import asyncio
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from models_admin.jobs import services
from models_admin.models import Job
from webui.inference.models import InstalledModel

pytestmark = pytest.mark.django_db(transaction=True)


def pulls(practice) -> int:
    return sum(request.endpoint == "/api/pull" for request in practice.requests)


async def half_way(until, job) -> Job:
    """It waits at the gate."""
    return await until(job, lambda row: row.completed > 0)


async def test_a_pull_ends_with_all_its_bytes_and_the_model_is_there(jobs_driver, start, until_over):
    job = await until_over(await start("practice-small"))

    assert (job.state, job.error, job.ended_at is None) == ("done", "", False)
    assert job.completed == job.total > 12_000_000
    assert await InstalledModel.objects.filter(host=job.host, name="practice-small:latest").aexists()


async def test_several_are_done_at_once(jobs_driver, practice, start, until, until_over):
    waiting = await half_way(until, await start("fault-pull-gate"))
    other = await until_over(await start("practice-small"))

    assert (waiting.state, other.state) == ("running", "done")


async def test_figures_of_a_running_job_are_stored_while_it_runs(jobs_driver, start, until):
    job = await half_way(until, await start("fault-pull-gate"))

    assert (job.state, job.phase) == ("running", "moving")
    assert 0 < job.completed < job.total


@pytest.mark.parametrize(
    ("model", "error", "said"),
    [
        ("nobody-knows-it", "unknown", "file does not exist"),
        ("fault-pull-digest", "digest", "digest mismatch"),
        ("fault-pull-newer", "newer", "newer version"),
        ("fault-pull-broken", "registry", "unexpected EOF"),
        ("fault-pull-disk", "disk", "no space left"),
        ("fault-pull-http", "plain-http", "gave HTTP response"),
    ],
)
async def test_a_failure_keeps_its_sentence(jobs_driver, start, until_over, model, error, said):
    """F41."""
    job = await until_over(await start(model))

    assert (job.state, job.error) == ("failed", error)
    assert said in job.error_detail


async def test_a_host_that_does_not_answer_is_said(jobs_driver, start, until_over, practice):
    await practice.stop()
    job = await until_over(await start("practice-small"))

    assert (job.state, job.error) == ("failed", "unreachable")


async def test_a_host_that_goes_away_in_the_middle_is_said_and_what_came_is_known(
    jobs_driver, practice, start, until, until_over
):
    job = await half_way(until, await start("fault-pull-gate"))
    await practice.stop()
    job = await until_over(job)

    assert (job.state, job.error) == ("failed", "lost")
    assert job.completed > 0


async def test_cancelling_ends_it_at_the_host_and_keeps_who_did(jobs_driver, practice, mara, start, until, until_over):
    job = await half_way(until, await start("fault-pull-gate"))
    await sync_to_async(services.cancel)(job=job, by=mara)
    job = await until_over(job)
    async with asyncio.timeout(5):
        while practice.requests[-1].outcome != "left":
            await asyncio.sleep(0.01)

    assert (job.state, job.cancelled_by, job.started_by.username) == ("cancelled", mara, "root")


async def test_a_cancelled_pull_goes_on_where_it_stopped(jobs_driver, practice, root, start, until, until_over):
    job = await half_way(until, await start("fault-pull-gate"))
    await sync_to_async(services.cancel)(job=job, by=root)
    job = await until_over(job)
    again = await sync_to_async(services.retry)(job=job, by=root)
    row = await until(again, lambda row: row.completed > 0)
    practice.release()
    row = await until_over(again)

    assert again.pk != job.pk
    assert row.state == "done"
    assert (await Job.objects.aget(pk=job.pk)).dismissed_at is not None


async def test_a_job_nobody_does_yet_is_cancelled_at_once(start, root):
    job = await start("practice-small")
    await sync_to_async(services.cancel)(job=job, by=root)

    assert (await Job.objects.aget(pk=job.pk)).state == "cancelled"


async def test_a_process_that_ends_hands_its_jobs_over(jobs_driver, practice, start, until, until_over):
    job = await half_way(until, await start("fault-pull-gate"))
    await jobs_driver.close()
    handed = await Job.objects.aget(pk=job.pk)
    jobs_driver.open()
    practice.release()
    done = await until_over(job)

    assert (handed.state, handed.owner) == ("queued", None)
    assert handed.completed > 0
    assert done.state == "done"


async def test_the_job_of_a_process_that_died_is_found_and_goes_on(practice_models, root, jobs_driver, until_over):
    job = await Job.objects.acreate(
        kind="pull",
        host=practice_models,
        model="practice-small",
        model_key="practice-small:latest",
        started_by=root,
        state="running",
        owner=uuid4(),
        lease_expires=timezone.now(),
    )

    assert (await until_over(job)).state == "done"


async def test_a_job_that_another_process_took_is_let_go(jobs_driver, practice, start, until):
    job = await half_way(until, await start("fault-pull-gate"))
    other = uuid4()
    await Job.objects.filter(pk=job.pk).aupdate(owner=other)
    jobs_driver.look_now()
    async with asyncio.timeout(5):
        while practice.requests[-1].outcome != "left":
            await asyncio.sleep(0.01)
    row = await Job.objects.aget(pk=job.pk)

    assert (row.state, row.owner) == ("running", other)


async def test_an_error_of_ours_ends_the_job_instead_of_coming_again(
    practice_models, root, jobs_driver, until_over, caplog
):
    job = await Job.objects.acreate(
        kind="create", host=practice_models, model="x", model_key="x:latest", started_by=root, request=["no object"]
    )
    row = await until_over(job)

    assert (row.state, row.error) == ("failed", "internal")
    assert f"job {job.pk} died" in caplog.text


async def test_two_who_ask_for_the_same_share_one_job(jobs_driver, practice, start, until, mara):
    """F42."""
    first = await half_way(until, await start("fault-pull-gate"))
    second = await start("Fault-Pull-Gate:latest", by=mara)

    assert second.pk == first.pk
    assert pulls(practice) == 1


async def test_something_else_with_the_same_model_has_to_wait(start):
    """F42."""
    await start("practice-small")

    with pytest.raises(services.Busy):
        await start("practice-small", kind="delete")


async def test_a_copy_is_made(jobs_driver, start, until_over):
    job = await until_over(await start("my-copy", kind="copy", source="practice:latest"))

    assert job.state == "done"
    assert await InstalledModel.objects.filter(host=job.host, name="my-copy:latest").aexists()


async def test_a_push_counts_its_bytes(jobs_driver, start, until_over):
    job = await until_over(await start("practice:latest", kind="push"))

    assert (job.state, job.completed == job.total > 0) == ("done", True)


async def test_deleting_takes_a_model_out_of_memory_first(jobs_driver, practice, start, until_over):
    job = await until_over(await start("practice:latest", kind="delete"))
    asked = [request.endpoint for request in practice.requests if request.endpoint in ("/api/generate", "/api/delete")]

    assert job.state == "done"
    assert asked == ["/api/generate", "/api/delete"]
    assert not await InstalledModel.objects.filter(host=job.host, name="practice:latest").aexists()


async def test_deleting_what_is_gone_already_is_done(jobs_driver, start, until_over):
    assert (await until_over(await start("never-was", kind="delete"))).state == "done"
