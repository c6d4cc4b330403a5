"""How long the ledger remembers."""

import asyncio
import io
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.utils import timezone

from webui.db import run_db
from webui.ids import uuid7
from webui.inference import retention
from webui.inference.ledger import midnight
from webui.inference.models import Usage


@pytest.fixture
def used(alice):
    """``used(days_ago, ...)``: rows of the first minute of these days."""

    def used(*days_ago: int) -> None:
        for days in days_ago:
            row = Usage.objects.create(run=uuid7(), user=alice, door="browser", model="m", outcome="done")
            Usage.objects.filter(pk=row.pk).update(at=midnight(timezone.localdate() - timedelta(days=days)))

    return used


def days_left() -> list[int]:
    today = timezone.localdate()
    return sorted((today - timezone.localtime(row.at).date()).days for row in Usage.objects.all())


def test_rows_of_days_that_are_kept_no_longer_are_deleted(used, settings):
    settings.USAGE_DAYS = 30
    used(0, 30, 31, 500)

    assert retention.forget_piece() == 2
    assert days_left() == [0, 30]


def test_without_an_end_everything_is_kept(used, settings):
    settings.USAGE_DAYS = 0
    used(0, 5_000)

    assert retention.forget_piece() == 0
    assert days_left() == [0, 5_000]


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("retention", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_says_how_much_it_would_delete(used, settings):
    settings.USAGE_DAYS = 30
    used(1, 31, 32)

    assert said("--dry-run").startswith("2 rows of usage before ")
    assert days_left() == [1, 31, 32]


def test_the_command_deletes_all_of_it(used, settings, monkeypatch):
    settings.USAGE_DAYS = 30
    monkeypatch.setattr(retention, "PIECE", 2)
    used(1, 31, 32, 33)

    assert said().startswith("3 rows of usage before ")
    assert days_left() == [1]


def test_the_command_deletes_nothing_that_is_kept_for_ever(used, settings):
    settings.USAGE_DAYS = 0
    used(5_000)

    assert "kept for ever" in said()
    assert days_left() == [5_000]


@pytest.mark.django_db(transaction=True)
def test_a_serving_process_deletes_them_piece_by_piece(used, settings, monkeypatch):
    settings.USAGE_DAYS = 30
    monkeypatch.setattr(retention, "PIECE", 2)
    monkeypatch.setattr(retention, "BREATH_S", 0)
    used(1, 40, 41, 42, 43, 44)
    async_to_sync(_forgetting_until)(lambda: days_left() == [1])


async def _forgetting_until(reached) -> None:
    stop = asyncio.Event()
    forgetting = asyncio.create_task(retention.forget_old_usage(stop))
    async with asyncio.timeout(5):
        while not await run_db(reached):
            await asyncio.sleep(0.01)
    stop.set()
    await forgetting
