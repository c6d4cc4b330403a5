"""Words that are longer, higher or of another direction than others stay in their place."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, state

pytestmark = pytest.mark.slow

MARKS = "Z" + "\u0301" * 500
ODD = [
    *("مرحبا بالعالم", "\u202eevil\u202c \u2066x\u2069", "a\u200bb\u200dc\ufeffd", MARKS),
    *("👩‍👩‍👧‍👦🏳️‍🌈" * 30, "x" * 300, "https://example.org/" + "a" * 300),
]
TABLE = "\n\n| a | b |\n|---|---|\n" + "".join(f"| {odd} | b |\n" for odd in ODD)


@pytest.fixture
def written(portal):
    """``written(page, text, title=)``: as if the question, the answer and the title of the page were so."""

    def written(page: Page, text: str, *, title: str) -> None:
        with portal.database() as database:
            (pk,) = page.url.split("/")[-2:-1]
            database.execute("update chat_message set text = %s where conversation_id = %s", [text, pk])
            database.execute("update chat_conversation set title = %s where id = %s", [title, pk])
        page.reload()

    return written


@pytest.fixture
def conversation(ask) -> Page:
    page = ask("count to 3", "practice-counting:latest")
    state(page, "done")
    return page


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_odd_words_widen_nothing(conversation, written, size):
    """F61"""
    page = conversation
    page.set_viewport_size(size)
    written(page, "\n\n".join(ODD) + TABLE, title="x" * 200)
    wider = page.evaluate("""() => [...document.querySelectorAll("article, .prose, .prose > p, header, #side-list a")]
      .filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 80))""")

    assert wider == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_marks_that_are_piled_up_are_painted_over_nothing_but_their_own_text(conversation, written):
    """F61"""
    page = conversation
    seen = []
    for words in ("Z", MARKS):
        written(page, words, title=words[:200])
        expect(page.locator("article")).to_have_count(2)
        page.evaluate("document.fonts.ready")
        above = [page.get_by_text("Today"), page.locator("[data-new]").first]
        neighbours = [*page.locator("article header").all(), *above]
        seen.append([neighbour.screenshot() for neighbour in neighbours])

    assert [before == after for before, after in zip(*seen, strict=True)] == [True] * 4


def test_each_paragraph_runs_in_the_direction_of_its_words(conversation, written):
    """F61"""
    page = conversation
    written(page, "שלום עולם\n\nHello world", title="שלום")
    starts = page.evaluate("""() => [...document.querySelectorAll(".prose > p")].map((p) => {
      const words = new Range();
      words.selectNodeContents(p);
      const [box, text] = [p.getBoundingClientRect(), words.getBoundingClientRect()];
      return box.right - text.right < text.left - box.left ? "right" : "left";
    })""")

    assert starts == ["right", "left"] * 2
