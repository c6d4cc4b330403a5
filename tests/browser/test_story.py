"""What people do, from the first page on."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Visit, answer_text, choose, state, what_candidates_send


def test_a_newcomer_gets_from_nothing_to_a_streamed_answer(chromium, fresh_portal):
    visit = Visit(chromium, fresh_portal.url, locale="zh-CN")
    page = visit.page
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("欢迎。只需两步。")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome. Two short steps.")
    assert what_candidates_send(page) == []
    page.fill("[name=code]", fresh_portal.code)
    page.fill("[name=name]", "Mara")
    page.fill("[name=username]", "mara")
    page.fill("[name=password]", "correct horse battery")
    page.get_by_role("button", name="Create administrator").click()
    expect(page.get_by_text("No Ollama answers")).to_be_visible()
    page.get_by_role("button", name="Use the practice host").click()
    page.fill("#prompt", "茶是什么？")
    page.press("#prompt", "Enter")
    state(page, "done")

    assert "练习模型" in answer_text(page)
    assert page.goto("/setup/").status == 404
    visit.context.close()


def test_an_answer_appears_while_it_is_written_and_stays_the_same_after_a_reload(ask):
    page = ask("Show me everything", "practice-markdown:latest")
    state(page, "writing")
    expect(page.locator("answer-stream.prose")).to_contain_text("Everything Markdown can do")
    assert page.locator("button[data-stop]").count() == 1
    state(page, "done")
    grown = page.locator("answer-stream.prose").inner_html()
    page.reload()

    assert page.locator("answer-stream.prose").inner_html() == grown.replace("<!--open-->", "")
    assert page.locator("button[data-stop]").count() == 0


def test_a_reload_in_mid_answer_loses_nothing(ask):
    page = ask("count to 400", "practice-counting:latest")
    for _ in range(3):
        state(page, "writing")
        page.reload()
    state(page, "done")

    assert answer_text(page).split() == [str(n) for n in range(1, 401)]


def test_a_second_tab_follows_the_same_answer(visit):
    window = visit()
    page = window.sign_in()
    page.goto("/?model=practice-counting:latest")
    page.fill("#prompt", "count to 300")
    page.press("#prompt", "Enter")
    page.wait_for_url("**/c/*/")
    other = window.open()
    other.goto(page.url)
    assert other.locator("button[data-stop]").count() == 1
    state(other, "done")
    state(page, "done")

    assert answer_text(page) == answer_text(other)


@pytest.mark.parametrize("how", ["button", "escape"])
def test_stop_keeps_the_text_and_continue_goes_on_from_there(ask, how):
    page = ask("count to 2000", "practice-counting:latest")
    state(page, "writing")
    if how == "button":
        page.click("button[data-stop]")
    else:
        page.keyboard.press("Escape")
    state(page, "stopped")
    stopped = answer_text(page).strip()
    page.get_by_role("button", name="Continue").click()
    state(page, "writing")
    expect(page.locator("answer-stream.prose")).to_contain_text(f" {int(stopped.split()[-1]) + 20} ")
    page.click("button[data-stop]")
    state(page, "stopped")

    numbers = answer_text(page).split()
    assert answer_text(page).startswith(stopped)
    assert numbers[:-1] == [str(n) for n in range(1, len(numbers))]


def test_another_answer_is_a_version_beside_the_first(ask):
    page = ask("count to 5", "practice-counting:latest")
    state(page, "done")
    page.get_by_role("button", name="Answer again").click()
    expect(page.get_by_text("2 of 2")).to_be_visible()
    state(page, "done")
    page.get_by_role("button", name="Previous version").click()

    expect(page.get_by_text("1 of 2")).to_be_visible()


def test_an_edited_question_is_sent_as_a_version(ask):
    page = ask("count to 5", "practice-counting:latest")
    state(page, "done")
    page.locator("article[data-role=user]").hover()
    page.get_by_role("button", name="Edit and send again").click()
    expect(page.get_by_text("Sends as version 2. The first version stays.")).to_be_visible()
    page.fill(".composer--edit textarea", "count to 7")
    page.press(".composer--edit textarea", "Enter")
    expect(page.get_by_text("2 of 2")).to_be_visible()
    state(page, "done")

    assert answer_text(page) == "1 2 3 4 5 6 7"


def test_a_follow_up_question_arrives_without_loading_the_page(ask):
    page = ask("count to 3", "practice-counting:latest")
    state(page, "done")
    page.evaluate("window.stayed = true")
    page.fill("#prompt", "count to 4")
    page.press("#prompt", "Enter")
    expect(page.locator("article[data-role=assistant]")).to_have_count(2)
    state(page, "done")

    assert page.evaluate("window.stayed")
    assert page.input_value("#prompt") == ""


def test_thinking_is_folded_and_says_how_long_it_took(ask):
    page = ask("Think!", "practice-thinker:latest")
    state(page, "thinking")
    state(page, "done")
    expect(page.locator("details.think summary")).to_contain_text(re.compile(r"Thought for [\d.]+ s"))
    expect(page.locator("details.think answer-stream")).to_be_hidden()
    page.locator("details.think summary").click()

    expect(page.locator("details.think answer-stream")).to_contain_text("ceiling")


def test_waiting_for_a_model_to_load_is_said_in_words(ask):
    page = ask("count to 3", "practice-slow-load:latest")
    expect(page.get_by_text("Loading practice-slow-load:latest into memory")).to_be_visible()
    state(page, "done")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("fault-st404", "fault-st404 is not installed"),
        ("fault-rst", "The connection to the model was lost"),
        ("fault-trunc", "The answer was cut off"),
        ("fault-miderr", "The model reported an error"),
    ],
)
def test_a_failure_stands_where_it_happened(ask, model, sentence):
    page = ask("Please answer", model)
    state(page, "failed")

    expect(page.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
    expect(page.locator("article[data-role=user]")).to_contain_text("Please answer")


def test_hostile_answers_stay_text(visit):
    window = visit()
    page = window.sign_in()
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    choose(page, "fault-xss")
    page.fill("#prompt", "<img src=x onerror=alert(1)>")
    page.press("#prompt", "Enter")
    page.wait_for_url("**/c/*/")
    state(page, "done")
    page.reload()

    assert {url.split("/")[2] for url in window.requested if not url.startswith("data:")} == {page.url.split("/")[2]}


def test_copying_gives_the_markdown(ask):
    page = ask("Show me everything", "practice-markdown:latest")
    state(page, "done")
    page.get_by_role("button", name="Copy answer").click()
    expect(page.locator("#status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith("# Everything Markdown can do")

    page.locator("figure.code").first.get_by_role("button").click()
    expect(page.locator("figure.code use").first).to_have_attribute("href", re.compile("#check$"))
    assert page.evaluate("navigator.clipboard.readText()").startswith("def brew")


def test_rename_delete_and_undo(ask):
    page = ask("count to 3", "practice-counting:latest")
    state(page, "done")
    address = page.url
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.fill("[name=title]", "三个数字")
    page.press("[name=title]", "Enter")
    expect(page.locator("#title")).to_have_text("三个数字")
    expect(page.locator("#side-list")).to_contain_text("三个数字")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_text("Conversation deleted")).to_be_visible()
    expect(page.locator("#side-list")).not_to_contain_text("三个数字")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_url(address)

    expect(page.locator("#title")).to_have_text("三个数字")


def test_a_draft_survives_a_reload(page):
    page.goto("/")
    with page.expect_response("**/draft/"):
        page.fill("#prompt", "Half a thought")
    page.reload()
    assert page.input_value("#prompt") == "Half a thought"

    with page.expect_response("**/draft/"):
        page.fill("#prompt", "")


def test_what_cannot_be_sent_stays_in_the_field(visit):
    window = visit()
    page = window.sign_in()
    page.goto("/?model=practice-counting:latest")
    page.fill("#prompt", "count to 3")
    page.press("#prompt", "Enter")
    state(page, "done")
    window.context.set_offline(True)
    page.fill("#prompt", "count to 4")
    page.press("#prompt", "Enter")
    expect(page.get_by_text("This could not be sent.")).to_be_visible()
    assert page.input_value("#prompt") == "count to 4"

    window.context.set_offline(False)
    page.press("#prompt", "Enter")
    expect(page.locator("article[data-role=assistant]")).to_have_count(2)
    window.complaints.clear()  # the browser names each request that failed


def test_the_phone_shows_the_same_conversation(visit):
    page = visit(viewport=PHONE, has_touch=True, is_mobile=True).sign_in()
    page.fill("#prompt", "count to 3")
    page.get_by_role("button", name="Send").tap()
    page.wait_for_url("**/c/*/")
    state(page, "done")
    page.get_by_role("button", name="Open sidebar").tap()

    expect(page.locator("#side-list a").first).to_be_visible()


def test_deactivation_ends_an_open_page(visit):
    page = visit().sign_in()
    page.goto("/people/")
    page.fill("[name=name]", "Bob")
    page.fill("[name=username]", "bob")
    page.fill("[name=password]", "correct horse battery")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_text("bob can sign in")).to_be_visible()
    bobs = visit().sign_in("bob")
    page.get_by_role("button", name="Actions for Bob").click()
    page.get_by_role("menuitem", name="Deactivate").click()

    bobs.wait_for_url("**/sign-in/?next=%2F", timeout=8_000)


def test_a_socket_that_is_closed_in_all_politeness_is_opened_again(visit, portal):
    """A server may close a socket after a day, with code 1000."""
    visiting = visit()
    page = visiting.page
    sockets = []
    page.route_web_socket("**/ws/", lambda socket: sockets.append((socket, socket.connect_to_server())))
    visiting.sign_in()
    page.goto("/?model=practice-counting:latest")
    choose(page, "practice-counting:latest")
    page.fill("#prompt", "count to 300")
    page.press("#prompt", "Enter")
    state(page, "writing")
    before = len(sockets)
    page_side, server_side = sockets[-1]
    page_side.close(code=1000)
    server_side.close(code=1000)
    state(page, "done")

    assert len(sockets) > before
    assert answer_text(page).split() == [str(number) for number in range(1, 301)]
