"""A connection that breaks anywhere in an answer, in the middle of a word too, costs nobody a character."""

import random
import uuid

import pytest

from chat.markdown import render
from chat.runs.growing import GrowingAnswer
from chat.viewer import Viewer
from chat.words import labels_in, prefix_of
from tests.pages import Page
from webui.practice.scripts import MARKDOWN, THOUGHT

CUTS = 200
THINKING = f"{THOUGHT}\n\n```\nunfinished *thoughts*\n\n- one\n- **two**"


class OpenPage:
    """A page without a browser that follows one live answer, loses its connection, and connects again."""

    def __init__(self, answer: GrowingAnswer) -> None:
        self.answer = answer
        self.page = Page(
            f'<article id="m-{answer.message}"><answer-stream id="thinking-1" data-run="{answer.run}"></answer-stream>'
            f'<answer-stream id="answer-1" data-run="{answer.run}"></answer-stream></article>'
        )
        self.viewer: Viewer | None = None

    def connect(self) -> None:
        self.viewer = Viewer(language="en", send=None)

    def disconnect(self) -> None:
        self.viewer = None

    def follow(self) -> None:
        """Take what the server has for this page now."""
        if self.viewer:
            for message in self.viewer.due(self.answer):
                self.page.take(message)

    def shows(self) -> list[str]:
        return [self.page.shown("thinking-1"), self.page.shown("answer-1")]


def reloaded(answer: GrowingAnswer) -> list[str]:
    """What a page made now would show."""
    fresh = OpenPage(answer)
    fresh.connect()
    fresh.follow()
    return fresh.shows()


def stored(answer: GrowingAnswer) -> list[str]:
    """What a page shows once the answer is stored."""
    page = OpenPage(answer)
    for track, id_ in ((answer.thought, "thinking-1"), (answer.answer, "answer-1")):
        prefix = prefix_of(answer.message, thinking=track is answer.thought)
        page.page.fill(id_, render(track.text, labels=labels_in("en"), prefix=prefix))
    return page.shows()


def pieces(text: str, chance: random.Random) -> list[str]:
    """The text in pieces that end wherever they end, in the middle of a word too."""
    cut = []
    while text:
        size = chance.randint(1, 60)
        cut.append(text[:size])
        text = text[size:]
    return cut


@pytest.mark.parametrize("seed", range(CUTS))
async def test_a_page_that_was_cut_off_at_a_random_place_shows_what_a_reload_shows(seed):
    chance = random.Random(seed)
    answer = GrowingAnswer(run=uuid.uuid4(), message=uuid.uuid4(), conversation=uuid.uuid4())
    open_page = OpenPage(answer)
    steps = [(answer.thought, piece) for piece in pieces(THINKING, chance)]
    steps += [(answer.answer, piece) for piece in pieces(MARKDOWN, chance)]
    cut, back = sorted(chance.sample(range(len(steps)), 2))
    open_page.connect()
    for number, (track, piece) in enumerate(steps):
        if number == cut:
            open_page.disconnect()
        if number == back:
            open_page.connect()
        track.append(piece)
        for view in answer.views("en"):
            view.flush()
        open_page.follow()
        if number in {cut - 1, back}:
            assert open_page.shows() == reloaded(answer)
    answer.close()
    open_page.follow()

    assert open_page.shows() == stored(answer)
