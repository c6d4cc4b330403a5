"""What each thing a person can do stores."""

import uuid

import pytest
from django.utils import timezone

from chat import services
from chat.models import Conversation, Draft, Run, State


@pytest.fixture
def ask(conversation, alice):
    def ask(text="And then?", client_key=None, model="practice:latest", think=None):
        return services.ask(
            conversation=conversation,
            author=alice,
            text=text,
            model=model,
            think=think,
            client_key=client_key or uuid.uuid4(),
        )

    return ask


def end(run, state=State.DONE, text="Because."):
    """As if the run had ended."""
    Run.objects.filter(pk=run.pk).update(state=state, ended_at=timezone.now())
    run.answer.state, run.answer.text = state, text
    run.answer.save()
    return run.answer


def test_a_first_question_opens_a_conversation_with_a_queued_answer(alice, key):
    opened = services.start(owner=alice, text="Why **tea**?", model="m", think=None, client_key=key)

    assert opened.title == "Why tea?"
    assert [(m.role, m.state) for m in opened.messages.order_by("pk")] == [("user", "done"), ("assistant", "queued")]
    assert opened.runs.get().state == State.QUEUED


def test_the_same_key_opens_one_conversation(alice, key):
    first = services.start(owner=alice, text="Why?", model="m", think=None, client_key=key)
    again = services.start(owner=alice, text="Why?", model="m", think=None, client_key=key)

    assert first == again
    assert Conversation.objects.count() == 1


def test_a_question_follows_the_shown_branch(ask, answer, conversation):
    question = ask()

    conversation.refresh_from_db()
    assert question.parent == answer
    assert conversation.head.parent == question


def test_the_same_key_asks_once(ask, conversation, key):
    first, second = ask(client_key=key), ask(client_key=key)

    assert first == second
    assert conversation.messages.count() == 4


def test_a_second_question_while_one_is_answered_is_refused_and_leaves_nothing(ask, conversation):
    ask()
    with pytest.raises(services.AlreadyAnswering):
        ask()

    assert conversation.messages.count() == 4
    assert conversation.runs.count() == 1


def test_asking_forgets_the_draft(ask, alice, conversation):
    services.save_draft(user=alice, conversation=conversation, text="And th")
    ask()

    assert not Draft.objects.exists()


def test_an_edited_question_becomes_a_version_and_the_first_one_stays(conversation, answer, alice, key):
    question = answer.parent
    version = services.edit(question=question, author=alice, text="What now?", model="m", client_key=key)

    assert (version.parent, version.text) == (question.parent, "What now?")
    question.refresh_from_db()
    assert question.text == "What shall we do?"


def test_answering_again_keeps_the_first_answer(conversation, answer, alice):
    another = services.answer_again(answer=answer, asker=alice)

    conversation.refresh_from_db()
    assert another.parent == answer.parent
    assert conversation.head == another
    answer.refresh_from_db()
    assert answer.text == "Drink *tea*."


def test_going_on_queues_a_run_on_the_same_answer(ask, conversation, alice):
    ask()
    cut = end(conversation.runs.get(), State.STOPPED)
    run = services.go_on(answer=cut, asker=alice)

    cut.refresh_from_db()
    assert (run.answer, run.continues, cut.state, cut.text) == (cut, True, State.QUEUED, "Because.")


def test_a_complete_answer_cannot_go_on(answer, alice):
    with pytest.raises(services.NothingToContinue):
        services.go_on(answer=answer, asker=alice)


def test_an_answer_cut_off_by_its_length_can_go_on(answer, alice):
    answer.stats = {"done_reason": "length"}
    answer.save()

    assert services.go_on(answer=answer, asker=alice).continues


def test_stop_ends_a_run_nobody_drives_at_once(ask, conversation):
    ask()
    services.stop(conversation=conversation)

    run = conversation.runs.get()
    assert (run.state, run.answer.state) == (State.STOPPED, State.STOPPED)


def test_stop_without_an_answer_under_way_does_nothing(conversation):
    services.stop(conversation=conversation)

    assert not conversation.runs.exists()


def test_showing_a_version_shows_the_end_of_its_branch(conversation, answer, alice, key):
    services.edit(question=answer.parent, author=alice, text="What now?", model="m", client_key=key)
    end(conversation.runs.get())
    services.show_version(message=answer.parent)

    conversation.refresh_from_db()
    assert conversation.head == answer


def test_a_deleted_conversation_is_out_of_sight_and_can_be_restored(conversation, alice):
    services.delete(conversation=conversation)
    assert not Conversation.objects.visible_to(alice).exists()

    services.restore(conversation=conversation)
    assert Conversation.objects.visible_to(alice).get() == conversation


def test_deleting_stops_the_answer(ask, conversation):
    ask()
    services.delete(conversation=conversation)

    assert conversation.runs.get().state == State.STOPPED


def test_an_empty_draft_is_no_draft(alice, conversation):
    services.save_draft(user=alice, conversation=conversation, text="And")
    services.save_draft(user=alice, conversation=conversation, text=" ")

    assert not Draft.objects.exists()


def test_drafts_belong_to_their_place(alice, conversation):
    services.save_draft(user=alice, conversation=conversation, text="here")
    services.save_draft(user=alice, conversation=None, text="new")

    assert sorted(Draft.objects.values_list("text", flat=True)) == ["here", "new"]
