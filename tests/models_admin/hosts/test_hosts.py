"""The pages of the hosts."""

import asyncio
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from models_admin.hosts import listing, services
from models_admin.hosts.forms import GB
from models_admin.models import Job
from tests.models_admin.test_models import add, words
from tests.pages import Page
from tests.webui.inference.test_hosts import model, saying
from webui.accounts.models import AuditEntry
from webui.ids import uuid7
from webui.inference import lines
from webui.inference.models import Host, Turn, Usage, WaitingLine

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {"name": "gpu-02", "slots": "3", "memory_gb": "48"}


def part_of(answer, id_: str) -> str:
    return Page(answer.content.decode()).text(id_)


# What is shown


async def test_a_host_that_is_well_shows_what_is_in_its_memory_and_how_much_is_left(roots, host):
    await Host.objects.filter(pk=host.pk).aupdate(total_memory=96 * GB, version="0.12.6", took_ms=4)
    soon = timezone.now() + timedelta(minutes=4.5)
    await add(host, "qwen3:32b", loaded=True, memory=24 * GB, expires_at=soon)
    for_ever = timezone.now() + timedelta(days=999)
    await add(host, "qwen3:8b", loaded=True, memory=12 * GB, expires_at=for_ever)
    await add(host, "qwen3:also", digest="qwen3:8b", loaded=True, memory=12 * GB, expires_at=for_ever)

    page = Page((await roots.get("/hosts/")).content.decode())

    bars = [(rect.get("x"), rect.get("width")) for rect in page.root.iter("{http://www.w3.org/2000/svg}rect")]
    assert bars == [("0.00%", "25.00%"), ("25.00%", "12.50%")]
    said = " ".join(page.text(f"host-{host.pk}").split())
    assert "36 GB of 96 GB" in said
    assert "qwen3:32b24 GB · leaves in 4 min" in said
    assert "qwen3:also12 GB · stays" in said
    assert "qwen3:8b" not in said


async def test_a_host_that_does_not_answer_says_since_when_why_and_what_lives_only_there(roots, host):
    other = await Host.objects.acreate(name="gpu-02", base_url="http://127.0.0.1:8", health=Host.Health.WELL)
    await Host.objects.filter(pk=host.pk).aupdate(health="unreachable", last_error="No connection in time", tries=31)
    await add(host, "phi4:latest")
    await add(host, "both:latest")
    await add(other, "both:latest")

    said = part_of(await roots.get("/hosts/"), f"host-{host.pk}")

    assert "It has never answered" in said
    assert "No connection in time" in said
    assert "One model lives only there: phi4:latest." in said
    assert "31" in said


async def test_who_waits_and_how_quick_the_first_token_comes_is_shown(roots, root, host):
    joining = [lines.Standing(uuid7(), (host.pk, "qwen3:8b"), root.pk, Usage.Door.BROWSER) for _ in range(3)]
    settle = sync_to_async(lines.settle)
    await settle(uuid7(), joining=joining, leaving=set(), keys={(host.pk, "qwen3:8b")})
    for ms in (700, 800, 9000):
        facts = {"door": "browser", "model": "qwen3:8b", "outcome": "done"}
        await Usage.objects.acreate(run=uuid7(), user=root, host=host.name, first_piece_ms=ms, **facts)

    said = " ".join(part_of(await roots.get("/hosts/"), f"host-{host.pk}").split())

    assert "Answering1 In line2 First token0.8 s" in said


async def test_without_a_host_the_page_says_what_one_is(roots):
    assert "No host is connected yet" in words(await roots.get("/hosts/"))


def test_ten_hosts_cost_as_many_queries_as_one(host):
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            listing.cards()
        return len(queries)

    alone = cost()
    for number in range(10):
        Host.objects.create(name=f"more-{number}", base_url=f"http://127.0.0.1:{number + 20}")
    assert cost() == alone


# Adding


async def test_a_host_that_passes_its_check_is_kept_and_looked_at(roots, practice):
    answer = await roots.post("/hosts/new/", {**FORM, "url": practice.url})

    assert answer.status_code == 302
    host = await Host.objects.aget(name="gpu-02")
    assert (host.base_url, host.slots, host.total_memory) == (practice.url, 3, 48 * GB)
    assert await host.models.aexists()


async def test_a_host_that_does_not_answer_is_not_kept_and_nothing_typed_is_lost(roots):
    answer = await roots.post("/hosts/new/", {**FORM, "url": "http://127.0.0.1:9"})

    assert "No Ollama answers" in part_of(answer, "check")
    assert 'value="gpu-02"' in answer.content.decode()
    assert not await Host.objects.aexists()


