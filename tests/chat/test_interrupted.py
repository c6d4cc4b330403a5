"""A run whose process died."""

import uuid
from datetime import timedelta

from django.utils import timezone

from chat.models import Run, State
from chat.runs import state
from webui.inference.models import Usage


def test_what_was_recorded_of_it_is_in_the_ledger(conversation, answer, alice):
    run = Run.objects.create(
        conversation=conversation,
        answer=answer,
        asker=alice,
        model="practice",
        state=State.RUNNING,
        owner=uuid.uuid4(),
        lease_expires=timezone.now() - timedelta(seconds=1),
    )
    run.pieces.create(kind="thinking", offset=0, text="Hm, so", tokens=3)
    run.pieces.create(kind="text", offset=len(answer.text), text=" Then cake.", tokens=4)

    assert state.interrupt(run)
    assert Usage.objects.get(run=run.pk).output_tokens == 7
