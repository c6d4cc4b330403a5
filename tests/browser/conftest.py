"""A person with a browser, in front of the real portal."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.faults.portal import PASSWORD, ROOT, Portal, free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PATIENCE_MS = 15_000
# Chromium and Firefox say isComposing; Safari ends the composition first and then sends key code 229.
CHROMIUM_ORDER = """field => {
  field.dispatchEvent(new CompositionEvent("compositionstart", { bubbles: true }));
  const enter = { key: "Enter", isComposing: true, bubbles: true, cancelable: true };
  return !field.dispatchEvent(new KeyboardEvent("keydown", enter));
}"""
SAFARI_ORDER = """field => {
  field.dispatchEvent(new CompositionEvent("compositionend", { bubbles: true }));
  const enter = { key: "Enter", keyCode: 229, bubbles: true, cancelable: true };
  return !field.dispatchEvent(new KeyboardEvent("keydown", enter));
}"""
# Without these a browser looks for its maker's servers.
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def chromium():
    """Debian's Chromium, or any on the PATH."""
    if CHROMIUM is None:
        reason = "no Chromium found: install the package chromium to run the browser tests"
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@contextmanager
def data_directory():
    place = Path(tempfile.mkdtemp(prefix="teahouse-browser-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@contextmanager
def practice_process(speed: int = 150, *, old: bool = False):
    """The practice host as a process of its own, perhaps as it was before Ollama 0.5.5; its address."""
    port = free_port()
    command = [sys.executable, "-m", "webui.practice", "--port", str(port), "--faults", "--speed", str(speed)]
    command += ["--slots", "4", *(["--old"] if old else [])]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="package")
def portal(chromium):
    """One portal for all of these tests, with an administrator and a practice host."""
    with data_directory() as data, practice_process() as practice:
        portal = Portal(data, practice)
        portal.wait_until_ready()
        yield portal
        portal.terminate()


@pytest.fixture(scope="package")
def fresh_portal(chromium):
    """A portal nobody has set up; ``code`` is what its console says."""
    with data_directory() as data:
        portal = Portal(
            data, f"http://127.0.0.1:{free_port()}", ADMIN_USERNAME="", PRACTICE_BIND=f"127.0.0.1:{free_port()}"
        )
        portal.wait_until_ready()
        portal.code = re.search(r"with the code (\S+)", portal.log)[1]
        yield portal
        portal.terminate()


class Visit:
    """A browser window, and what it complained about."""

    def __init__(self, browser: Browser, url: str, **options) -> None:
        options = {"viewport": DESKTOP, "locale": "en-GB", **options}
        self.context = browser.new_context(base_url=url, **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.complaints: list[str] = []
        self.requested: list[str] = []
        self.page = self.open()

    def open(self) -> Page:
        page = self.context.new_page()
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requested.append(request.url))
        return page

    def sign_in(self, username: str = "alice", password: str = PASSWORD) -> Page:
        self.page.goto("/sign-in/")
        self.page.fill("[name=username]", username)
        self.page.fill("[name=password]", password)
        self.page.press("[name=password]", "Enter")
        self.page.wait_for_selector("#prompt")
        return self.page


@pytest.fixture
def visit(chromium, portal):
    """``visit(**context options)``: a window on the portal. Nothing may be complained about in its console."""
    visits = []

    def visit(**options) -> Visit:
        visits.append(Visit(chromium, portal.url, **options))
        return visits[-1]

    yield visit
    complaints = [complaint for each in visits for complaint in each.complaints]
    for each in visits:
        each.context.close()
    assert complaints == []


@pytest.fixture
def page(visit) -> Page:
    """Alice, signed in, on the first page."""
    return visit().sign_in()


@pytest.fixture
def ask(page):
    """``ask(text, model)``: in a new conversation."""

    def ask(text: str, model: str = "practice:latest") -> Page:
        page.goto(f"/?model={model}")
        choose(page, model)
        page.fill("#prompt", text)
        page.press("#prompt", "Enter")
        page.wait_for_url("**/c/*/")
        return page

    return ask


def choose(page: Page, model: str) -> None:
    """In the picker, where the model is listed there; the fault models are not."""
    page.evaluate("model => { document.querySelector('#composer [name=model]').value = model }", model)


def state(page: Page, *states: str) -> None:
    """Wait until the last answer is in one of the states."""
    wanted = ", ".join(f'#thread > li:last-child article[data-state="{each}"]' for each in states)
    page.wait_for_selector(wanted)


def answer_text(page: Page) -> str:
    return page.locator("answer-stream.prose").last.inner_text()


def what_candidates_send(page: Page) -> list[str]:
    """Press the Enter of an input method in every field of a form; what was sent, which should be nothing."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    fields = page.locator("main form input:not([type=hidden]):not([type=radio]):not([type=checkbox])")
    assert fields.count()
    for field in fields.all():
        field.focus()
        for order in (CHROMIUM_ORDER, SAFARI_ORDER):
            field.evaluate(order)
        session = page.context.new_cdp_session(page)
        session.send("Input.imeSetComposition", {"text": "cha", "selectionStart": 3, "selectionEnd": 3})
        session.detach()
    return sent
