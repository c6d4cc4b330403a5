"""Does a model go on where a half-written answer stops? Asked once per digest, then remembered."""

import asyncio
from contextlib import aclosing

from webui.db import read_db, run_db
from webui.ids import uuid7
from webui.inference import ledger
from webui.inference.models import InstalledModel, Prefill, Usage
from webui.inference.policy import Policy
from webui.ollama import OllamaClient

# For models that start over: asks in words, after the answer so far.
PLEASE_GO_ON = {
    "role": "user",
    "content": "Go on exactly where your last answer stopped. Repeat nothing and explain nothing.",
}
PROBE = [
    {"role": "user", "content": "Count from 1 to 9, separated by commas. Write nothing else."},
    {"role": "assistant", "content": "1, 2, 3,"},
]
PROBE_TOKENS = 8


async def honoured(client: OllamaClient, place: InstalledModel, policy: Policy, *, person: int) -> bool:
    """What is known of the model, or else what a short probe shows, for somebody. Raises OllamaError."""
    known = await read_db(Prefill.objects.filter(digest=place.digest).first) if place.digest else None
    if known:
        return known.honoured
    goes_on = (await _probe(client, place, policy, person)).lstrip().startswith("4")
    if place.digest:
        await run_db(Prefill.objects.update_or_create, digest=place.digest, defaults={"honoured": goes_on})
    return goes_on


async def _probe(client: OllamaClient, place: InstalledModel, policy: Policy, person: int) -> str:
    """What the model says. It costs a few tokens, which are in the ledger as all others."""
    answer = ""
    row = Usage(run=uuid7(), door=Usage.Door.BACKGROUND, user_id=person, host=place.host.name, model=place.name)
    row.outcome = Usage.Outcome.FAILED
    options = policy.options({"num_predict": PROBE_TOKENS, "temperature": 0})
    asked = client.chat(model=place.name, messages=PROBE, options=options, keep_alive=policy.keep_alive)
    try:
        async with aclosing(asked) as chunks:
            async for chunk in chunks:
                answer += chunk.text
                row.output_tokens += 1
                if chunk.counters:
                    row.output_tokens, row.prompt_tokens = chunk.counters.output_tokens, chunk.counters.prompt_tokens
        row.outcome = Usage.Outcome.DONE
    finally:
        await asyncio.shield(run_db(ledger.write, row))
    return answer
