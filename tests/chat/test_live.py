"""What a page is told when it connects."""

import uuid

from django.db import connection
from django.utils import timezone

from chat import live
from chat.models import Run, State
from chat.runs import state
from chat.runs.state import Ending
from tests.pages import Page
from webui.text import compact


def test_an_answer_that_ends_while_a_page_is_brought_up_to_date_arrives_whole(conversation, answer, alice):
    owner = uuid.uuid4()
    run = Run.objects.create(
        conversation=conversation,
        answer=answer,
        asker=alice,
        model="practice",
        state=State.RUNNING,
        owner=owner,
        lease_expires=timezone.now(),
    )
    page = Page(f"<ol id=thread><article id=m-{answer.pk}><answer-stream id=answer-{answer.pk}>Dr</answer-stream></ol>")

    def end_it_after_the_run_was_found(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if 'FROM "chat_run"' in sql and not ended:
            ended.append(True)
            state.finish(run, owner, Ending(State.DONE, answer.text, ""))
        return result

    ended = []
    with connection.execute_wrapper(end_it_after_the_run_was_found):
        (message,) = live.conversation_messages(conversation, conversation.version)

    page.take(compact(message))
    assert "tea" in page.shown(f"answer-{answer.pk}")
