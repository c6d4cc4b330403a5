"""Which addresses somebody may type for a host."""

import socket

import pytest

from webui.inference import addresses
from webui.inference.addresses import AddressRefused, base_url, resolve
from webui.inference.clients import client_to
from webui.ollama import HostUnreachable


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("gpu-01", "http://gpu-01:11434"),
        (" GPU-01:8080 ", "http://gpu-01:8080"),
        ("http://10.20.4.31", "http://10.20.4.31:11434"),
        ("http://10.20.4.31:11434/", "http://10.20.4.31:11434"),
        ("https://ollama.lan", "https://ollama.lan:443"),
        ("http://[::1]:11434", "http://[::1]:11434"),
        ("[fd00::7]", "http://[fd00::7]:11434"),
    ],
)
def test_an_address_is_rebuilt_from_its_parts(typed, stored):
    assert base_url(typed) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "ftp://gpu-01",
        "file:///etc/passwd",
        "http://user:secret@gpu-01",
        "http://gpu-01@evil.example",
        "http://gpu-01/api",
        "http://gpu-01?x=1",
        "http://gpu-01#x",
        "http://gpu 01",
        "http://gpu-01\r\nHost: evil",
        "http://gpu-01:0",
        "http://gpu-01:99999",
        "http://gpu-01:port",
        "http://-gpu",
        "http://[::1",
        "javascript:alert(1)",
        "http://gpu\u3002evil",
        "unix:///run/docker.sock",
    ],
)
def test_what_is_no_plain_address_is_refused(typed):
    """S26."""
    with pytest.raises(AddressRefused) as refused:
        base_url(typed)

    assert refused.value.reason == "form"


@pytest.mark.parametrize("port", [22, 25, 5432, 6379])
def test_ports_of_other_services_are_refused(port):
    """S26."""
    with pytest.raises(AddressRefused) as refused:
        base_url(f"http://gpu-01:{port}")

    assert refused.value.reason == "port"


@pytest.fixture
def names(monkeypatch):
    """``names["gpu-01"] = "10.0.0.7"``: what a name leads to, without asking the network."""
    known: dict[str, str] = {}

    def look_up(name, port, *_, **__):
        try:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[name], port))]
        except KeyError:
            raise socket.gaierror from None

    monkeypatch.setattr(addresses, "getaddrinfo", look_up)
    return known


def reason_for(url: str) -> str:
    try:
        resolve(url)
    except AddressRefused as refused:
        return refused.reason
    return ""


def test_a_name_nobody_knows_is_refused(names):
    assert reason_for("http://nowhere:11434") == "name"


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "::ffff:169.254.169.254", "fe80::1", "::", "ff02::1"]
)
def test_some_addresses_are_refused_whatever_is_allowed(names, settings, address):
    """S25."""
    settings.OLLAMA_ALLOWED_HOSTS = ["0.0.0.0/0", "::/0", "gpu-01"]
    names["gpu-01"] = address

    assert reason_for("http://gpu-01:11434") == "forbidden"


def test_a_network_nobody_allowed_is_refused(names, settings):
    settings.OLLAMA_ALLOWED_HOSTS = []
    names["gpu-01"] = "10.20.4.31"

    assert reason_for("http://gpu-01:11434") == "forbidden"


@pytest.mark.parametrize("rule", ["10.0.0.0/8", "10.20.4.31", "gpu-01", "GPU-01"])
def test_a_rule_is_a_name_an_address_or_a_network(names, settings, rule):
    settings.OLLAMA_ALLOWED_HOSTS = [rule]
    names["gpu-01"] = "10.20.4.31"

    assert reason_for("http://gpu-01:11434") == ""


def test_a_rule_for_one_name_does_not_cover_a_longer_one(names, settings):
    settings.OLLAMA_ALLOWED_HOSTS = ["gpu-01"]
    names["gpu-01.evil.example"] = "10.20.4.31"

    assert reason_for("http://gpu-01.evil.example:11434") == "forbidden"


def test_the_configured_host_needs_no_rule(names, settings):
    settings.OLLAMA_HOST = "http://gpu-01:11434"
    names["gpu-01"] = "10.20.4.31"

    assert reason_for("http://gpu-01:11434") == ""


def test_this_machine_needs_no_rule(names):
    names["localhost"] = "127.0.0.1"

    assert reason_for("http://localhost:11434") == ""


# OLLAMA_HOST is also what Ollama itself reads, and people write all sorts of things there.
@pytest.mark.parametrize("configured", ["http://gpu-01:11434/v1", "0.0.0.0", "", "gpu 01", "http://[::1"])
def test_a_configured_host_that_is_no_address_is_in_nobodys_way(names, settings, configured):
    settings.OLLAMA_HOST = configured
    names["localhost"] = "127.0.0.1"

    assert reason_for("http://localhost:11434") == ""


@pytest.mark.parametrize("typed", ["0x7f000001", "2130706433", "127.1", "[::ffff:7f00:1]", "127.0.0.1"])
def test_this_machine_is_allowed_however_its_number_is_written(settings, typed):
    settings.OLLAMA_ALLOWED_HOSTS = []

    assert reason_for(base_url(f"http://{typed}")) == ""


@pytest.mark.parametrize(
    "typed", ["0xa9fea9fe", "2852039166", "169.254.43518", "[::ffff:a9fe:a9fe]", "0x0", "0", "[::]", "[fe80::1]"]
)
def test_what_is_never_allowed_is_not_however_its_number_is_written(settings, typed):
    """S25."""
    settings.OLLAMA_ALLOWED_HOSTS = ["0.0.0.0/0", "::/0"]

    assert reason_for(base_url(f"http://{typed}")) == "forbidden"


@pytest.mark.parametrize("typed", ["0x08080808", "134744072", "8.8.2056", "[2001:4860:4860::8888]"])
def test_what_nobody_allowed_is_not_however_its_number_is_written(settings, typed):
    """S25."""
    settings.OLLAMA_ALLOWED_HOSTS = []

    assert reason_for(base_url(f"http://{typed}")) == "forbidden"


def test_a_name_with_one_allowed_address_and_one_that_is_not_is_refused(settings, monkeypatch):
    settings.OLLAMA_ALLOWED_HOSTS = ["10.0.0.0/8"]
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 11434)) for address in ("10.0.0.7", "8.8.8.8")]
    monkeypatch.setattr(addresses, "getaddrinfo", lambda *_: both)

    assert reason_for("http://gpu-01:11434") == "forbidden"


@pytest.mark.parametrize("url", ["http://a..b:11434", "http://" + "a" * 64 + ":11434"])
def test_a_name_that_cannot_be_one_is_known_to_nobody(url):
    assert reason_for(url) == "name"


async def test_a_name_that_leads_elsewhere_after_it_was_looked_at_is_not_followed(names, settings, practice):
    """S28."""
    names["localhost"] = "127.0.0.1"
    async with client_to(practice.url.replace("127.0.0.1", "localhost")) as client:
        assert await client.version()

    names["localhost"] = "8.8.8.8"
    async with client_to(practice.url.replace("127.0.0.1", "localhost")) as client:
        with pytest.raises(HostUnreachable, match="forbidden"):
            await client.version()
