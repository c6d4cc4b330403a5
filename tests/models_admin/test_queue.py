"""The page of the lines."""

import pytest
from asgiref.sync import sync_to_async

from tests.models_admin.test_models import words
from tests.pages import Page, text_of
from webui.ids import uuid7
from webui.inference import lines
from webui.inference.models import Turn, Usage

pytestmark = pytest.mark.django_db(transaction=True)

PROCESS = uuid7()


@pytest.fixture
def stand(host):
    """``await stand(alice, bob)``: each asks for the same model, in this order."""

    async def stand(*people, door=Usage.Door.BROWSER) -> list[Turn]:
        key = (host.pk, "qwen3:8b")
        for person in people:
            await settle(joining=[lines.Standing(uuid7(), key, person.pk, door)], keys={key})
        return [turn async for turn in Turn.objects.order_by("pk")]

    return stand


async def settle(joining=(), keys=()):
    return await sync_to_async(lines.settle)(PROCESS, joining=joining, leaving=set(), keys=keys)


def rows(answer) -> list[str]:
    page = Page(answer.content.decode())
    return [" ".join(text_of(row).split()) for body in page.find("queue").iter("tbody") for row in body]


async def test_everybody_in_line_is_shown_with_their_place_and_who_is_answered(roots, alice, bob, carol, stand, host):
    await stand(alice)
    await stand(alice, bob, door=Usage.Door.API)
    await host.lines.aupdate(usual_s=10)

    waits, next_, answered = rows(await roots.get("/queue/"))

    assert waits.startswith("1 Bobby a script qwen3:8bgpu-01")
    assert "about 10 s" in waits
    assert next_.startswith("2 Aliceby a script qwen3:8bgpu-01")
    assert answered.startswith("Alice qwen3:8bgpu-01")


async def test_an_empty_line_says_so(roots):
    assert "Nobody waits" in words(await roots.get("/queue/"))


async def test_somebody_moves_to_the_front(roots, alice, bob, carol, stand):
    *_, last = await stand(alice, bob, carol)

    part = await roots.post(f"/queue/{last.pk}/front/", headers={"HX-Request": "true"})

    assert rows(part)[0].startswith("1 Carol")


async def test_somebody_is_taken_out_and_their_process_hears_of_it(roots, alice, bob, stand, host):
    *_, last = await stand(alice, bob)

    part = await roots.post(f"/queue/{last.pk}/remove/", headers={"HX-Request": "true"})

    assert len(rows(part)) == 1
    key = (host.pk, "qwen3:8b")
    assert (await settle(keys={key}))[key].removed == {last.pk}


async def test_who_left_meanwhile_is_not_found(roots, alice, stand):
    (turn,) = await stand(alice)
    await turn.adelete()

    assert (await roots.post(f"/queue/{turn.pk}/remove/")).status_code == 404
