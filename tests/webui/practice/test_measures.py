"""The models that are there to be measured."""

import time

import pytest

from webui.ollama import OllamaClient
from webui.practice.measures import CORPORA


async def said_by(practice, model: str, question: str) -> list[str]:
    async with OllamaClient(practice.url) as client:
        chunks = client.chat(model=model, messages=[{"role": "user", "content": question}])
        return [chunk.text async for chunk in chunks if not chunk.done]


@pytest.mark.parametrize("kind", CORPORA)
async def test_each_says_as_many_pieces_as_asked(practice, kind):
    assert len(await said_by(practice, f"measure-{kind}", "200 pieces")) == 200


async def test_the_clock_says_when_each_piece_was_sent(practice):
    before = time.monotonic()
    stamps = [float(piece.partition("@")[2]) / 1000 for piece in await said_by(practice, "measure-clock", "10")]

    assert before <= stamps[0]
    assert stamps == sorted(stamps)
    assert stamps[-1] <= time.monotonic()


async def test_pieces_come_at_the_speed_that_was_asked_for(practice):
    practice.speed = 200
    stamps = [float(piece.partition("@")[2]) / 1000 for piece in await said_by(practice, "measure-clock", "60")]

    assert stamps[-1] - stamps[0] == pytest.approx(59 / 200, abs=0.1)
