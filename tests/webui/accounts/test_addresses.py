"""Which address a request counts for."""

import pytest
from django.test import RequestFactory

from webui.accounts.addresses import client_address


def address_of(peer: str, forwarded: str | None = None) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return client_address(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers))


def test_without_proxies_it_is_the_peer(settings):
    settings.TRUSTED_PROXIES = []

    assert address_of("10.0.0.7", "10.9.9.9") == "10.0.0.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "192.168.1.7", "192.168.1.7"),
        ("10.0.0.1", "192.168.1.7, 10.0.0.2", "192.168.1.7"),
        ("10.0.0.1", "1.1.1.1, 192.168.1.7, 10.0.0.2", "192.168.1.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "fd00::7", "fd00::7"),
        ("192.168.1.7", "1.1.1.1", "192.168.1.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "<script>, 192.168.1.7", "192.168.1.7"),
    ],
)
def test_behind_proxies_it_is_the_last_one_that_no_proxy_of_ours_is(settings, peer, forwarded, found):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]

    assert address_of(peer, forwarded) == found


# As a server that listens on [::] sees them. Left so, all of them would be one network, and one guesser too many.
def test_an_old_address_in_the_form_of_a_new_one_is_the_old_one(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]

    assert address_of("::ffff:192.168.1.7") == "192.168.1.7"
    assert address_of("::ffff:10.0.0.1", "::ffff:192.168.1.8") == "192.168.1.8"
