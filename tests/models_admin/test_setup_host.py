"""The page on which the first host is connected: what it says of an address, step by step."""

import asyncio

import pytest
from django.test import AsyncClient

from webui.accounts.models import AuditEntry
from webui.inference import hosts
from webui.inference.models import Host, InstalledModel

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/setup/host/"


@pytest.fixture
async def without_models(practice):
    """A host on which nothing is installed yet."""
    async with hosts.OllamaClient(practice.url) as client:
        for model in await client.models():
            await client.delete(model.name)
    return practice


async def checked(client: AsyncClient, url: str) -> str:
    return (await client.get("/setup/host/check/", {"url": url})).content.decode()


async def test_the_page_begins_with_the_configured_host_and_what_is_seen_of_it(roots, practice, settings):
    settings.OLLAMA_HOST = practice.url
    page = (await roots.get(PAGE)).content.decode()

    assert f'value="{practice.url}"' in page
    assert "models installed" in page


async def test_the_first_host_is_in_the_audit_log(roots, practice):
    """S58."""
    await roots.post(PAGE, {"url": practice.url})

    entry = await AuditEntry.objects.aget()
    assert (entry.action, entry.after) == ("host_added", {"base_url": practice.url})


async def test_looking_at_the_page_keeps_nothing(roots, practice, settings):
    settings.OLLAMA_HOST = practice.url
    await roots.get(PAGE)

    assert not await Host.objects.aexists()


async def test_the_page_is_there_although_the_configured_host_is_no_address(roots, settings):
    settings.OLLAMA_HOST = "http://gpu 01/"
    page = await roots.get(PAGE)

    assert page.status_code == 200
    assert b"This is not an address" in page.content


async def test_the_check_is_a_part_and_no_page(roots, practice):
    part = await checked(roots, practice.url)

    assert 'id="check"' in part
    assert "<html" not in part


async def test_every_step_of_a_host_that_will_do_is_said(roots, practice):
    part = await checked(roots, practice.url)

    assert part.count("is-ok") == 3
    for words in ("Name resolves", "127.0.0.1", "Answers", "Ollama 0.33.0", "models installed", "practice:latest"):
        assert words in part
    assert "not tried yet" not in part


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "This is not an address"),
        ("http://gpu-01:11434/api", "This is not an address"),
        ("http://me:secret@gpu-01", "This is not an address"),
        ("http://nobody.invalid", "Nobody knows this name"),
        ("http://169.254.169.254", "This address is not allowed here"),
        ("http://10.20.4.31", "Name it in OLLAMA_ALLOWED_HOSTS"),
        ("http://127.0.0.1:9", "No Ollama answers at 127.0.0.1:9"),
    ],
)
async def test_the_first_step_that_fails_is_said_and_the_rest_is_not_tried(roots, typed, sentence):
    part = await checked(roots, typed)

    assert sentence in part
    assert part.count("is-danger") == 1
    assert "The rest is not tried yet" in part


async def test_what_answers_and_is_not_ollama_is_said(roots):
    async def serve(reader, writer):
        await reader.read(2**16)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        part = await checked(roots, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    assert "No Ollama answers" in part


async def test_the_steps_are_said_in_the_language_of_the_administrator(roots, root, practice):
    root.language = "zh-hans"
    await root.asave()

    assert "Name resolves" not in await checked(roots, practice.url)


async def test_an_address_may_be_typed_without_what_goes_without_saying(roots, practice):
    await roots.post(PAGE, {"url": f" {practice.url.removeprefix('http://').upper()}/ "})

    assert [host.base_url async for host in Host.objects.all()] == [practice.url]


async def test_a_host_without_models_leads_to_the_page_that_says_how_to_install_one(roots, without_models):
    answer = await roots.post(PAGE, {"url": without_models.url})

    assert answer.headers["Location"] == "/models/"
    assert b"Pull a model" in (await roots.get("/models/")).content


async def test_what_was_typed_is_kept_and_stays_text(roots):
    page = (await roots.post(PAGE, {"url": 'http://"><script>alert(1)</script>'})).content.decode()

    assert 'value="http://&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in page


async def test_the_practice_host_is_there_on_the_next_page(roots, settings, unused_tcp_port):
    settings.PRACTICE_BIND = f"127.0.0.1:{unused_tcp_port}"
    stop = asyncio.Event()
    serving = asyncio.create_task(hosts.run_practice_host_if_chosen(stop))
    answer = await roots.post("/setup/host/practice/")
    stop.set()
    await serving

    assert answer.headers["Location"] == "/"
    assert await InstalledModel.objects.filter(host__practice=True, name="practice:latest").aexists()
    entry = await AuditEntry.objects.aget()  # S58
    assert (entry.action, entry.what) == ("host_added", "practice")


async def test_the_practice_host_chosen_twice_is_one(roots, settings, unused_tcp_port):
    settings.PRACTICE_BIND = f"127.0.0.1:{unused_tcp_port}"
    stop = asyncio.Event()
    serving = asyncio.create_task(hosts.run_practice_host_if_chosen(stop))
    for _ in range(2):
        await roots.post("/setup/host/practice/")
    stop.set()
    await serving

    assert await Host.objects.acount() == 1
