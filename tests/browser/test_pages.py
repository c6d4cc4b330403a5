"""Every page: light, accessible, in both languages, and without anything a strict policy would refuse."""

import re

import brotli
import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import DESKTOP, PHONE, Visit, state

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
PAGES = ["/", "/settings/", "/settings/tokens/", "/settings/usage/", "/people/", "/models/", "/usage/"]
# Each language, theme and width is in one of the first two; the others are for those who have time.
LOOKS = [
    *[("en", "light", DESKTOP), ("zh-hans", "dark", PHONE), ("en", "dark", PHONE), ("zh-hans", "light", PHONE)],
    *[("en", "light", PHONE), ("en", "dark", DESKTOP), ("zh-hans", "light", DESKTOP), ("zh-hans", "dark", DESKTOP)],
]
SEEN = [
    pytest.param(*look, id=f"{look[0]}-{look[1]}-{look[2]['width']}", marks=pytest.mark.slow if at > 1 else ())
    for at, look in enumerate(LOOKS)
]


@pytest.fixture(scope="module")
def conversations(chromium, portal) -> dict[str, str]:
    """Addresses of a conversation that is done, one that failed, one that was stopped."""
    visit = Visit(chromium, portal.url)
    page = visit.sign_in()
    found = {}
    for model, end in [
        ("practice-markdown:latest", "done"),
        ("fault-trunc", "failed"),
        ("practice-thinker:latest", "stopped"),
    ]:
        page.goto("/")
        page.evaluate("model => { document.querySelector('#composer [name=model]').value = model }", model)
        page.fill("#prompt", "Show me everything")
        page.press("#prompt", "Enter")
        page.wait_for_url("**/c/*/")
        if end == "stopped":
            state(page, "thinking", "writing")
            page.click("button[data-stop]")
        state(page, end)
        found[end] = page.url
    visit.context.close()
    return found


@pytest.mark.parametrize(("language", "theme", "size"), SEEN)
def test_axe_finds_nothing(chromium, portal, conversations, language, theme, size):
    visit = Visit(
        chromium,
        portal.url,
        viewport=size,
        color_scheme=theme,
        locale="zh-CN" if language == "zh-hans" else "en-GB",
        bypass_csp=True,
        reduced_motion="reduce",
    )
    page, found = visit.page, {}

    def look(name: str) -> None:
        violations = Axe().run(page, options=RULES).response["violations"]
        if violations:
            found[name] = [(v["id"], [n["html"][:160] for n in v["nodes"]][:3]) for v in violations]

    page.goto("/sign-in/")
    look("sign in")
    visit.sign_in()
    for address in [*PAGES, "/setup/host/", "/nothing/", *conversations.values()]:
        page.goto(address)
        look(address)
    page.goto("/")
    page.locator("[popovertarget=picker]").click()
    look("picker")
    page.goto(conversations["done"])
    page.locator("article[data-role=user] [data-edit]").click()
    page.wait_for_selector(".composer--edit")
    look("editing")
    page.keyboard.press("Escape")
    page.locator("[popovertarget=chat-menu]").first.click()
    look("menu")
    page.locator("#chat-menu button").first.click()
    page.wait_for_selector("dialog[open]")
    look("renaming")
    visit.context.close()

    assert found == {}


def test_the_first_page_is_light_and_stays_at_home(visit, portal):
    window = visit()
    bodies: dict[str, bytes] = {}
    window.page.on("response", lambda answer: bodies.__setitem__(answer.url, answer.body()) if answer.ok else None)
    window.sign_in()
    bodies.clear()
    other = visit(storage_state=window.context.storage_state())
    other.page.on("response", lambda answer: bodies.__setitem__(answer.url, answer.body()) if answer.ok else None)
    other.page.goto("/", wait_until="networkidle")

    assert len(bodies) <= 12
    assert {url.split("/")[2] for url in bodies} == {f"localhost:{portal.port}"}
    assert sum(len(brotli.compress(body)) for body in bodies.values()) <= 60 * 1024


def test_no_page_has_inline_style_or_script(visit, conversations):
    page = visit().sign_in()
    for address in [*PAGES, "/setup/host/", *conversations.values()]:
        html = page.request.get(address).text()
        tags = re.findall(r"<[a-z][^>]*>", html)
        inline = [tag for tag in tags if re.search(r"\s(style|on[a-z]+)\s*=", tag)]

        assert inline == [], address
        assert not re.search(r"<script(?![^>]*\ssrc=)", html)


@pytest.mark.parametrize("width", [320, 390, 768, 1024])
def test_nothing_scrolls_sideways(visit, conversations, width):
    page = visit(viewport={"width": width, "height": 700}).sign_in()
    for address in [*PAGES, conversations["done"]]:
        page.goto(address)

        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
