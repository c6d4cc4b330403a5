"""A real browser looks at everything hostile at once: nothing runs, nothing is fetched, nothing is out of place."""

import pytest

from tests.browser.conftest import state
from tests.chat.markdown.test_safety import ATTACKS

TITLE = "\"'></title></h1><img src=x onerror=alert(1)>"


@pytest.fixture
def dialogs(page) -> list[str]:
    """What wanted to be seen: an alert is how an attack shows that it ran."""
    found: list[str] = []
    page.on("dialog", lambda dialog: (found.append(dialog.message), dialog.dismiss()))
    return found


def test_a_page_full_of_attacks_is_only_words(ask, page, portal, dialogs):
    """S10, S11, S12, S13, S14, S17, S62."""
    ask("What is tea?")
    state(page, "done")
    conversation = page.url.split("/")[-2]
    with portal.database() as database:
        everything = "\n\n".join(ATTACKS)
        message = "update chat_message set text = %s, thinking = %s, model = %s where conversation_id = %s"
        database.execute(message, [everything, everything, TITLE, conversation])
        database.execute("update chat_conversation set title = %s where id = %s", [TITLE, conversation])
        database.execute("update accounts_user set display_name = %s where username = 'alice'", [TITLE])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload(wait_until="networkidle")
    page.locator("details.think summary").click()
    shown = page.locator("#title").inner_text()
    with portal.database() as database:
        database.execute("update accounts_user set display_name = '' where username = 'alice'")

    assert shown == TITLE
    assert dialogs == []
    assert [url for url in asked if not url.startswith(portal.url)] == []
    # Nothing took the place of what the page's scripts rely on.
    assert page.evaluate("[document.getElementById('prompt').tagName, document.forms.composer.tagName]") == [
        "TEXTAREA",
        "FORM",
    ]
    assert page.locator("answer-stream :is(script, iframe, img, form, input, style, link, base, object)").count() == 0
    assert page.url.endswith(f"/c/{conversation}/")