@pytest.mark.parametrize(("taken", "field"), [("gpu-02", "name"), ("gpu-03", "address")])
async def test_what_another_administrator_takes_while_the_host_is_looked_at_is_said(roots, taken, field):
    async def take() -> None:
        other = "http://127.0.0.1:9" if field == "name" else url
        await asyncio.to_thread(in_a_thread, Host.objects.get_or_create, name=taken, base_url=other)

    in_memory = {"models": [model("good")]}
    async with saying(tags=in_memory, ps=in_memory, meanwhile=take) as url:
        answer = await roots.post("/hosts/new/", {**FORM, "url": url})

    assert f"Another host has that {field}." in words(answer)
    assert await Host.objects.acount() == 1
    assert not await AuditEntry.objects.aexists()


async def test_what_another_administrator_takes_while_a_host_is_changed_is_said(roots, host):
    async def take() -> None:
        other = {"name": FORM["name"], "base_url": "http://127.0.0.1:19"}
        await asyncio.to_thread(in_a_thread, Host.objects.get_or_create, **other)

    in_memory = {"models": [model("good")]}
    async with saying(tags=in_memory, ps=in_memory, meanwhile=take) as url:
        answer = await roots.post(f"/hosts/{host.pk}/", {**FORM, "url": url})

    assert "Another host has that name." in words(answer)
    assert (await Host.objects.aget(pk=host.pk)).base_url == host.base_url


async def test_the_check_follows_the_form(roots, practice):
    assert "Answers" in part_of(await roots.post("/hosts/new/check/", {**FORM, "url": practice.url}), "check")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "gpu-01", "Another host has that name."),
        ("url", "http://127.0.0.1:9", "Another host has that address."),
        ("url", "http://127.0.0.1:9/api", "This is not an address"),
        ("slots", "0", "greater than or equal to 1"),
        ("memory_gb", "-1", "greater than or equal to 0"),
        ("bearer", "two words", "A token has no blanks"),
        ("authority", "-----BEGIN NONSENSE-----", "This is no certificate."),
        ("authority", "证书", "This is no certificate."),
    ],
)
async def test_what_cannot_be_is_said_beside_its_field(roots, host, field, value, sentence):
    answer = await roots.post("/hosts/new/", {**FORM, "url": "http://127.0.0.1:7", field: value})

    assert sentence in words(answer)
    assert await Host.objects.acount() == 1


# Changing


async def test_a_token_is_kept_and_never_shown(roots, host):
    await Host.objects.filter(pk=host.pk).aupdate(bearer="SECRET-TOKEN")
    page = await roots.get(f"/hosts/{host.pk}/")
    assert b"SECRET-TOKEN" not in page.content

    await roots.post(f"/hosts/{host.pk}/", {**FORM, "url": host.base_url, "bearer": ""})

    await host.arefresh_from_db()
    assert (host.name, host.bearer) == ("gpu-02", "SECRET-TOKEN")


async def test_another_address_begins_without_a_token(roots, host, practice):
    await Host.objects.filter(pk=host.pk).aupdate(bearer="SECRET-TOKEN")

    await roots.post(f"/hosts/{host.pk}/", {**FORM, "url": practice.url})

    await host.arefresh_from_db()
    assert (host.base_url, host.bearer) == (practice.url, "")


async def test_a_token_can_be_forgotten(roots, practice_models):
    await Host.objects.filter(pk=practice_models.pk).aupdate(bearer="SECRET-TOKEN")

    await roots.post(f"/hosts/{practice_models.pk}/", {**FORM, "url": practice_models.base_url, "forget_bearer": "on"})

    await practice_models.arefresh_from_db()
    assert practice_models.bearer == ""


async def test_a_way_that_does_not_work_is_not_kept(roots, practice_models):
    answer = await roots.post(f"/hosts/{practice_models.pk}/", {**FORM, "url": "http://127.0.0.1:9"})

    assert "No Ollama answers" in part_of(answer, "check")
    assert await Host.objects.filter(base_url=practice_models.base_url).aexists()


async def test_a_host_that_is_away_can_still_be_renamed(roots, host):
    answer = await roots.post(f"/hosts/{host.pk}/", {**FORM, "url": host.base_url})

    assert answer.status_code == 302
    assert await Host.objects.filter(name="gpu-02").aexists()


async def test_a_host_is_set_aside_and_taken_back(roots, root, host):
    said = words(await roots.post(f"/hosts/{host.pk}/aside/", {"do": "aside"}, headers={"HX-Request": "true"}))
    assert "takes no new questions" in said
    assert f"Set aside by {root.name}" in said
    assert not await Host.objects.serving().aexists()

    await roots.post(f"/hosts/{host.pk}/aside/", {"do": "back"})
    assert await Host.objects.serving().aexists()


