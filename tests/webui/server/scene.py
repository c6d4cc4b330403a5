"""A tiny application on the guarded server, its own process: ``python -m ... PORT LIMITS_AS_JSON``.

It prints ``ready``, then a line for everything that a test waits for.
"""

import asyncio
import contextlib
import json
import logging
import resource
import sys
import time
from pathlib import Path

from webui.server.life import CannotListen
from webui.server.limits import Limits
from webui.server.process import serve

CHUNK = b"x" * 65_536


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def application(scope, receive, send):
    await PLACES[scope["path"]](scope, receive, send)


async def answer(send, text, *, status=200):
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


async def body_size(scope, receive, send):
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message["more_body"]
    await answer(send, str(size))


async def pieces(scope, receive, send):
    """Takes a body bit by bit. By what follows the path: at once, after a while, slowly, or not at all."""
    match scope["path"]:
        case "/pieces/later":
            say("pieces wait")
            await asyncio.sleep(1)
        case "/pieces/slow":
            await asyncio.sleep(0.2)
        case "/pieces/refused":
            await answer(send, "refused", status=401)
            return
    size = parts = 0
    while (message := await receive())["type"] == "http.request":
        size += len(message["body"])
        parts += 1
        if not message["more_body"]:
            if scope["path"] == "/pieces/slow":
                await asyncio.sleep(0.6)
            await answer(send, f"{size} in {'parts' if parts > 1 else 'one'}")
            return
    say(f"pieces gone {size}")


async def memory(scope, receive, send):
    await answer(send, str(resident_bytes()))


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def slow(scope, receive, send):
    say("slow began")
    await asyncio.sleep(0.5)
    await answer(send, "finished")


async def broken(scope, receive, send):
    raise RuntimeError("broken on purpose")


async def half_broken(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("broken on purpose")


async def left_half(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def left_large(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while True:
                await send({"type": "http.response.body", "body": CHUNK, "more_body": True})


async def refused_socket(scope, receive, send):
    await receive()
    await send({"type": "websocket.close"})


async def told(scope, receive, send):
    """What the application learns of the request."""
    await answer(send, json.dumps([scope["root_path"], [name.decode() for name, _ in scope["headers"]]]))


async def large_answer(scope, receive, send):
    await answer(send, "z" * 20_000_000)
    say("large answer handed over")


async def for_ever(scope, receive, send):
    say("for_ever began")
    try:
        await asyncio.Event().wait()
    finally:
        say("for_ever cancelled")


async def blocked_thread(scope, receive, send):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 30)
    await answer(send, "a thread sleeps")


async def endless(scope, receive, send):
    """An answer that never ends; says how much it sent when it is over."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    listening = asyncio.ensure_future(hung_up(receive))
    sent = 0
    while not listening.done():
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        sent += len(CHUNK)
        await asyncio.sleep(0)
    say(f"endless over {sent}")


async def hung_up(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def deaf_socket(scope, receive, send):
    """Accepts, and then reads nothing until the test has seen enough."""
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(1)
    received = 0
    while (await receive())["type"] != "websocket.disconnect":
        received += 1
    say(f"deaf received {received}")


async def echo_socket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": message["text"]})
    say(f"echo closed {message['code']}")


async def large_socket(scope, receive, send):
    """Sends one message far larger than a client may."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "y" * 300_000})
    await receive()


async def flooding_socket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    closing = asyncio.ensure_future(receive())
    sent = 0
    while not closing.done():
        await send({"type": "websocket.send", "bytes": CHUNK})
        sent += len(CHUNK)
        await asyncio.sleep(0)
    say(f"flood over {sent}")


PIECES = ["/pieces", "/pieces/later", "/pieces/slow", "/pieces/refused"]
PLACES = {
    "/body": body_size,
    "/memory": memory,
    **dict.fromkeys(PIECES, pieces),
    "/slow": slow,
    "/broken": broken,
    "/half-broken": half_broken,
    "/left-half": left_half,
    "/left-large": left_large,
    "/refused-socket": refused_socket,
    "/told": told,
    "/blocked-thread": blocked_thread,
    "/large-answer": large_answer,
    "/for-ever": for_ever,
    "/endless": endless,
    "/deaf": deaf_socket,
    "/echo": echo_socket,
    "/large": large_socket,
    "/flood": flooding_socket,
}


async def background_work(seconds: float) -> None:
    say(f"background told {seconds:g}")
    await asyncio.sleep(0.2)
    say("background finished")


async def refuse_to_start() -> None:
    raise RuntimeError("the background cannot start")


def main(port: str, limits: str) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="log %(name)s %(message)s")
    wanted = json.loads(limits)
    on_start = [refuse_to_start] if wanted.pop("refuse_to_start", False) else []
    try:
        serve(
            application,
            f"127.0.0.1:{port}",
            on_start=on_start,
            on_ready=lambda: say("ready"),
            on_stop=[background_work],
            limits=Limits(**wanted, in_pieces=lambda verb, path: verb == "POST" and path in PIECES),
            headers=[("X-Of-The-Scene", "yes")],
        )
    except CannotListen as error:
        say(str(error))
        sys.exit(69)


if __name__ == "__main__":
    main(*sys.argv[1:])
