"""What breaks off while somebody types or reads: nothing a person wrote is lost."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Visit, choose, state

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
