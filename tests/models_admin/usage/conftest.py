"""A ledger with what the tests write into it."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from webui.ids import uuid7
from webui.inference.models import Usage

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)


@pytest.fixture
def used(alice):
    """``used(model="qwen3:8b", output_tokens=7, at=...)``: one row of Alice's, by the browser, now."""

    def used(*, at: datetime | None = None, **facts) -> Usage:
        usual = {"user": alice, "door": "browser", "model": "qwen3:8b", "host": "gpu-01", "outcome": "done"}
        row = Usage.objects.create(run=uuid7(), **{**usual, **facts})
        if at:
            Usage.objects.filter(pk=row.pk).update(at=at)
        return row

    return used


@pytest.fixture
def roots(client, root) -> Client:
    client.force_login(root)
    return client
