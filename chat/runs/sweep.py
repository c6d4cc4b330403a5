"""Finds runs whose process died, keeps what they wrote, and lets them go on."""

import logging
from datetime import timedelta

from django.utils import timezone

from chat import live, services
from chat.models import Conversation, Message, Run, State
from chat.runs import driver, state

log = logging.getLogger(__name__)

RESTORABLE = timedelta(hours=24)
GO_ON_AT_MOST = 3  # a model that kills its process must not do so for ever


def sweep() -> None:
    """One round: expired leases, then conversations deleted long ago."""
    for run in state.expired():
        if state.release(run):
            driver.wake()
        elif state.interrupt(run):
            log.warning("run %s was interrupted", run.pk)
            # The whole thread: a page may have seen words that were not recorded any more.
            live.thread_changed(run.conversation_id)
            live.list_changed(run.conversation.owner_id)
            go_on(run)
    Conversation.objects.filter(deleted_at__lt=timezone.now() - RESTORABLE).delete()


def go_on(run: Run) -> None:
    """Queue the rest of an interrupted answer where that can work: not in the middle of a thought."""
    answer = Message.objects.select_related("conversation").get(pk=run.answer_id)
    in_thought = answer.thinking and not answer.text
    often = answer.runs.filter(automatic=True).count() >= GO_ON_AT_MOST
    if answer.state != State.INTERRUPTED or in_thought or often or run.stop_requested:
        return
    try:
        services.go_on(answer=answer, asker=run.asker, automatic=True)
    except services.AlreadyAnswering:
        log.info("run %s: somebody was quicker to continue", run.pk)
