"""Administrators look after the models: the whole story, in two browsers and both languages, over a crash."""

import hashlib
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, Visit, data_directory, practice_process, state
from tests.browser.test_pages import RULES
from tests.faults.portal import PASSWORD, Portal


@pytest.fixture
def own_portal(chromium):
    """A portal that may be killed, with an administrator alice and a host."""
    with data_directory() as data, practice_process() as practice:
        portal = Portal(data, practice)
        portal.wait_until_ready()
        yield portal
        portal.terminate()


def job(page: Page, model: str):
    return page.locator("#jobs > .job", has=page.locator(f"b:text-is('{model}')"))


def pull(page: Page, model: str) -> None:
    page.fill("#pull-model", model)
    page.press("#pull-model", "Enter")
    expect(job(page, model).first).to_be_visible()


def second_administrator(page: Page) -> None:
    page.goto("/people/")
    page.fill("[name=username]", "bob")
    page.fill("[name=password]", PASSWORD)
    page.locator("main form.card button[type=submit]").click()
    page.goto("/people/")
    page.locator("tr", has_text="bob").locator("[popovertarget]").click()
    page.locator("[popover]:popover-open [value=promote]").click()


def second_host(page: Page, address: str) -> None:
    page.goto("/hosts/new/")
    page.fill("#url", address)
    page.fill("#hn", "second")
    expect(page.locator("#check")).to_contain_text("models installed")
    page.get_by_role("button", name="Use this host").click()
    expect(page.locator("#hosts")).to_contain_text("second")


def after_ten_seconds(portal: Portal) -> None:
    with portal.database() as database:
        database.execute("update models_admin_job set lease_expires = now() where state = 'running'")


@pytest.mark.slow
@pytest.mark.parametrize("old", [False, True], ids=["now", "before 0.5.5"])
def test_models_are_pulled_watched_made_asked_and_deleted_over_a_crash(chromium, own_portal, old):
    """F01, F41, F42."""
    alice, bob = Visit(chromium, own_portal.url), Visit(chromium, own_portal.url, locale="zh-CN")
    page = alice.sign_in()
    second_administrator(page)
    with practice_process(old=old) as other:
        second_host(page, other)
        page.goto("/models/")
        for model in ("fault-pull-gate", "practice-large", "fault-pull-broken"):
            pull(page, model)
        bobs = bob.sign_in("bob")
        bobs.goto("/models/")
        expect(job(bobs, "practice-large")).to_contain_text("发起人 alice")

        own_portal.kill()
        own_portal.start()
        own_portal.wait_until_ready()
        after_ten_seconds(own_portal)
        for each, done in ((page, "Done"), (bobs, "完成")):
            expect(job(each, "practice-large")).to_contain_text(done, timeout=30_000)
        expect(job(page, "fault-pull-gate")).to_have_attribute("data-state", "running")
        job(bobs, "fault-pull-gate").get_by_role("button").click()
        expect(job(page, "fault-pull-gate")).to_contain_text("Cancelled by bob")
        expect(job(page, "fault-pull-broken")).to_contain_text("could not reach the registry")
        tried = job(page, "fault-pull-broken").get_attribute("id")
        job(page, "fault-pull-broken").get_by_role("button", name="Retry").click()
        expect(job(page, "fault-pull-broken")).not_to_have_attribute("id", tried)
        expect(job(page, "fault-pull-broken")).to_have_attribute("data-state", "failed")

        page.goto("/models/new/?from=practice-large:latest")
        page.fill("#mn", "team/review")
        page.fill("#mt", "FROM practice-large:latest\nPARAMETER max_tokens 50\nSYSTEM Kind.\n")
        expect(page.locator("#mf-side")).to_contain_text("Ollama calls it num_predict")
        page.get_by_role("button", name="Replace").click()
        expect(page.locator("#mt")).to_have_value(
            "FROM practice-large:latest\nPARAMETER num_predict 50\nSYSTEM Kind.\n"
        )
        page.get_by_role("button", name="Create model").click()
        job(page, "team/review").get_by_role("link", name="Chat with it").click()
        page.fill("#prompt", "Hello")
        page.press("#prompt", "Enter")
        state(page, "done")

        page.goto("/models/?q=team/review")
        page.locator("#models [aria-haspopup=menu]").click()
        page.locator("#row-menu").get_by_text("Delete").click()
        expect(page.locator("dialog")).to_contain_text("1 person in the last 30 days")
        page.fill("#conf", "team/review:latest")
        page.get_by_role("button", name="Delete model").click()
        expect(page.locator("#models")).to_contain_text("No model is called like that")
    for visit in (alice, bob):
        visit.context.close()


def test_a_modelfile_is_checked_while_it_is_typed_before_it_has_a_name_and_after_it_was_mended(page):
    page.goto("/models/new/?from=practice:latest")
    for _ in range(2):
        page.fill("#mt", "FROM practice:latest\nPARAMETER max_tokens 50")
        page.get_by_role("button", name="Replace").click()
        expect(page.locator("#mt")).to_have_value("FROM practice:latest\nPARAMETER num_predict 50")
        expect(page.locator("#mf-side")).to_contain_text("Nothing to fix")


