"""Identifiers sort by time, and cannot be guessed."""

import time

from webui.ids import uuid7


def test_what_is_made_later_sorts_later():
    made = [uuid7() for _ in range(100)]

    assert [id_.time_low << 16 | id_.time_mid for id_ in made] == sorted(
        id_.time_low << 16 | id_.time_mid for id_ in made
    )
    assert {(id_.version, id_.variant) for id_ in made} == {(7, "specified in RFC 4122")}


def test_what_is_made_after_the_clock_was_set_back_sorts_later_too(monkeypatch):
    before = [uuid7() for _ in range(3)]
    set_back = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: set_back)
    after = [uuid7() for _ in range(3)]

    assert sorted(before + after) == before + after


def test_most_of_an_id_is_chance():
    """S09."""
    chances = [uuid7().int & (2**62 - 1) for _ in range(200)]
    ever_set, always_set = 0, -1
    for chance in chances:
        ever_set |= chance
        always_set &= chance

    # That a fair bit is the same 200 times happens in no lifetime.
    assert (ever_set, always_set) == (2**62 - 1, 0)
