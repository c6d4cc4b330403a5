"""What breaks off while somebody types or reads: nothing a person wrote is lost."""

import re
import time

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import PASSWORD, Visit, answer_text, choose, state

pytestmark = pytest.mark.slow


@pytest.fixture
def window(visit):
    """Alice's, whose browser may complain of what is refused."""
    window = visit()
    window.sign_in()
    yield window
    window.complaints[:] = [each for each in window.complaints if not each.startswith("Failed to load resource")]


@pytest.fixture
def conversation(window: Visit) -> Page:
    page = window.page
    page.goto("/?model=practice-counting:latest")
    choose(page, "practice-counting:latest")
    page.fill("#prompt", "count to 3")
    page.press("#prompt", "Enter")
    page.wait_for_url("**/c/*/")
    state(page, "done")
    return page


def end_sessions(portal) -> None:
    with portal.database() as database:
        database.execute("delete from django_session")


def come_back(page: Page, address: str) -> None:
    """Sign in where one was sent to."""
    page.wait_for_url("**/sign-in/**", timeout=8_000)
    page.fill("[name=username]", "alice")
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url(address)


def test_whose_session_ends_comes_back_to_the_page_and_what_they_typed(conversation, portal):
    """F54: what could not be saved any more, too."""
    page, address = conversation, conversation.url
    with page.expect_response("**/draft/"):
        page.fill("#prompt", "What was saved")
    end_sessions(portal)
    page.fill("#prompt", "What was saved, and what was not")
    come_back(page, address)

    expect(page.locator("#prompt")).to_have_value("What was saved, and what was not")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    with page.expect_response("**/draft/"):
        page.fill("#prompt", "")
    page.reload()
    assert page.input_value("#prompt") == ""


def test_a_question_that_meets_the_end_of_the_session_is_there_afterwards(conversation, portal):
    """F54"""
    page, address = conversation, conversation.url
    end_sessions(portal)
    page.fill("#prompt", "And then?")
    page.press("#prompt", "Enter")
    come_back(page, address)

    expect(page.locator("#prompt")).to_have_value("And then?")
    page.press("#prompt", "Enter")
    expect(page.locator("article[data-role=assistant]")).to_have_count(2)
    state(page, "done")


def test_what_one_person_typed_is_not_shown_to_the_next(conversation, portal):
    """F54, on a machine that people share."""
    page, address = conversation, conversation.url
    end_sessions(portal)
    page.fill("#prompt", "For my eyes only")
    page.press("#prompt", "Enter")
    page.wait_for_url("**/sign-in/**")
    page.evaluate("""() => {
      const [key, text] = Object.entries(sessionStorage).find(([key]) => key.startsWith("left "));
      sessionStorage.removeItem(key);
      sessionStorage.setItem(key.replace(/ \\d+ /, " 77 "), text);
    }""")
    come_back(page, address)

    expect(page.locator("#prompt")).to_have_value("")


class Wire:
    """Between a page and the portal. ``lose()``: nothing passes any more, and nobody is told; a new one works."""

    def __init__(self, page_side: WebSocketRoute) -> None:
        self._lost = False
        portal_side = page_side.connect_to_server()
        page_side.on_message(lambda said: None if self._lost else portal_side.send(said))
        portal_side.on_message(lambda said: None if self._lost else page_side.send(said))

    def lose(self) -> None:
        self._lost = True


def wakes(page: Page) -> None:
    """Its clock jumps, as behind a closed lid."""
    page.clock.fast_forward("10:00")


def comes_to_another_network(page: Page) -> None:
    page.evaluate("dispatchEvent(new Event('online'))")


def is_looked_at_again(page: Page) -> None:
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@pytest.mark.parametrize("happens", [wakes, comes_to_another_network, is_looked_at_again])
def test_a_page_that_was_told_of_no_end_finds_out_within_two_seconds(window, happens):
    """F45"""
    page, wires = window.page, []
    page.clock.install()
    page.route_web_socket("**/ws/", lambda socket: wires.append(Wire(socket)))
    page.goto("/")
    choose(page, "practice-counting:latest")
    page.fill("#prompt", "count to 300")
    page.press("#prompt", "Enter")
    page.wait_for_url("**/c/*/")
    state(page, "writing")
    wires[-1].lose()
    page.wait_for_timeout(3000)
    before = len(wires)
    happens(page)
    began = time.monotonic()
    state(page, "done")

    assert time.monotonic() - began < 2
    assert len(wires) == before + 1
    assert answer_text(page).split() == [str(number) for number in range(1, 301)]


@pytest.mark.parametrize("happens", [wakes, comes_to_another_network, is_looked_at_again])
def test_a_page_that_is_still_heard_keeps_its_socket(window, happens):
    """F45, where nothing was lost: on the pages of administrators, too."""
    page, wires = window.page, []
    page.clock.install()
    page.route_web_socket(re.compile("/ws/"), lambda socket: wires.append(Wire(socket)))
    for address in ("/", "/models/"):
        page.goto(address)
        page.wait_for_timeout(1000)
        before = len(wires)
        happens(page)
        page.wait_for_timeout(2500)

        assert len(wires) == before > 0


@pytest.mark.parametrize(
    "count", [2_000_001, 6 * 1024 * 1024 + 1], ids=["more than a message has", "more than the portal reads"]
)
def test_a_question_that_is_too_long_is_refused_with_the_limit_and_stays(window, conversation, count):
    """F60"""
    page = conversation
    page.evaluate("count => { document.querySelector('#prompt').value = 'x'.repeat(count) }", count)
    page.evaluate("document.querySelector('#composer').requestSubmit()")

    expect(page.locator("#composer [role=alert]:visible")).to_contain_text("at most 2000000 characters")
    assert page.evaluate("document.querySelector('#prompt').value.length") == count
    expect(page.locator("article[data-role=user]")).to_have_count(1)
    window.complaints[:] = [each for each in window.complaints if "413" not in each]


def test_what_has_to_wait_for_an_answer_says_so(window, conversation):
    """F53"""
    page = conversation
    page.fill("#prompt", "count to 3000")
    page.press("#prompt", "Enter")
    state(page, "writing")
    wait = "Wait for the answer, or stop it first."
    page.get_by_role("button", name="Answer again").first.click()
    expect(page.locator("#composer [role=alert]:visible")).to_have_text(wait)
    page.get_by_role("button", name="Edit and send again").first.click()
    page.fill(".composer--edit textarea", "count to 4")
    page.press(".composer--edit textarea", "Enter")
    expect(page.locator(".composer--edit")).to_contain_text(wait)
    assert page.input_value(".composer--edit textarea") == "count to 4"

    page.get_by_role("button", name="Stop").click()
    state(page, "stopped")
    page.press(".composer--edit textarea", "Enter")
    expect(page.locator("article[data-role=user]")).to_have_count(1)
    state(page, "done")
    assert answer_text(page).split() == ["1", "2", "3", "4"]
    assert page.locator("#composer [role=alert]:visible").count() == 0
    window.complaints[:] = [each for each in window.complaints if "409" not in each]


@pytest.mark.parametrize("length", [100, 500_000])
def test_who_goes_elsewhere_at_once_finds_their_draft_again(conversation, length):
    """F60: also what is too long for a browser to send while it leaves."""
    page, address = conversation, conversation.url
    page.evaluate("length => { document.querySelector('#prompt').value = 'x'.repeat(length) }", length)
    page.locator("#prompt").dispatch_event("input")
    page.goto("/settings/")
    page.goto(address)

    assert len(page.input_value("#prompt")) == length
    with page.expect_response("**/draft/"):
        page.fill("#prompt", "")
