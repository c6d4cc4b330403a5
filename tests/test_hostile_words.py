"""Whatever people, models and hosts write or call things, a page keeps its structure: words stay words."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from xml.etree.ElementTree import Element

import html5lib
import pytest
from django.db.models import Model
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chat import live
from chat.models import Conversation, Draft, Message, State
from chat.thread import turn_of
from tests.chat.markdown.dom import HTML, surprises
from tests.chat.markdown.test_safety import ATTACKS
from tests.pages import text_of
from webui.inference.models import InstalledModel

OUT_OF_ANYWHERE = [
    "\"'><script>alert(1)</script> {{ csrf_token }}",
    "\" autofocus onfocus=alert(1) x=' {% debug %} &lt;b&gt;",
    "--></textarea></title></option></li><svg onload=alert(1)> %(name)s {}",
]
# Where words may stand, and what differs between two requests; that they are there is part of the structure.
MAY_DIFFER = {"value", "title", "placeholder", "aria-label", "data-model", "data-stamp", "hx-headers", "datetime"}
DOOR = "/sign-in/"


def structure(html: str, *, inside_answers: bool = True) -> list[str]:
    """The elements and attributes of a page, without its words."""
    return list(_lines(html5lib.parse(html, namespaceHTMLElements=False), inside_answers=inside_answers))


def _lines(element: Element, *, inside_answers: bool) -> Iterator[str]:
    if not isinstance(element.tag, str):
        return
    attributes = sorted((name, _structural(name, value)) for name, value in element.items() if name != "lang")
    yield f"{element.tag} {attributes}"
    if element.tag != "answer-stream" or inside_answers:
        for child in element:
            yield from _lines(child, inside_answers=inside_answers)
    yield "end"


def _structural(name: str, value: str) -> str:
    if name in MAY_DIFFER:
        return ""
    return "opt" if name == "id" and value.startswith("opt-") else value.partition("?")[0]


def words(html: str) -> str:
    return text_of(html5lib.parse(html, namespaceHTMLElements=False))


@pytest.fixture
def installed(host) -> InstalledModel:
    return InstalledModel.objects.create(host=host, name="m", capabilities=["completion"], seen_at=timezone.now())


@pytest.fixture
def url(conversation) -> str:
    return reverse("chat:conversation", args=[conversation.pk])


def change(row: Model, **fields: object) -> None:
    type(row).objects.filter(pk=row.pk).update(**fields)
    row.refresh_from_db()


def assert_words_stay_words(shown: Callable[[str], list[str]]) -> None:
    """Each page that shows an attack has the structure of one that shows a plain word, and the attack as words."""
    calm = [structure(html) for html in shown("plain")]
    for attack in OUT_OF_ANYWHERE:
        pages = shown(attack)

        assert [structure(html) for html in pages] == calm
        assert [attack in words(html) for html in pages] == [True] * len(pages)


def chain(conversation: Conversation, texts: list[str], **fields: object) -> list[Message]:
    """Messages one below the other; the last one is the head."""
    found: list[Message] = []
    for text in texts:
        parent = found[-1] if found else None
        found.append(conversation.messages.create(text=text, parent=parent, **fields))
    change(conversation, head=found[-1])
    return found


@pytest.mark.parametrize("start", [0, 40])
def test_titles_stay_words(alices, alice, start):
    """S10, S12, S17."""
    attacks = [attack[:200] for attack in ATTACKS[start : start + 40]]
    rows = [Conversation.objects.create(owner=alice, title="plain") for _ in attacks]

    def shown() -> list[str]:
        (told,) = live.list_messages(alice, None)
        return [alices.get("/").content.decode(), told["part"]]

    calm = [structure(html) for html in shown()]
    for row, attack in zip(rows, attacks, strict=True):
        change(row, title=attack)

    assert [structure(html) for html in shown()] == calm
    for seen in map(words, shown()):
        assert [attack for attack in attacks if attack not in seen] == []


def test_the_title_of_a_page_stays_words(alices, conversation, url):
    """S10, S17."""

    def shown(title: str) -> list[str]:
        change(conversation, title=title)
        part = render_to_string("chat/live/title.html", {"conversation": conversation})
        return [alices.get(url).content.decode(), alices.get(f"{url}title/").content.decode(), part]

    calm = [structure(html) for html in shown("plain")]
    for attack in OUT_OF_ANYWHERE:
        assert [structure(html) for html in shown(attack)] == calm
        assert attack in words(shown(attack)[0])


@pytest.mark.parametrize("start", [0, 40])
def test_questions_stay_words(alices, alice, conversation, url, start):
    """S10, S11, S12, S13, S14."""
    attacks = ATTACKS[start : start + 40]
    plain = [re.sub(r"[^\n]", "x", attack) for attack in attacks]
    messages = chain(conversation, plain, role="user", author=alice)

    def shown() -> list[str]:
        part = live.thread_message(conversation.pk)["part"]
        return [alices.get(url).content.decode(), alices.get(f"{url}earlier/").content.decode(), part]

    calm = [structure(html) for html in shown()]
    for message, attack in zip(messages, attacks, strict=True):
        change(message, text=attack)

    assert [structure(html) for html in shown()] == calm
    for seen in map(words, shown()):
        assert [attack for attack in attacks if attack.splitlines()[0] not in seen] == []


def test_a_question_that_is_edited_and_a_draft_stay_words(alices, alice, conversation, answer, installed, url):
    """S10."""

    def shown(text: str) -> list[str]:
        change(answer.parent, text=text)
        Draft.objects.update_or_create(user=alice, conversation=None, defaults={"text": text})
        Draft.objects.update_or_create(user=alice, conversation=conversation, defaults={"text": text})
        return [alices.get(path).content.decode() for path in ["/", url, f"{url}m/{answer.parent_id}/edit/"]]

    assert_words_stay_words(shown)


@pytest.mark.parametrize("start", [0, 40])
def test_answers_bring_nothing_into_a_page_but_what_answers_may(alices, conversation, url, start):
    """S10, S11, S12, S13, S14, S62. At every cut of their way: tests/chat/markdown/test_safety.py."""
    attacks = ATTACKS[start : start + 40]
    messages = chain(conversation, ["plain"] * len(attacks), role="assistant", thinking="plain")

    def shown() -> list[str]:
        return [alices.get(url).content.decode(), live.thread_message(conversation.pk)["part"]]

    calm = [structure(html, inside_answers=False) for html in shown()]
    for message, attack in zip(messages, attacks, strict=True):
        change(message, text=attack, thinking=attack)

    assert [structure(html, inside_answers=False) for html in shown()] == calm
    for html in shown():
        found = [surprises_in(stream) for stream in html5lib.parse(html).iter(f"{{{HTML}}}answer-stream")]
        assert len(found) == 2 * len(attacks)
        assert [each for each in found if each] == []


def surprises_in(stream: Element) -> list[str]:
    """What an answer may not have, whatever names are its own in the page."""
    stream.attrib.clear()
    html = html5lib.serialize(stream, quote_attr_values="always")
    own = re.sub(r'(id="|href="#)[0-9a-f]{8}t?-', r"\1p-", html).replace("/static/icons.svg", "/icons.svg")
    return surprises(re.sub("</?answer-stream>", "", own))


def test_the_text_of_an_answer_for_the_clipboard_is_no_page(alices, answer, url):
    """S10."""
    change(answer, text="".join(ATTACKS))
    copied = alices.get(f"{url}m/{answer.pk}/text/")

    assert copied.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert copied.headers["X-Content-Type-Options"] == "nosniff"
    assert copied.content.decode() == "".join(ATTACKS)


def test_the_name_of_a_person_stays_words(alices, roots, alice, root, url):
    """S17."""

    def shown(name: str) -> list[str]:
        change(alice, display_name=name)
        change(root, display_name=name)
        pages = [alices.get(path) for path in ["/", url, "/settings/"]] + [roots.get("/people/"), Client().get(DOOR)]
        return [page.content.decode() for page in pages]

    assert_words_stay_words(shown)


@pytest.mark.parametrize("state", [*State, "reading", "thinking", "writing"])
def test_what_a_host_says_of_an_answer_stays_words(answer, state):
    """S15, S16. Every state of an answer, as open pages are told of it."""
    turn = turn_of(answer)

    def shown(said: str) -> list[str]:
        fields = {"model": said, "host": said, "error_detail": said, "error": "missing", "since": answer.created_at}
        context = {"turn": replace(turn, **fields, state=state), "conversation": answer.conversation}
        return [render_to_string("chat/live/answer.html", context)]

    assert_words_stay_words(shown)


def test_what_a_host_said_of_an_answer_stays_words(alices, answer, url):
    """S15, S16."""

    def shown(said: str) -> list[str]:
        change(answer, model=said, host=said[:80], error_detail=said, state=State.FAILED, error="missing")
        return [alices.get(url).content.decode()]

    assert_words_stay_words(shown)


def test_what_a_host_calls_its_models_stays_words(alices, roots, conversation, host, url):
    """S15."""

    def shown(said: str) -> list[str]:
        short = said[:20]
        described = {"family": said, "parameter_size": short, "quantization": short, "digest": said}
        able = {"capabilities": ["completion", said], "context_length": 7, "loaded": True, "seen_at": timezone.now()}
        InstalledModel.objects.update_or_create(host=host, defaults={"name": said, **described, **able})
        change(host, name=said, version=said[:40], last_error=said)
        change(conversation, model=said)
        pages = [alices.get("/"), alices.get("/", {"model": said}), alices.get(url), roots.get("/models/")]
        pk = InstalledModel.objects.get().pk
        pages += [roots.get(f"/models/{pk}/{page}") for page in ("", "copy/", "delete/")]
        return [page.content.decode() for page in pages]

    assert_words_stay_words(shown)


def test_what_stands_in_an_address_stays_words(alices, roots, root):
    """S10, S23."""

    def shown(said: str) -> list[str]:
        pages = [
            alices.get("/", {"model": said, "deleted": said}),
            Client().get(DOOR, {"next": f"/{said}"}),
            Client().post(DOOR, {"username": said, "password": "x"}),
            alices.get(f"/nowhere/{said}"),
        ]
        return [page.content.decode() for page in pages]

    calm = [structure(html) for html in shown("plain")]
    for attack in OUT_OF_ANYWHERE:
        assert [structure(html) for html in shown(attack)] == calm


def test_htmx_runs_nothing_and_looks_at_nothing_that_was_written(alices, alice, conversation, answer, url):
    """S11."""
    change(answer, thinking="Hm.", state=State.FAILED, error_detail="broken")
    page = html5lib.parse(alices.get(url).content.decode(), namespaceHTMLElements=False)
    config = json.loads(page.find(".//meta[@name='htmx-config']").get("content"))
    written = [element for element in page.iter() if element.tag == "answer-stream" or _is_prose(element)]

    assert {name: config[name] for name in ("allowEval", "allowScriptTags", "selfRequestsOnly")} == {
        "allowEval": False,
        "allowScriptTags": False,
        "selfRequestsOnly": True,
    }
    assert len(written) == 3
    assert all("hx-disable" in element.attrib for element in written)


def _is_prose(element: Element) -> bool:
    return "prose" in (element.get("class") or "").split() and element.tag != "answer-stream"
