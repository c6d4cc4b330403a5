"""The serving process dies, at the worst moments."""

import json

import pytest

from tests.faults.portal import answer_in, until_state, until_text

pytestmark = [pytest.mark.server]


async def test_kill_in_mid_answer_keeps_the_text_and_goes_on_by_itself(
    start, practice, portal, alice, database, assert_consistent
):
    practice.speed = 100
    conversation = await alice.start("SECRET-WORD count to 300", "practice-counting")
    before = await until_text(database, conversation, 200)
    sent = practice.requests[-1].pieces_sent
    portal.kill()
    recorded = answer_in(database, conversation)[1]
    practice.speed = None

    again = await start()
    text = await until_state(database, conversation, "done")

    assert recorded.startswith(before)
    assert sent - len(recorded.split()) <= 0.25 * 100 + 10
    assert text.split() == [str(number) for number in range(1, 301)]
    assert_consistent(again)


async def test_an_answer_that_cannot_go_on_by_itself_is_interrupted_and_offers_to_continue(
    visit, start, practice, portal, alice, database, assert_consistent
):
    practice.speed = 50
    conversation = await alice.start("SECRET-WORD count to 500", "practice-no-prefill")
    before = await until_text(database, conversation, 40)
    portal.kill()

    again = await start()
    text = await until_state(database, conversation, "interrupted", within_s=20)

    assert text.startswith(before)
    visitor = await visit(again)
    assert "/continue/" in await visitor.page(conversation)
    assert_consistent(again)


async def test_kill_between_storing_the_question_and_asking_the_model(visit, start, alice, portal, assert_consistent):
    again = await start(FAULT="after_prompt_commit")
    visitor = await visit(again)
    with pytest.raises(Exception, match=r"."):
        await visitor.start("SECRET-WORD why?", "practice")
    assert await again.ended() == 70
    healed = await start()
    with healed.database() as database:
        conversation = database.execute("select id from chat_conversation").fetchone()[0]
        await until_state(database, conversation, "done")
        roles = database.execute("select role from chat_message order by id").fetchall()

    assert roles == [("user",), ("assistant",)]
    assert_consistent(healed)


async def test_kill_before_the_end_is_stored_loses_nothing_already_recorded(
    visit, start, alice, portal, practice, assert_consistent
):
    portal.terminate()
    again = await start(FAULT="before_final_write")
    visitor = await visit(again)
    practice.speed = 100
    await visitor.start("SECRET-WORD count to 60", "practice-counting")
    assert await again.ended() == 70

    healed = await start()
    with healed.database() as database:
        conversation = database.execute("select id from chat_conversation").fetchone()[0]
        text = await until_state(database, conversation, "done")

    assert text.split() == [str(number) for number in range(1, 61)]
    assert_consistent(healed)


async def test_stopping_the_portal_hands_running_answers_over(
    start, practice, portal, alice, database, assert_consistent
):
    practice.speed = 20
    conversations = [await alice.start("SECRET-WORD count to 400", "practice-counting") for _ in range(3)]
    for conversation in conversations:
        await until_text(database, conversation, 30)
    async with alice.socket(conversations[0]) as socket:
        assert portal.terminate() == 0
        await socket.wait_closed()
        assert socket.close_code == 4012
    practice.speed = None

    again = await start()
    with again.database() as healed:
        for conversation in conversations:
            text = await until_state(healed, conversation, "done")
            assert text.split() == [str(number) for number in range(1, 401)]
    assert_consistent(again)


async def test_a_page_that_connects_again_after_a_crash_is_told_everything(
    visit, start, practice, portal, alice, database
):
    practice.speed = 100
    conversation = await alice.start("SECRET-WORD count to 200", "practice-counting")
    await until_text(database, conversation, 100)
    portal.kill()
    practice.speed = None
    again = await start()
    await until_state(database, conversation, "done")
    visitor = await visit(again)
    async with visitor.socket(conversation) as socket:
        parts = [json.loads(await socket.recv())["part"] for _ in ("the list", "the thread")]

    assert "199 200" in parts[1]
