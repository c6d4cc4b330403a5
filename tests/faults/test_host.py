"""The Ollama host misbehaves."""

import asyncio
import time
import uuid
from html import unescape
from itertools import pairwise

import pytest

from tests.faults.portal import MIB, add_host, answer_in, forget_host, free_port, until_state, until_text
from tests.faults.proxy import black_hole
from tests.pages import Page, text_of

pytestmark = [pytest.mark.server]


@pytest.fixture
def other_host(database):
    """``other_host(url)``: a second host, which is said to have the model ``elsewhere``."""
    yield lambda url: add_host(database, "other", url, "elsewhere:latest")
    forget_host(database, "other")


async def test_a_host_that_refuses_connections_is_named_within_a_second(
    alice, portal, database, other_host, assert_consistent
):
    """F19"""
    other_host(f"http://127.0.0.1:{free_port()}")
    asked = time.monotonic()
    conversation = await alice.start("SECRET-WORD hello?", "elsewhere")
    await until_state(database, conversation, "failed")

    assert time.monotonic() - asked < 1
    assert answer_in(database, conversation)[2] == "unreachable"
    page = await alice.page(conversation)
    assert "The model's host does not answer" in unescape(page)
    assert "SECRET-WORD hello?" in page
    await assert_consistent(portal)


@pytest.mark.slow
async def test_a_host_that_swallows_connections_is_named_after_three_seconds(
    alice, portal, database, other_host, assert_consistent
):
    """F20"""
    with black_hole() as url:
        other_host(url)
        asked = time.monotonic()
        conversation = await alice.start("SECRET-WORD hello?", "elsewhere")
        await alice.tabs[0].until(lambda tab: tab.state == "failed")

    assert 2.5 < time.monotonic() - asked < 5
    assert "The model's host does not answer" in alice.tabs[0].text()
    assert answer_in(database, conversation) == ("failed", "", "unreachable")
    await assert_consistent(portal)


@pytest.mark.slow
async def test_a_model_that_does_not_load_in_time_is_given_up(portal, alice, database, assert_consistent):
    """F21, with the limit at two seconds."""
    await portal.start_again(OLLAMA_LOAD_SECONDS="2")
    asked = time.monotonic()
    conversation = await alice.start("SECRET-WORD", "fault-hangheader")
    await alice.tabs[0].until(lambda tab: "Loading fault-hangheader into memory" in tab.text())
    await until_state(database, conversation, "failed")

    assert 1.5 < time.monotonic() - asked < 5
    await assert_consistent(portal)
    assert "The model fell silent Your message is kept. Try again" in alice.tabs[0].text()


@pytest.mark.slow
async def test_a_stream_that_freezes_is_said_to_be_silent_and_then_given_up(portal, alice, database, assert_consistent):
    """F22, with the limit at eight seconds."""
    await portal.start_again(OLLAMA_IDLE_SECONDS="8")
    conversation = await alice.start("SECRET-WORD", "fault-hang")
    asked = time.monotonic()
    await alice.tabs[0].until(lambda tab: "Nothing has come from fault-hang for" in tab.text())
    noticed = time.monotonic() - asked
    text = await until_state(database, conversation, "failed")

    assert noticed < 3
    assert 7 < time.monotonic() - asked < 12
    assert text
    await assert_consistent(portal)
    assert "The model fell silent The text above is kept. Continue" in alice.tabs[0].text()


@pytest.mark.slow
async def test_the_word_of_a_silence_goes_when_the_model_speaks_again(
    portal, practice, alice, database, assert_consistent
):
    """F22"""
    await portal.start_again(OLLAMA_IDLE_SECONDS="8")
    await alice.start("SECRET-WORD", "fault-gate")
    await alice.tabs[0].until(lambda tab: "Nothing has come from fault-gate for" in tab.text())
    practice.release()
    await alice.tabs[0].until(lambda tab: tab.state == "done")

    assert "Nothing has come" not in alice.tabs[0].text()
    await assert_consistent(portal)


@pytest.mark.slow
async def test_stop_ends_a_stream_that_has_frozen(portal, practice, alice, database, assert_consistent):
    """F22"""
    conversation = await alice.start("SECRET-WORD", "fault-hang")
    await until_text(database, conversation, 1)
    pressed = time.monotonic()
    await alice.stop(conversation)
    await practice.wait_for(lambda: practice.requests[-1].ended)

    assert practice.requests[-1].ended - pressed < 1
    await until_state(database, conversation, "stopped")
    await assert_consistent(portal)


@pytest.mark.slow
async def test_a_model_that_says_a_word_in_half_a_minute_is_waited_for(portal, alice, database, assert_consistent):
    """F36: the page says how long nothing has come, and keeps its socket."""
    conversation = await alice.start("SECRET-WORD", "fault-slow")
    await alice.tabs[0].until(lambda tab: "Nothing has come from fault-slow for" in tab.text(), within_s=35)
    await until_state(database, conversation, "done", within_s=40)

    assert alice.tabs[0].close_codes == []
    await assert_consistent(portal)