async def test_a_host_is_switched_off_and_on(roots, host):
    await roots.post(f"/hosts/{host.pk}/switch/", {"do": "off"})
    assert "switched off" in words(await roots.get("/hosts/"))
    assert not await Host.objects.serving().aexists()

    await roots.post(f"/hosts/{host.pk}/switch/", {"do": "on"})
    assert await Host.objects.serving().aexists()


async def test_looking_now_brings_what_changed(roots, practice_models):
    await Host.objects.filter(pk=practice_models.pk).aupdate(health="unreachable", tries=3)

    said = words(await roots.post(f"/hosts/{practice_models.pk}/look/", headers={"HX-Request": "true"}))

    assert "healthy" in said
    assert "unreachable" not in said


async def test_a_host_is_removed_when_its_name_was_typed_and_its_jobs_stay_in_the_history(roots, root, host):
    job = await Job.objects.acreate(kind="pull", host=host, model="a", model_key="a:latest", started_by=root)
    assert "That is not its name." in words(await roots.post(f"/hosts/{host.pk}/remove/", {"name": "gpu"}))

    await roots.post(f"/hosts/{host.pk}/remove/", {"name": host.name})

    assert not await Host.objects.aexists()
    await job.arefresh_from_db()
    assert (job.state, job.host_name) == ("cancelled", "gpu-01")
    assert "to gpu-01, started by Root" in words(await roots.get("/jobs/"))


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A key and the certificate of 127.0.0.1 that it signs itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gpu-01")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(key.private_bytes(*plain) + made.public_bytes(Encoding.PEM))
    return path


@asynccontextmanager
async def secured(practice, certificate):
    """The practice host, behind a certificate that nobody else has signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def copy(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", int(practice.url.rpartition(":")[2]))
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_certificate_that_nobody_signed_is_named(roots, practice, certificate):
    async with secured(practice, certificate) as url:
        answer = await roots.post("/hosts/new/", {**FORM, "url": url})

    assert "Its certificate is not trusted here" in part_of(answer, "check")
    assert not await Host.objects.aexists()


@pytest.mark.parametrize("trust", ["authority", "any_certificate"])
async def test_a_company_trusts_its_own_certificates(roots, practice, certificate, trust):
    pem = certificate.read_text()
    trust = {trust: "on" if trust == "any_certificate" else pem[pem.index("-----BEGIN CERTIFICATE") :]}
    async with secured(practice, certificate) as url:
        answer = await roots.post("/hosts/new/", {**FORM, "url": url, **trust})

    assert answer.status_code == 302
    assert await Host.objects.filter(base_url=url, health="well").aexists()


# What is recorded


async def test_no_token_is_in_the_audit_log(roots, practice):
    await roots.post("/hosts/new/", {**FORM, "url": practice.url, "bearer": "SECRET-TOKEN"})

    entry = await AuditEntry.objects.aget(action="host_added")
    assert "SECRET-TOKEN" not in str((entry.what, entry.before, entry.after))
    assert (entry.after["slots"], entry.after["token"]) == (3, "changed")


async def test_who_is_trusted_for_a_host_is_in_the_audit_log(roots, practice_models, certificate):
    """S58."""
    pem = certificate.read_text()
    trust = {"authority": pem[pem.index("-----BEGIN CERTIFICATE") :], "any_certificate": "on"}

    await roots.post(f"/hosts/{practice_models.pk}/", {**FORM, "url": practice_models.base_url, **trust})

    entry = await AuditEntry.objects.aget(action="host_changed")
    assert (entry.before["verify_tls"], entry.after["verify_tls"]) == (True, False)
    assert entry.after["authority"] == "changed"


def test_a_host_is_removed_while_its_line_moves(root, host):
    """Whoever changes a turn holds the row of its line first; otherwise each would wait for the other."""
    key = (host.pk, "qwen3:8b")
    standing = lines.Standing(uuid7(), key, root.pk, Usage.Door.BROWSER)
    lines.settle(uuid7(), joining=[standing], leaving=set(), keys={key})

    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            WaitingLine.objects.select_for_update().get(host=host)
            removed = other.submit(in_a_thread, services.remove, host=host, by=root)
            wait_until_somebody_waits()
            Turn.objects.update(lease_expires=timezone.now())
        removed.result()

    assert not Host.objects.exists()


def in_a_thread(work, **facts) -> None:
    try:
        work(**facts)
    finally:
        connection.close()


def wait_until_somebody_waits() -> None:
    with connection.cursor() as cursor:
        for _ in range(500):
            cursor.execute("select 1 from pg_locks where not granted")
            if cursor.fetchone():
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")
