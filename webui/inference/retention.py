"""How long the ledger remembers: rows of days before ``USAGE_DAYS`` are deleted, a piece at a time."""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from webui.db import DatabaseAway, run_db
from webui.inference.ledger import midnight
from webui.inference.models import Usage

log = logging.getLogger(__name__)

LOOK_S = 3600.0
BREATH_S = 0.5
PIECE = 5_000  # rows


async def forget_old_usage(stop: asyncio.Event) -> None:
    """Look again and again. Between two pieces others get at the table; several processes share the work."""
    while not stop.is_set():
        pause_s = LOOK_S
        try:
            if await run_db(forget_piece):
                pause_s = BREATH_S
        except DatabaseAway:
            log.warning("cannot delete old usage: the database does not answer")
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await stop.wait()


@transaction.atomic
def forget_piece() -> int:
    """Delete the oldest rows of those that are kept no longer; how many there were."""
    oldest = old_usage().order_by("at").select_for_update(skip_locked=True)
    deleted, _ = Usage.objects.filter(pk__in=oldest.values("pk")[:PIECE]).delete()
    return deleted


def old_usage() -> QuerySet[Usage]:
    """What is kept no longer."""
    if not settings.USAGE_DAYS:
        return Usage.objects.none()
    return Usage.objects.filter(at__lt=kept_from())


def kept_from() -> datetime:
    """The first minute of the first day that is kept."""
    return midnight(timezone.localdate() - timedelta(days=settings.USAGE_DAYS))