TEXT_KEPT, QUESTION_KEPT = "The text above is kept. Continue", "Your message is kept."


@pytest.mark.parametrize(
    ("model", "sentence", "kept"),
    [
        pytest.param("fault-rst", "The connection to the model was lost", TEXT_KEPT, id="F23"),
        pytest.param("fault-trunc", "The answer was cut off", TEXT_KEPT, id="F24"),
        pytest.param("fault-miderr", "The model reported an error", TEXT_KEPT, id="F25"),
        pytest.param("fault-st400", "The host refused the question", QUESTION_KEPT, id="F26-400"),
        pytest.param("fault-st401", "The host does not let the portal in", QUESTION_KEPT, id="F26-401"),
        pytest.param("fault-st404", "fault-st404 is not installed", QUESTION_KEPT, id="F26-404"),
        pytest.param("fault-st500", "Something failed on the host", QUESTION_KEPT, id="F26-500"),
        pytest.param("fault-html", "The host gave an unexpected answer", QUESTION_KEPT, id="F27"),
        pytest.param("fault-rubbish", "The host gave an unexpected answer", TEXT_KEPT, id="F28"),
    ],
)
async def test_a_failure_keeps_question_and_text_and_says_what_happened(
    portal, alice, database, assert_consistent, model, sentence, kept
):
    """F23, F24, F25, F26, F27, F28"""
    conversation = await alice.start("SECRET-WORD please", model)
    await until_state(database, conversation, "failed")
    await alice.tabs[0].until(lambda tab: tab.state == "failed")

    assert f"{sentence} {kept}" in alice.tabs[0].text()
    assert "SECRET-WORD please" in alice.tabs[0].text()
    await assert_consistent(portal)


@pytest.mark.slow
@pytest.mark.parametrize("body", ["", "-html", "-empty"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 499, 500, 502])
async def test_no_refusal_is_tried_again(portal, practice, alice, database, assert_consistent, status, body):
    """F26, whatever the body; which sentence it gets is the client's choice, and tested there."""
    model = f"fault-st{status}{body}"
    conversation = await alice.start("SECRET-WORD please", model)
    await until_state(database, conversation, "failed")

    assert [request.model for request in practice.requests].count(model) == 1
    await assert_consistent(portal)


@pytest.mark.slow
@pytest.mark.parametrize("body", ["", "-html", "-empty"])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_host_puts_the_question_back_in_line(portal, alice, database, assert_consistent, status, body):
    """F26"""
    conversation = await alice.start("SECRET-WORD please", f"fault-st{status}{body}")
    await alice.tabs[0].until(
        lambda tab: "The host has too many requests It is asked again by itself" in tab.text(), within_s=5
    )
    await until_state(database, conversation, "queued")

    assert alice.tabs[0].state == "queued"
    await alice.stop(conversation)
    await until_state(database, conversation, "stopped")
    await assert_consistent(portal)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "times", "pauses"), [("fault-busy", 3, (0.9, 3.9)), ("fault-limited", 2, (1.9, 2.9))]
)
async def test_a_question_to_a_busy_host_is_answered_when_its_time_has_come(
    portal, practice, alice, database, assert_consistent, model, times, pauses
):
    """F26: after a random pause, or when the host said; the run is counted once."""
    conversation = await alice.start("SECRET-WORD please", model)
    await until_state(database, conversation, "done")

    requests = [request for request in practice.requests if request.model == model]
    between = [later.started - earlier.ended for earlier, later in pairwise(requests)]
    assert len(requests) == times
    assert all(pauses[0] <= pause <= pauses[1] for pause in between), between
    await assert_consistent(portal)


async def test_what_a_strange_host_says_goes_into_the_log_alone(portal, alice, database, assert_consistent):
    """F27"""
    conversation = await alice.start("SECRET-WORD please", "fault-html")
    await until_state(database, conversation, "failed")

    assert "nginx" not in await alice.page(conversation)
    assert "failed: odd: <!doctype html>" in portal.log
    await assert_consistent(portal)


async def test_lines_of_a_stream_that_mean_nothing_are_passed_over(portal, alice, database, assert_consistent):
    """F28: no more than three of them."""
    conversation = await alice.start("SECRET-WORD please", "fault-garbage")
    await until_state(database, conversation, "done")

    await assert_consistent(portal)


async def test_who_administers_is_led_to_the_models_when_one_is_missing(portal, alice, database, assert_consistent):
    """F26"""
    conversation = await alice.start("SECRET-WORD please", "nosuch")
    await until_state(database, conversation, "failed")

    page = await alice.page(conversation)
    assert 'only-admins" href="/models/"' in page
    assert "data-admin" in page.partition("<body")[2].partition(">")[0]
    await assert_consistent(portal)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["fault-big", "fault-noline"])
