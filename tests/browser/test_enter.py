"""The Enter that belongs to an input method sends nothing, in no field."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import CHROMIUM_ORDER, SAFARI_ORDER, state, what_candidates_send


def compose(page: Page, selector: str) -> None:
    """Type with an input method, as the browser itself reports it, and leave the candidates open."""
    page.focus(selector)
    session = page.context.new_cdp_session(page)
    session.send("Input.imeSetComposition", {"text": "cha", "selectionStart": 3, "selectionEnd": 3})


def enter_while_composing(page: Page, selector: str) -> None:
    compose(page, selector)
    page.keyboard.press("Enter")


@pytest.fixture
def conversation(ask) -> Page:
    page = ask("count to 3", "practice-counting:latest")
    state(page, "done")
    return page


@pytest.mark.parametrize("order", [CHROMIUM_ORDER, SAFARI_ORDER])
def test_in_the_composer(conversation, order):
    conversation.fill("#prompt", "茶")
    conversation.locator("#prompt").evaluate(order)

    expect(conversation.locator("article")).to_have_count(2)
    assert conversation.input_value("#prompt") == "茶"


def test_enter_sends_once_the_composition_is_over(conversation):
    conversation.fill("#prompt", "count to 4")
    conversation.press("#prompt", "Enter")

    expect(conversation.locator("article")).to_have_count(4)
    state(conversation, "done")


def test_shift_enter_starts_a_new_line(conversation):
    conversation.fill("#prompt", "one")
    conversation.press("#prompt", "Shift+Enter")
    conversation.keyboard.type("two")

    assert conversation.input_value("#prompt") == "one\ntwo"


@pytest.mark.parametrize("order", [CHROMIUM_ORDER, SAFARI_ORDER])
def test_in_the_edit_field(conversation, order):
    conversation.locator("article[data-role=user]").hover()
    conversation.get_by_role("button", name="Edit and send again").click()
    conversation.locator(".composer--edit textarea").evaluate(order)

    expect(conversation.locator(".composer--edit")).to_have_count(1)


@pytest.mark.parametrize("order", [CHROMIUM_ORDER, SAFARI_ORDER])
def test_in_the_rename_field(conversation, order):
    conversation.get_by_role("button", name="More actions").click()
    conversation.get_by_role("menuitem", name="Rename").click()
    prevented = conversation.locator("[name=title]").evaluate(order)

    assert prevented
    expect(conversation.locator("dialog[open]")).to_have_count(1)


@pytest.mark.parametrize("order", [CHROMIUM_ORDER, SAFARI_ORDER])
def test_in_the_pickers_search_field(conversation, order):
    conversation.locator("[popovertarget=picker]").click()
    conversation.fill("[data-combobox]", "markdown")
    conversation.locator("[data-combobox]").evaluate(order)

    expect(conversation.locator("#picker")).to_be_visible()
    conversation.press("[data-combobox]", "Enter")
    expect(conversation.locator("#composer .label")).to_have_text("practice-markdown:latest")


@pytest.mark.parametrize("address", ["/settings/", "/people/", "/setup/host/", "/sign-in/"])
def test_in_every_field_of_a_form(visit, address):
    page = visit().page if address == "/sign-in/" else visit().sign_in()
    page.goto(address)

    assert what_candidates_send(page) == []


def test_a_megabyte_can_be_pasted_and_written_on(page):
    """From the paste to the next frame, and from a key to the next frame."""
    page.focus("#prompt")
    took = page.evaluate(
        """async () => {
          const field = document.querySelector("#prompt");
          const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          const waits = [];
          for (const text of ["word ".repeat(200_000), "a", "b"]) {
            const began = performance.now();
            document.execCommand("insertText", false, text);
            await frame();
            waits.push(performance.now() - began);
          }
          return [field.value.length, ...waits];
        }"""
    )

    assert took[0] == 1_000_002
    assert max(took[2:]) < 1000


def test_a_real_composition_in_the_composer(conversation):
    enter_while_composing(conversation, "#prompt")

    expect(conversation.locator("article")).to_have_count(2)


def test_with_ctrl_enter_chosen_enter_is_a_new_line(page):
    page.goto("/settings/")
    page.select_option("[name=send_key]", "ctrl")
    page.get_by_role("button", name="Save").click()
    page.goto("/?model=practice-counting:latest")
    page.fill("#prompt", "count to 3")
    page.press("#prompt", "Enter")
    assert page.input_value("#prompt") == "count to 3\n"

    page.press("#prompt", "Control+Enter")
    page.wait_for_url("**/c/*/")
    page.goto("/settings/")
    page.select_option("[name=send_key]", "enter")
    page.get_by_role("button", name="Save").click()
