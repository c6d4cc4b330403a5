"""The endpoints of ``/v1``, as OpenAI has them and hosts have them, too.

A host takes neither a context size nor a time in memory there: what operators decide for a model would not hold, and
the host would load the model anew for everybody. So a request becomes one of ``/api`` (``openai_asked.py``), passes
the door as every other, and its answer is put in OpenAI's words (``openai_answers.py``).
"""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace

from webui.gateway import native, openai_answers, openai_asked
from webui.gateway.bodies import Object
from webui.gateway.call import Call
from webui.gateway.openai_answers import Form
from webui.gateway.refusals import missing
from webui.ollama import Counters
from webui.ollama.names import same_model

MODELS = "/v1/models/"
# What holds at OpenAI where neither the script nor an operator says otherwise.
OTHERWISE: Mapping[str, object] = {"temperature": 1.0, "top_p": 1.0}


async def models(call: Call) -> None:
    """The models of all hosts that the token may use."""
    found = [openai_answers.model(native.name_of(one), one) for one in await native.installed(call)]
    await call.tell({"object": "list", "data": found})


async def model(call: Call) -> None:
    name = call.path.removeprefix(MODELS)
    found = next((one for one in await native.installed(call) if same_model(native.name_of(one), name)), None)
    if found is None:
        raise missing("/api/show", name)
    await call.tell(openai_answers.model(name, found))


async def chat(call: Call) -> None:
    body = await call.body()
    await _answer(call, body, "/api/chat", openai_asked.chat(body), openai_answers.chat(body))


async def completions(call: Call) -> None:
    body = await call.body()
    await _answer(call, body, "/api/generate", openai_asked.completion(body), openai_answers.completion(body))


async def embeddings(call: Call) -> None:
    body = await call.body()
    await _answer(call, body, "/api/embed", openai_asked.vectors(body), openai_answers.vectors(body))


async def _answer(call: Call, body: Object, endpoint: str, asked: Object, form: Form) -> None:
    """Ask what was asked at that endpoint of a host, and put what it answers in another form."""
    order = replace(await native.order_of(call, asked, endpoint), otherwise=OTHERWISE if "options" in asked else {})
    call.notes |= openai_asked.note(body)
    async with aclosing(native.answer_to(order)) as events:
        async for event in events:
            if isinstance(event, bytes):
                await _write(call, form, form.take(event))
            elif isinstance(event, Counters):
                await _write(call, form, form.end(event))
    await call.end()


async def _write(call: Call, form: Form, content: bytes) -> None:
    """Begin with the first words: until then an error has a status."""
    if content and not call.content_type:
        await call.begin(form.content_type)
    if content:
        await call.write(content)
