"""How much somebody may ask, and who decides when many ask at once."""

import threading
from datetime import datetime, time, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from webui.accounts import tokens
from webui.accounts.models import AccessToken, Group, User
from webui.ids import uuid7
from webui.inference import lines
from webui.inference.models import LateRequests, Turn, Usage
from webui.inference.quotas import (
    DayIsUsed,
    Quota,
    QuotaReached,
    TooManyAtOnce,
    TooManyPerMinute,
    person_with_limits,
    quotas_of,
)

PROCESS = UUID(int=1)


def limit(row: User | Group | AccessToken, **limits: int) -> None:
    type(row).objects.filter(pk=row.pk).update(**limits)
    row.refresh_from_db()


def quotas_for(user: User, token: AccessToken | None = None) -> tuple[Quota, ...]:
    return quotas_of(person_with_limits(user.pk), token)


@pytest.fixture
def ask(host):
    """``ask(user, token)``: join a line; what keeps them out, or the turn they have now."""

    def ask(user: User, token: AccessToken | None = None, *, model: str = "a", leaving=()) -> QuotaReached | UUID:
        key, id_, script = (host.pk, model), uuid7(), token.pk if token else None
        quotas = quotas_for(user, token)
        standing = lines.Standing(id_, key, user.pk, Usage.Door.API, script, quotas=quotas)
        settled = lines.settle(PROCESS, joining=[standing], leaving=leaving, keys={key})
        return settled[key].refused.get(id_, id_)

    return ask


@pytest.fixture
def used(host):
    """``used(user, tokens, at)``: a row of the ledger."""

    def used(user: User, output: int, at: datetime | None = None, *, token: AccessToken | None = None) -> None:
        row = Usage.objects.create(
            run=uuid4(), door="api", user=user, token=token, model="a", prompt_tokens=1, output_tokens=output - 1
        )
        Usage.objects.filter(pk=row.pk).update(at=at or timezone.now())

    return used


def test_without_limits_nothing_is_asked_of_the_database(alice, ask):
    ask(alice)
    with CaptureQueriesContext(connection) as queries:
        assert isinstance(ask(alice), UUID)

    words = " ".join(query["sql"] for query in queries)
    assert "laterequests" not in words
    assert "inference_usage" not in words
    assert not LateRequests.objects.exists()


def test_ones_own_limit_stands_in_place_of_the_groups_and_of_these_the_tightest_holds(alice):
    for name, per_day in (("Platform", 900), ("Sales", 200), ("Others", None)):
        group = Group.objects.create(name=name, tokens_per_day=per_day, per_minute=7)
        group.members.add(alice)
    tightest = quotas_for(alice)
    limit(alice, tokens_per_day=500)

    assert tightest == (Quota((alice.pk, None), 200, None, 7),)
    assert quotas_for(alice) == (Quota((alice.pk, None), 500, None, 7),)


def test_a_tokens_limits_come_on_top(alice):
    token, _ = tokens.make(user=alice, name="script")
    limit(token, at_once=1)
    alone = quotas_for(alice, token)
    limit(alice, at_once=5)

    assert alone == (Quota((alice.pk, token.pk), None, 1, None),)
    assert quotas_for(alice, token) == (Quota((alice.pk, None), None, 5, None), *alone)
    assert quotas_for(alice) == (Quota((alice.pk, None), None, 5, None),)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Los_Angeles"])
def test_the_tokens_of_a_day_of_the_portal_are_counted(alice, bob, ask, used, settings, zone):
    settings.TIME_ZONE = zone
    midnight = datetime.combine(timezone.localdate(), time.min, tzinfo=timezone.get_current_timezone())
    limit(alice, tokens_per_day=100)
    used(alice, 1000, midnight - timedelta(microseconds=1))
    used(bob, 1000)
    used(alice, 99, midnight)
    before = ask(alice)
    used(alice, 1)
    reached = ask(alice)

    assert isinstance(before, UUID)
    assert isinstance(reached, DayIsUsed)
    assert reached.until == datetime.combine(
        timezone.localdate() + timedelta(days=1), time.min, tzinfo=timezone.get_current_timezone()
    )


def test_of_a_token_only_what_was_asked_with_it_counts(alice, ask, used):
    token, _ = tokens.make(user=alice, name="script")
    limit(token, tokens_per_day=100)
    used(alice, 1000)
    before = ask(alice, token)
    used(alice, 100, token=token)

    assert isinstance(before, UUID)
    assert isinstance(ask(alice, token), DayIsUsed)
    assert isinstance(ask(alice), UUID)


def test_a_minute_after_the_first_there_is_room_for_one_more(alice, ask):
    limit(alice, per_minute=3)
    let_in = [ask(alice, model=model) for model in "abc"]
    reached = ask(alice)
    row = LateRequests.objects.get()
    soon = reached.until - timezone.now()
    row.at[0] -= 60
    row.save()

    assert all(isinstance(each, UUID) for each in let_in)
    assert isinstance(reached, TooManyPerMinute)
    assert timedelta(seconds=50) < soon <= timedelta(seconds=60)
    assert isinstance(ask(alice), UUID)
    assert isinstance(ask(alice), TooManyPerMinute)


def test_those_that_wait_and_those_that_are_answered_are_at_once(alice, ask):
    limit(alice, at_once=2)
    first, _ = ask(alice), ask(alice, model="b")
    reached = ask(alice)
    after = ask(alice, leaving={first})

    assert isinstance(reached, TooManyAtOnce)
    assert reached.until is None
    assert isinstance(after, UUID)
    assert isinstance(ask(alice), TooManyAtOnce)


def test_what_a_killed_process_had_under_way_does_not_count(alice, ask):
    limit(alice, at_once=1)
    ask(alice)
    Turn.objects.update(lease_expires=timezone.now() - timedelta(seconds=1))

    assert isinstance(ask(alice, model="b"), UUID)


def test_who_is_kept_out_leaves_no_trace(alice, ask):
    limit(alice, at_once=0, per_minute=1)
    assert isinstance(ask(alice), TooManyAtOnce)
    limit(alice, at_once=9)

    assert not Turn.objects.exists()
    assert isinstance(ask(alice), UUID)


@pytest.mark.parametrize("kind", ["at_once", "per_minute"])
@pytest.mark.parametrize("of", ["person", "token"])
def test_of_twenty_at_once_exactly_five_are_let_in(transactional_db, alice, ask, kind, of):
    """Each on a connection of its own, in a line of its own, as in twenty processes."""
    token, _ = tokens.make(user=alice, name="script")
    limit(alice if of == "person" else token, **{kind: 5})
    together, answers = threading.Barrier(20), []

    def rush(model: str) -> None:
        together.wait()
        answers.append(ask(alice, token, model=model))
        connections.close_all()

    threads = [threading.Thread(target=partial(rush, f"model-{number}")) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 20
    assert sum(isinstance(answer, UUID) for answer in answers) == 5
    assert Turn.objects.count() == 5


def test_of_twenty_that_one_process_settles_together_exactly_five_are_let_in(alice, host):
    limit(alice, at_once=5, per_minute=7)
    key, quotas = (host.pk, "a"), quotas_for(alice)
    joining = [lines.Standing(uuid7(), key, alice.pk, Usage.Door.API, quotas=quotas) for _ in range(20)]
    settled = lines.settle(PROCESS, joining=joining, leaving=(), keys={key})[key]

    assert len(settled.refused) == 15
    assert Turn.objects.count() == 5
    assert {standing.id for standing in joining[5:]} == settled.refused.keys()
