"""What is measured in a browser: what a person sees, and what it costs their machine."""

import time

from playwright.async_api import Page, async_playwright

from tests.bench.measure import LONG, RATE, Row, percentile, read_host
from tests.bench.stage import Stage, now_ms
from tests.browser.conftest import CHROMIUM, QUIET

FAST = 400  # pieces a second
PIECES = 2_000
CORPORA = ["mixed", "list", "table", "code", "paragraph"]
# Looks at the text once a frame: how late was each piece, how long were frames and tasks?
WATCH = """
({clock}) => {
  const seen = window.seen = {first: 0, late: [], frames: 0, frame: 0, tasks: 0, next: 1};
  new PerformanceObserver((list) => list.getEntries().forEach((e) => { seen.tasks = Math.max(seen.tasks, e.duration) }))
    .observe({type: "longtask"});
  let before = performance.now();
  const known = document.querySelectorAll("answer-stream.prose").length;
  const look = (at) => {
    seen.frame = Math.max(seen.frame, at - before);
    if (at - before > 100) seen.frames++;
    before = at;
    const stream = [...document.querySelectorAll("answer-stream.prose")].slice(known).at(-1);
    const blocks = [...(stream?.children ?? [])].slice(-4);
    for (const [, number, sent] of blocks.map((b) => b.textContent).join(" ").matchAll(/(\\d+)@([\\d.]+)/g)) {
      if (+number !== seen.next) continue;
      seen.next++;
      const now = performance.timeOrigin + performance.now();
      seen.first ||= now;
      seen.late.push(now - clock - sent);
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  const enter = (e) => { if (e.key === "Enter") seen.entered = performance.timeOrigin + performance.now(); };
  addEventListener("keydown", enter, true);
}
"""


async def one_person(stage: Stage) -> list[Row]:
    """From Enter to words on the screen, and 2,000 pieces of Markdown at 400 a second."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        (person,) = await stage.people(1)
        page = await _page(browser, stage, person)
        await stage.host.speak(RATE)
        direct = sorted([(await read_host(stage.host, 5)).first for _ in range(9)])[4]
        firsts = []
        for _ in range(9):
            await _ask(page, "measure-clock", 20)
            seen = await page.evaluate("seen")
            firsts.append(seen["first"] - seen["entered"])
        await stage.host.speak(FAST)
        fast = await read_host(stage.host, PIECES, "measure-clock-markdown")
        before = await _renderer_cpu_s(browser)
        await _ask(page, "measure-clock-markdown", PIECES)
        used = await _renderer_cpu_s(browser) - before
        seen = await page.evaluate("seen")
        await browser.close()
    what = f"{PIECES} pieces of Markdown at {FAST}/s in Chromium"
    first = sorted(firsts)[4]
    return [
        Row("one person in Chromium: Enter to the first visible word", "ms", first, direct, direct + 40),
        Row(f"{what}: piece to visible, p50", "ms", percentile(seen["late"], 50), percentile(fast.late, 50), 40),
        Row(f"{what}: piece to visible, p99", "ms", percentile(seen["late"], 99), percentile(fast.late, 99), 60),
        Row(f"{what}: pieces never seen", "", PIECES - len(seen["late"]), most=0),
        Row(f"{what}: renderer", "CPU-s", used, most=2.5),
    ]


async def long_answers(stage: Stage) -> list[Row]:
    """Whether the page stays smooth however long an answer grows."""
    rows = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        (person,) = await stage.people(1)
        await stage.host.speak(FAST)
        for corpus in CORPORA:
            page = await _page(browser, stage, person)
            await _ask(page, f"measure-{corpus}", LONG)
            seen = await page.evaluate("seen")
            await page.context.close()
            what = f"{LONG} pieces of {corpus} at {FAST}/s in Chromium"
            rows += [
                Row(f"{what}: longest task (0: none over 50)", "ms", seen["tasks"], most=50),
                Row(f"{what}: frames over 100 ms", "", seen["frames"], most=0),
            ]
        await browser.close()
    return rows


async def _page(browser, stage: Stage, person) -> Page:
    context = await browser.new_context(base_url=stage.portal.url, viewport={"width": 1280, "height": 800})
    await context.add_cookies([{"name": "session", "value": person.session, "url": stage.portal.url}])
    page = await context.new_page()
    await page.goto(f"/c/{person.conversation}/")
    await page.evaluate("window.seen = null")
    return page


async def _ask(page: Page, model: str, pieces: int) -> None:
    await page.reload()
    await page.evaluate(WATCH, {"clock": time.time() * 1000 - now_ms()})
    await page.evaluate("model => { document.querySelector('#composer [name=model]').value = model }", model)
    done = page.locator("article[data-state=done][data-role=assistant]")
    before = await done.count()
    await page.fill("#prompt", str(pieces))
    await page.press("#prompt", "Enter")
    await done.nth(before).wait_for(state="attached", timeout=120_000)


async def _renderer_cpu_s(browser) -> float:
    session = await browser.new_browser_cdp_session()
    processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    await session.detach()
    return sum(process["cpuTime"] for process in processes if process["type"] == "renderer")
