"""Who hears of what, inside one process."""

import asyncio
import uuid

from chat import hub
from chat.runs.growing import GrowingAnswer
from chat.viewer import Viewer


async def test_whoever_looks_follows_an_answer_that_begins_later():
    conversation, told = uuid.uuid4(), asyncio.Queue()
    viewer = Viewer(language="en", send=told.put)
    hub.join(viewer, hub.conversation_topic(conversation))
    pump = asyncio.create_task(viewer.pump())
    answer = GrowingAnswer(run=uuid.uuid4(), message=uuid.uuid4(), conversation=conversation)
    hub.begin(answer)
    async with asyncio.timeout(5):
        for _ in ("thinking", "answer"):
            await told.get()
        answer.append(text="Tea", thinking="")
        growth = await told.get()
    hub.end(answer)
    hub.leave(viewer, hub.conversation_topic(conversation))
    pump.cancel()

    assert "Tea" in growth


async def test_whoever_left_hears_nothing():
    conversation, told = uuid.uuid4(), asyncio.Queue()
    viewer = Viewer(language="en", send=told.put)
    hub.join(viewer, hub.conversation_topic(conversation))
    hub.leave(viewer, hub.conversation_topic(conversation))

    assert hub.languages(hub.conversation_topic(conversation)) == set()