async def test_a_line_without_end_is_cut_off_before_it_fills_the_memory(
    portal, alice, database, assert_consistent, figure, model
):
    """F34: ten megabytes, and without a line break at all."""
    memory = portal.memory
    conversation = await alice.start("SECRET-WORD please", model)
    await until_state(database, conversation, "failed")
    await alice.tabs[0].until(lambda tab: "A line of the answer was too long" in tab.text())

    grown = (portal.memory - memory) / MIB
    figure("grown", f"{grown:.0f} MB")
    assert grown < 50
    await assert_consistent(portal)


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("fault-half", "SECRET-WORD 汉字 😀"),
        ("fault-nel", "x\u0085y\u2028z\u2029"),
        ("fault-badutf", "caf\ufffd \ufffd\ufffd"),
        ("fault-nul", "a\ufffdb\ufffd[31m"),
        ("fault-surr", "😀 \ufffd"),
    ],
)
async def test_odd_bytes_become_text(portal, alice, database, assert_consistent, model, shown):
    """F29, F30, F31, F32, F33"""
    conversation = await alice.start("SECRET-WORD 汉字 😀", model)
    text = await until_state(database, conversation, "done")

    assert shown in text
    await assert_consistent(portal)


async def test_a_page_loaded_at_any_moment_shows_what_was_said_and_no_more(
    portal, practice, alice, database, assert_consistent
):
    """F44"""
    practice.speed = 20  # a busy machine, too, loads more than ten pages meanwhile
    conversation = await alice.start("SECRET-WORD count to 60", "practice-counting")
    seen = []
    while not seen or seen[-1][-1:] != ["60"]:
        page = Page(await alice.page(conversation))
        stream = next(e for e in page.root.iter("answer-stream") if e.get("id").startswith("answer-"))
        seen.append(text_of(stream).split())

    assert all(words == [str(number + 1) for number in range(len(words))] for words in map(whole_words, seen))
    assert len({len(words) for words in seen}) > 10
    await until_state(database, conversation, "done")
    await assert_consistent(portal)


def whole_words(words: list[str]) -> list[str]:
    """Without the last one, which may have been cut."""
    return words[:-1]


async def test_a_question_sent_five_times_at_once_is_asked_once(portal, alice, database, assert_consistent):
    """F48"""
    opened = await alice.start("SECRET-WORD first", "practice")
    await until_state(database, opened, "done")
    token = await alice.token()
    fields = {
        "text": "SECRET-WORD twice?",
        "model": "practice",
        "client_key": str(uuid.uuid4()),
        "csrfmiddlewaretoken": token,
    }
    answers = await asyncio.gather(*(alice.http.post(f"/c/{opened}/ask/", data=fields) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {302}
    asked = database.execute("select count(*) from chat_message where conversation_id = %s and role = 'user'", [opened])
    assert asked.fetchone() == (2,)
    await until_state(database, opened, "done")
    await assert_consistent(portal)


async def test_a_first_question_sent_five_times_at_once_opens_one_conversation(
    portal, alice, database, assert_consistent
):
    """F48"""
    key = str(uuid.uuid4())
    token = await alice.token()
    fields = {"text": "SECRET-WORD?", "model": "practice", "client_key": key, "csrfmiddlewaretoken": token}
    answers = await asyncio.gather(*(alice.http.post("/c/", data=fields) for _ in range(5)))

    assert {answer.headers["location"] for answer in answers} == {f"/c/{key}/"}
    await until_state(database, key, "done")
    await assert_consistent(portal)


async def test_stop_while_waiting_for_a_model_to_load_ends_the_request_at_the_host(
    portal, practice, alice, database, assert_consistent
):
    """F21, F50"""
    conversation = await alice.start("SECRET-WORD", "fault-hangheader")
    await practice.wait_for(lambda: practice.requests and practice.requests[-1].endpoint == "/api/chat")
    pressed = time.monotonic()
    await alice.post(f"/c/{conversation}/stop/")
    await until_state(database, conversation, "stopped")
    await practice.wait_for(lambda: practice.requests[-1].ended)

    assert time.monotonic() - pressed < 2
    await assert_consistent(portal)


async def test_stop_while_in_line_leaves_the_line(portal, practice, alice, database, slots, assert_consistent):
    """F50"""
    slots(1)
    first = await alice.start("SECRET-WORD", "fault-gate")
    await until_text(database, first, 1)
    second = await alice.start("SECRET-WORD", "fault-gate")
    await alice.post(f"/c/{second}/stop/")
    await until_state(database, second, "stopped")
    practice.release()
    await until_state(database, first, "done")

    chats = [request for request in practice.requests if request.endpoint == "/api/chat"]
    assert len(chats) == 1
    await assert_consistent(portal)


async def test_closing_every_page_changes_nothing_for_the_answer(portal, practice, alice, database, assert_consistent):
    """F43"""
    practice.speed = 200
    conversation = await alice.start("SECRET-WORD count to 100", "practice-counting")
    async with alice.socket(conversation) as socket:
        await socket.recv()
    text = await until_state(database, conversation, "done")

    assert text.split()[-1] == "100"
    await assert_consistent(portal)