@pytest.mark.parametrize(("theme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["light", "dark-phone"])
def test_axe_finds_nothing_where_models_are_looked_after(chromium, portal, theme, size):
    options = {"viewport": size, "color_scheme": theme, "bypass_csp": True, "reduced_motion": "reduce"}
    visit = Visit(chromium, portal.url, **options)
    page, found = visit.sign_in(), {}

    def look(name: str) -> None:
        violations = Axe().run(page, options=RULES).response["violations"]
        if violations:
            found[name] = [(v["id"], [n["html"][:160] for n in v["nodes"]][:3]) for v in violations]

    page.goto("/groups/")
    if not page.get_by_role("link", name="Research").count():
        page.fill("#group-name", "Research")
        page.get_by_role("button", name="Create group").click()
        look("group")
    for address in (
        "/groups/",
        "/jobs/",
        "/hosts/",
        "/hosts/1/",
        "/queue/",
        "/audit/",
        "/models/new/?from=/etc/passwd",
    ):
        page.goto(address)
        look(address)
    page.goto("/models/?q=practice:latest")
    pull(page, "nobody-knows-it")
    expect(job(page, "nobody-knows-it").first).to_have_attribute("data-state", "failed")
    look("a failure")
    page.locator("#models [aria-haspopup=menu]").first.click()
    expect(page.get_by_role("menuitem", name="Details")).to_be_focused()
    look("menu")
    for name in ("Duplicate as…", "Delete"):
        page.get_by_role("menuitem", name=name).click()
        page.wait_for_selector("dialog[open]")
        look(name)
        page.keyboard.press("Escape")
        page.locator("#models [aria-haspopup=menu]").first.click()
        expect(page.get_by_role("menuitem", name="Details")).to_be_focused()
    page.get_by_role("menuitem", name="Details").click()
    expect(page.locator("#drawer")).to_contain_text("Template")
    page.locator("#rules summary").click()
    look("drawer")
    page.locator("[data-drawer-close]").click()
    expect(page.locator("#drawer")).to_be_hidden()
    visit.context.close()

    assert found == {}


def test_the_playground_shows_an_answer_as_it_grows_and_stops_it(page):
    page.goto("/playground/")
    page.select_option("#pg-model", "practice:latest")
    page.fill("#pg-prompt", "Tea?")
    page.get_by_role("button", name="Complete").click()
    expect(page.locator("[data-text]")).to_contain_text("practice model")
    expect(page.locator("[data-phase]")).to_contain_text("tokens read")
    expect(page.locator("#pg-context")).to_have_value(re.compile(r"^\[\d"))

    page.select_option("#pg-model", "fault-gate:latest")
    page.get_by_role("button", name="Complete").click()
    expect(page.locator("[data-text]")).to_contain_text("Tea")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-phase]")).to_have_text("Stopped")

    page.get_by_text("System, template, format, options").click()
    page.fill("#pg-options", "temperature hot")
    page.get_by_role("button", name="Complete").click()
    expect(page.locator("[data-wrong]")).to_contain_text("temperature hot")


def gguf(kind: int) -> bytes:
    """A file that says how its weights are stored, and holds none; larger than a few pieces."""

    def string(text: str) -> bytes:
        return len(text).to_bytes(8, "little") + text.encode()

    said = [("general.architecture", 8, string("llama")), ("general.file_type", 4, kind.to_bytes(4, "little"))]
    facts = b"".join(string(key) + type_.to_bytes(4, "little") + value for key, type_, value in said)
    return b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + len(said).to_bytes(8, "little") + facts + bytes(300_000)


def test_a_model_is_made_of_a_file_that_is_uploaded(page):
    page.goto("/models/new/?from=practice:latest")
    page.set_input_files("#mg", {"name": "mine.gguf", "mimeType": "", "buffer": gguf(kind=1)})

    expect(page.locator("[data-upload] [role=status]")).to_have_text("The file is on the host.")
    digest = hashlib.sha256(gguf(kind=1)).hexdigest()
    expect(page.locator("#mt")).to_have_value(re.compile(rf"^FROM @sha256:{digest}\n"))
    expect(page.locator("#mf-side")).to_contain_text("the uploaded file")
    expect(page.get_by_label("Quantise")).to_be_visible()
    page.fill("#mn", "of-a-file")
    page.get_by_role("button", name="Create model").click()
    expect(job(page, "of-a-file").get_by_role("link", name="Chat with it")).to_be_visible()


def test_a_file_that_is_no_model_is_refused_before_it_is_read(page):
    page.goto("/models/new/?from=practice:latest")
    page.set_input_files("#mg", {"name": "mine.gguf", "mimeType": "", "buffer": b"PK" * 20})

    expect(page.locator("[data-upload] [role=status]")).to_have_text("This is not a GGUF file.")
