"""The editor's pages: a model from another one, or an installed one changed; on hosts old and new."""

import pytest
from asgiref.sync import sync_to_async

from models_admin.models import Job
from tests.conftest import install
from tests.pages import Page, text_of
from webui.inference.access import may_use
from webui.inference.models import InstalledModel, ModelAccess
from webui.ollama import OllamaClient
from webui.practice import PracticeHost

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = 'FROM practice:latest\nPARAMETER temperature 0.2\nPARAMETER stop END\nSYSTEM """你是\n法务助理。"""\n'


def words(answer) -> str:
    return " ".join(text_of(Page(answer.content.decode()).root).split())


@pytest.fixture
def wish(practice_models) -> dict:
    return {"name": "team/review", "host": practice_models.pk, "text": TEXT}


async def test_a_new_one_begins_with_a_base_and_has_nothing_to_fix(roots, practice_models):
    page = await roots.get("/models/new/", {"host": practice_models.pk, "from": "practice:latest"})

    assert "FROM practice:latest" in Page(page.content.decode()).text("mt")
    assert "Nothing to fix" in words(page)


async def test_it_becomes_a_job_with_what_old_and_new_hosts_read(roots, wish):
    answer = await roots.post("/models/new/", wish)
    job = await Job.objects.aget()

    assert answer.headers["Location"] == "/models/"
    assert (job.kind, job.model, job.request["from"]) == ("create", "team/review", "practice:latest")
    assert job.request["parameters"] == {"temperature": 0.2, "stop": ["END"]}
    assert job.request["system"] == "你是\n法务助理。"
    assert job.request["modelfile"].startswith("FROM practice:latest\nPARAMETER temperature 0.2\n")


@pytest.mark.parametrize("old", [False, True])
async def test_the_model_is_made_and_can_be_asked(jobs_driver, roots, wish, until_over, old):
    async with PracticeHost(old=old) as practice:
        host = await sync_to_async(lambda: install(practice.url, name="other"))()
        await roots.post("/models/new/", {**wish, "host": host.pk})
        job = await until_over(await Job.objects.aget())
        async with OllamaClient(practice.url) as client:
            shown = await client.show("team/review")
            answer = [chunk async for chunk in client.chat(model="team/review", messages=[])]

    assert (job.state, job.error_detail) == ("done", "")
    assert shown.system == "你是\n法务助理。"
    assert answer[-1].done
    assert await InstalledModel.objects.filter(host=host, name="team/review:latest").aexists()


async def test_it_is_for_administrators_until_it_was_tried(roots, wish, alice):
    await roots.post("/models/new/", {**wish, "private": "on"})

    assert not await sync_to_async(may_use)(alice, "team/review:latest")


async def test_it_is_for_whom_its_base_is_for(roots, wish, alice):
    """S32. Also when nobody asked for that."""
    await sync_to_async(ModelAccess.objects.create)(key="practice:latest", audience="administrators")
    await roots.post("/models/new/", wish)

    assert await ModelAccess.objects.filter(key="team/review:latest", audience="administrators").aexists()


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "two words"},
        {"name": "practice"},
        {"host": "999"},
        {"text": ""},
        {"text": "FROM /etc/passwd"},
        {"text": "FROM https://evil.example/model"},
        {"text": "FROM practice:latest\nADAPTER /etc/passwd"},
        {"text": "FROM practice:latest\nPARAMETER max_tokens 5"},
        {"quantize": "Q99"},
    ],
)
async def test_what_will_not_do_is_not_sent_and_stays_on_the_page(roots, wish, fields):
    """S34."""
    page = await roots.post("/models/new/", {**wish, **fields})

    assert page.status_code == 200
    assert not await Job.objects.aexists()
    if fields.get("text"):
        assert fields["text"].splitlines()[-1] in Page(page.content.decode()).text("mt")


async def test_the_check_while_typing_is_a_part_that_leaves_the_text_alone(roots, wish):
    part = await roots.post("/models/new/check/", {**wish, "text": "FROM practice\nPARAMETER max_tokens 5"})
    html = part.content.decode()

    assert "there is no parameter “max_tokens”. Ollama calls it num_predict." in words(part)
    assert '<li class="is-bad">2</li>' in html
    assert 'id="mt"' not in html
    assert not await Job.objects.aexists()


async def test_one_click_mends_a_problem(roots, wish):
    sent = {**wish, "text": "FROM practice\nPARAMETER max_tokens 5", "fix": "parameter:2"}
    page = Page((await roots.post("/models/new/check/", sent)).content.decode())

    assert page.text("mt") == "FROM practice\nPARAMETER num_predict 5"
    assert "Nothing to fix" in page.text("mf-side")


async def test_a_mending_that_is_not_needed_any_more_changes_nothing(roots, wish):
    page = Page((await roots.post("/models/new/check/", {**wish, "fix": "parameter:2"})).content.decode())

    assert page.text("mt") == TEXT


async def test_an_installed_model_is_edited_as_itself_and_the_difference_shown(roots, practice, practice_models):
    async with OllamaClient(practice.url) as client:
        request = {"from": "practice:latest", "system": "Old.", "parameters": {"temperature": 0.5}}
        async for _ in client.create("mine", request):
            pass
    found = await InstalledModel.objects.acreate(
        host=practice_models, name="mine:latest", seen_at="2026-01-01T00:00Z", digest="x"
    )
    page = Page((await roots.get(f"/models/{found.pk}/modelfile/")).content.decode())
    text = page.text("mt")
    sent = {"name": "mine:latest", "replaces": "mine:latest", "host": practice_models.pk, "original": text}
    changed = await roots.post("/models/new/check/", {**sent, "text": text.replace("Old.", "New.")})

    assert text.startswith("FROM mine:latest")
    assert "/blobs/" not in text
    assert "- SYSTEM Old." in words(changed)
    assert "+ SYSTEM New." in words(changed)
    assert (await roots.post("/models/new/", {**sent, "text": text.replace("Old.", "New.")})).status_code == 302


async def test_a_host_that_does_not_say_is_named(roots, host):
    found = await InstalledModel.objects.acreate(host=host, name="x", seen_at="2026-01-01T00:00Z")

    assert "gpu-01 does not say now how this model is made." in words(await roots.get(f"/models/{found.pk}/modelfile/"))


async def test_what_is_written_stays_text(roots, wish):
    """S15."""
    evil = "</textarea><script>alert(1)</script>"
    for text in (f"FROM {evil}", f"FROM practice\nPARAMETER {evil} 1", f"{evil}", f"FROM practice\nSYSTEM {evil}"):
        page = await roots.post("/models/new/", {**wish, "name": "", "text": text, "original": evil})

        assert "<script>alert" not in page.content.decode()
