"""Whose requests, forms and sockets are our own."""

import pytest

from webui.origins import hosts_of, origins_of


@pytest.mark.parametrize(
    ("public_url", "hosts"),
    [
        ("https://tea.example", ["tea.example"]),
        ("https://Tea.Example:8443", ["tea.example"]),
        ("http://10.0.0.7:8000", ["10.0.0.7"]),
        ("http://[fd00::7]:8000", ["[fd00::7]"]),
    ],
)
def test_the_public_address_names_the_one_host(public_url, hosts):
    assert hosts_of(public_url) == hosts


@pytest.mark.parametrize("public_url", ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"])
def test_this_machine_goes_by_all_its_names(public_url):
    assert hosts_of(public_url) == ["localhost", "127.0.0.1", "[::1]"]


# A browser leaves the usual port out of an origin: written with it, every socket would be refused.
@pytest.mark.parametrize(
    ("public_url", "origin"),
    [
        ("https://tea.example", "https://tea.example"),
        ("https://tea.example:443", "https://tea.example"),
        ("http://tea.example:80", "http://tea.example"),
        ("http://tea.example:443", "http://tea.example:443"),
        ("https://tea.example:80", "https://tea.example:80"),
        ("https://TEA.example:8443", "https://tea.example:8443"),
        ("http://[fd00::7]:8000", "http://[fd00::7]:8000"),
    ],
)
def test_an_origin_is_written_as_a_browser_writes_it(public_url, origin):
    assert origins_of(public_url) == [origin]


def test_another_port_of_this_machine_is_another_origin():
    assert "http://localhost:8001" not in origins_of("http://localhost:8000")
