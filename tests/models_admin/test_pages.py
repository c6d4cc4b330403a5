"""The pages on which an administrator connects the first host."""

import pytest

from webui.inference.models import Host, InstalledModel

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_host_that_answers_is_kept_with_its_models(roots, practice):
    answer = await roots.post("/setup/host/", {"url": practice.url})

    host = await Host.objects.aget()
    assert answer.headers["Location"] == "/"
    assert (host.base_url, host.health) == (practice.url, Host.Health.WELL)
    assert await InstalledModel.objects.filter(host=host, name="practice:latest").aexists()


async def test_the_same_host_again_is_the_same_host(roots, practice):
    for _ in range(2):
        await roots.post("/setup/host/", {"url": practice.url})

    assert await Host.objects.acount() == 1


async def test_a_host_that_does_not_answer_is_not_kept_and_the_address_stays(roots, unused_tcp_port):
    address = f"http://127.0.0.1:{unused_tcp_port}"
    page = (await roots.post("/setup/host/", {"url": address})).content.decode()

    assert not await Host.objects.aexists()
    assert f'value="{address}"' in page
    assert f"No Ollama answers at 127.0.0.1:{unused_tcp_port}" in page


@pytest.mark.parametrize(
    "typed", ["", "http://169.254.169.254", "http://8.8.8.8", "file:///etc/passwd", "<script>", "a" * 400]
)
async def test_an_address_that_will_not_do_is_not_kept(roots, typed):
    page = await roots.post("/setup/host/", {"url": typed})

    assert page.status_code == 200
    assert not await Host.objects.aexists()
    assert b"<script>" not in page.content


async def test_the_check_while_typing_keeps_nothing(roots, practice):
    part = await roots.get("/setup/host/check/", {"url": practice.url})

    assert b"models installed" in part.content
    assert not await Host.objects.aexists()


async def test_the_list_of_models_says_when_there_are_none(roots):
    assert (await roots.get("/models/")).status_code == 200


async def test_the_names_of_a_hostile_hosts_models_stay_text(roots, host):
    await InstalledModel.objects.acreate(
        host=host,
        name="<img src=x onerror=alert(1)>",
        family="<b>",
        quantization='"><script>',
        seen_at="2026-01-01T00:00Z",
    )
    page = (await roots.get("/models/")).content.decode()

    assert "<img src=x" not in page
    assert "<script>" not in page.replace("<script src=", "")
