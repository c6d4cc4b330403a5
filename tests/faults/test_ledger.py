"""The ledger says what the host counted, whatever happened meanwhile."""

import asyncio
import re
import time

import httpx
import pytest

from tests.faults.portal import PATIENCE_S, expire_leases, until_state, until_text

pytestmark = [pytest.mark.server, pytest.mark.slow]

MIXED = [
    *("practice", "practice-thinker", "practice-markdown"),
    *("fault-trunc", "fault-miderr", "fault-st500", "fault-html"),
]
QUESTION = [{"role": "user", "content": "SECRET-WORD count to 150"}]
ON_THE_WAY = 5  # pieces, between a host and a portal that hangs up
UNSAVED_S = 0.25


@pytest.fixture
async def script(portal, alice):
    """``await script("practice")``: Alice's script asks a model and reads all of it; or hangs up after some lines."""
    page = await alice.post("/settings/tokens/", name="faults", days="30")
    secret = re.search(r'id="secret"[^>]*value="([^"]+)"', page.text)[1]
    async with httpx.AsyncClient(
        base_url=portal.url, headers={"Authorization": f"Bearer {secret}"}, timeout=PATIENCE_S
    ) as client:

        async def script(model: str, *, lines: int | None = None) -> None:
            body = {"model": model, "messages": QUESTION}
            async with client.stream("POST", "/api/chat", json=body) as answer:
                async for _ in answer.aiter_lines():
                    if lines is not None and (lines := lines - 1) == 0:
                        return

        yield script


class Ledger:
    """The rows since the test began, beside the requests that the host was sent since then."""

    def __init__(self, database, practice) -> None:
        (self.since,) = database.execute("select now()").fetchone()
        self.practice = practice
        self.known = len(practice.requests)

    @property
    def requests(self) -> list:
        return self.practice.requests[self.known :]

    def sums(self, database) -> tuple[int, int]:
        """Tokens read and written, but of answers that were stopped or interrupted."""
        return database.execute(
            "select sum(prompt_tokens)::int, sum(output_tokens)::int from inference_usage "
            "where at > %s and outcome in ('done', 'failed')",
            [self.since],
        ).fetchone()

    async def equals(self, database) -> None:
        """Wait until the sums are those of all requests that nobody left."""
        wanted = [request for request in self.requests if request.outcome != "left"]
        prompts = sum(request.prompt_tokens for request in wanted)
        counted = prompts, sum(request.output_tokens or request.pieces_sent for request in wanted)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.sums(database) != counted:
            await asyncio.sleep(0.05)
        assert self.sums(database) == counted


@pytest.fixture
def ledger(portal, database, practice):
    return Ledger(database, practice)


async def test_with_hosts_that_fail_and_people_who_leave(portal, practice, alice, database, ledger, script):
    """I4, through two doors at once."""
    practice.speed = 100  # so that the process is not too busy to hang up at once
    scripts = [script(model) for model in MIXED * 3] + [script("practice-counting", lines=20) for _ in range(5)]
    asked = await asyncio.gather(*(alice.start(f"SECRET-WORD {model}?", model) for model in MIXED), *scripts)
    for conversation in asked[: len(MIXED)]:
        await until_state(database, conversation, "done", "failed")
    await practice.wait_for(lambda: all(request.ended for request in practice.requests))

    await ledger.equals(database)
    sent = sorted(request.pieces_sent for request in ledger.requests if request.outcome == "left")
    stopped = database.execute(
        "select output_tokens from inference_usage where at > %s and outcome = 'stopped' order by 1", [ledger.since]
    ).fetchall()
    assert len(sent) == len(stopped) == 5
    assert all(0 <= pieces - tokens <= ON_THE_WAY for pieces, (tokens,) in zip(sent, stopped, strict=True))


async def test_with_a_database_that_goes_away_meanwhile(
    portal, practice, alice, database, postgres, ledger, script, assert_consistent
):
    """I4 and F08: what ends while nothing can be written is written afterwards."""
    practice.speed = 100
    conversation = await alice.start("SECRET-WORD count to 150", "practice-counting")
    scripts = [asyncio.create_task(script("practice-counting")) for _ in range(3)]
    await until_text(database, conversation, 100)
    await asyncio.to_thread(postgres.stop)
    await practice.wait_for(lambda: all(request.ended for request in practice.requests))
    await asyncio.to_thread(postgres.start)
    await asyncio.gather(*scripts)
    with portal.database() as back:
        await until_state(back, conversation, "done")

        assert [request.outcome for request in ledger.requests] == ["done"] * 4
        await ledger.equals(back)
    await assert_consistent(portal)


async def test_with_a_portal_that_is_killed_in_mid_answer(portal, practice, alice, database, ledger, assert_consistent):
    """I4 and F01: what was recorded is counted, the rest of the answer, and the probe that comes before it."""
    practice.speed = 100
    conversation = await alice.start("SECRET-WORD count to 300", "practice-counting")
    await until_text(database, conversation, 200)
    portal.kill()
    killed = ledger.requests[0]
    practice.speed = None
    expire_leases(database)
    await portal.start_again()
    await until_state(database, conversation, "done")
    (interrupted,) = database.execute(
        "select output_tokens from inference_usage where at > %s and outcome = 'interrupted'", [ledger.since]
    ).fetchone()

    assert killed.outcome == "left"
    assert 0 <= killed.pieces_sent - interrupted <= UNSAVED_S * 100 + ON_THE_WAY
    await ledger.equals(database)
    await assert_consistent(portal)
