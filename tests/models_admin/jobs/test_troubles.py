"""Why a job failed, in a word, from what real hosts say."""

import asyncio

import pytest
from django.utils import timezone

from models_admin.jobs.troubles import trouble_of
from models_admin.models import Job
from tests.pages import Page, text_of
from webui.ollama import (
    HostBusy,
    HostUnreachable,
    ModelFailed,
    ModelNotFound,
    OllamaClient,
    OllamaError,
    RequestRefused,
    StreamBroken,
    StreamCut,
    StreamSilent,
    UnexpectedAnswer,
)


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ("pull model manifest: file does not exist", "unknown"),
        ("couldn't retrieve manifest", "unknown"),
        ("pull model manifest: 412: \n\nThe model requires a newer version of Ollama.", "newer"),
        ("digest mismatch, file must be downloaded again: want sha256:1, got sha256:2", "digest"),
        ("write /root/.ollama/models/blobs/sha256-1-partial: no space left on device", "disk"),
        ("max retries exceeded: unexpected EOF", "registry"),
        ('pull model manifest: Get "https://r/v2/": dial tcp: lookup r on 127.0.0.53:53: no such host', "registry"),
        ('Get "https://r/v2/": dial tcp 10.0.0.1:443: connect: connection refused', "registry"),
        ("pull model manifest: 500: <html>internal error</html>", "registry"),
        ('Get "https://r:5000/v2/": http: server gave HTTP response to HTTPS client', "plain-http"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "certificate"),
        ("pull model manifest: 401: unauthorized", "forbidden"),
        ("you are not authorized to push to this namespace", "forbidden"),
        ("invalid model name", "name"),
    ],
)
@pytest.mark.parametrize("way", [ModelFailed, lambda text: RequestRefused(text, 500)], ids=["in a stream", "at once"])
def test_a_reason_is_found_however_it_was_said(said, trouble, way):
    """F41."""
    assert trouble_of(way(said)) == trouble


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (HostUnreachable("no such host"), "unreachable"),
        (StreamBroken("peer closed"), "lost"),
        (StreamCut("The host ended without saying success."), "cut"),
        (StreamSilent("ReadTimeout"), "silent"),
        (HostBusy("server busy"), "busy"),
        (ModelNotFound("model 'x' not found", 404), "unknown"),
        (UnexpectedAnswer("<html>"), "odd"),
        (RequestRefused("something new", 500), "other"),
        (ModelFailed("something new"), "model"),
    ],
)
def test_what_is_no_reason_of_the_registry_is_told_by_its_kind(error, trouble):
    assert trouble_of(error) == trouble


async def test_a_host_that_answers_at_once_with_an_error_is_heard():
    said = b'{"error":"pull model manifest: file does not exist"}'
    head = b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(said)

    served = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"}")
        writer.write(head + said)
        writer.close()
        await writer.wait_closed()
        served.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, OllamaClient(address) as client:
        with pytest.raises(OllamaError) as raised:
            async for _ in client.pull("nobody-knows-it"):
                pass
        await served.wait()

    assert trouble_of(raised.value) == "unknown"


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_reason_has_a_sentence_of_its_own(client, root, host, language):
    root.language = language
    root.save()
    client.force_login(root)
    reasons = [
        "unknown",
        "digest",
        "disk",
        "newer",
        "registry",
        "plain-http",
        "certificate",
        "forbidden",
        "name",
        "other",
    ]
    for reason in reasons:
        job = {"kind": "pull", "host": host, "model": reason, "model_key": reason, "started_by": root}
        Job.objects.create(**job, state="failed", error=reason, ended_at=timezone.now())
    page = Page(client.get("/models/").content.decode())
    said = {" ".join(text_of(words).split()) for words in page.root.findall(".//span[@class='is-danger']")}

    assert len(said) == len(reasons)
    assert all(len(sentence) > 8 for sentence in said)
