"""The key that signs sessions, of an installation that was given none."""

import os

import pytest
from django.core.exceptions import ImproperlyConfigured

from webui.secret_key import stored_secret_key

NOBODY = 65534


def test_it_is_made_once_and_for_its_owner_alone(tmp_path):
    made = stored_secret_key(tmp_path / "data")

    assert stored_secret_key(tmp_path / "data") == made
    assert len(made) > 50
    assert (tmp_path / "data" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_what_a_killed_start_left_is_in_nobody_s_way(tmp_path):
    """F67: in a container the next process has the same number."""
    (tmp_path / f"secret_key.{os.getpid()}").touch()

    assert len(stored_secret_key(tmp_path)) > 50


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second account")
def test_a_place_of_somebody_else_is_named(tmp_path):
    """F68."""
    stored_secret_key(tmp_path)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(ImproperlyConfigured, match="is not ours to use: start the portal as the account that owns"):
            stored_secret_key(tmp_path)
    finally:
        os.seteuid(0)
