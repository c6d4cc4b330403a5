"""People without a browser: one who acts, and the tabs they keep open."""

import asyncio
import contextlib
import json
import re
import uuid
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie

import httpx
import websockets

from tests.faults.portal import PASSWORD, PATIENCE_S, Portal
from tests.pages import Page

TABS_KEPT = 10  # a person may have twenty sockets
CONNECT_AGAIN_S = 0.5
ACK_EVERY = 32 * 1024
SIGNED_OUT, FORBIDDEN, GONE = 4401, 4403, 4404


class Visitor:
    """A signed-in person. Whatever they ask, a tab stays open on it, as browsers' tabs do."""

    def __init__(self, portal: Portal, cookies: httpx.Cookies | None = None) -> None:
        self.portal = portal
        self.http = httpx.AsyncClient(
            base_url=portal.url, timeout=PATIENCE_S, headers={"Origin": portal.url}, cookies=cookies
        )
        self.tabs: list[OpenPage] = []
        self._token = ""

    async def sign_in(self, username: str = "alice", password: str = PASSWORD) -> "Visitor":
        await self.http.get("/sign-in/")
        answer = await self.post("/sign-in/", username=username, password=password)
        assert answer.status_code == 302, answer.text
        self._token = ""  # signing in changes the secret behind it
        return self

    async def leave(self) -> None:
        for tab in self.tabs:
            await tab.close()
        await self.http.aclose()

    async def post(self, path: str, **fields: str) -> httpx.Response:
        return await self.http.post(path, data={**fields, "csrfmiddlewaretoken": await self.token()})

    async def start(self, text: str, model: str, key: str | None = None, *, tabs: int = TABS_KEPT) -> str:
        """Ask in a new conversation, and look at it unless so many tabs are open; its id."""
        answer = await self.post("/c/", text=text, model=model, client_key=key or str(uuid.uuid4()))
        assert answer.status_code == 302, answer.text
        conversation = re.fullmatch(r"/c/([0-9a-f-]+)/", answer.headers["location"])[1]
        if len(self.tabs) < tabs:
            await self.open(conversation)
        return conversation

    async def ask(self, conversation: str, text: str, model: str, key: str | None = None) -> httpx.Response:
        return await self.post(f"/c/{conversation}/ask/", text=text, model=model, client_key=key or str(uuid.uuid4()))

    async def stop(self, conversation: str) -> None:
        await self.post(f"/c/{conversation}/stop/")

    async def page(self, conversation: str) -> str:
        answer = await self.http.get(f"/c/{conversation}/")
        assert answer.status_code == 200
        return answer.text

    async def open(self, conversation: str, **options) -> "OpenPage":
        """A tab on a conversation."""
        tab = OpenPage(self, conversation, **options)
        await tab.load()
        self.tabs.append(tab)
        return tab

    @asynccontextmanager
    async def socket(self, conversation: str | None = None, *, port: int | None = None, **options):
        """The socket of an open page; ``port`` is that of a proxy."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        address = f"ws://localhost:{self.portal.port}/ws/"
        way = {} if "sock" in options else {"port": port or self.portal.port}
        options = {"origin": self.portal.url, **way, **options}
        async with websockets.connect(
            address, additional_headers={"Cookie": cookies}, proxy=None, max_size=None, **options
        ) as open_socket:
            if conversation:
                await open_socket.send(json.dumps({"watch": conversation, "lang": "en"}))
            yield open_socket

    async def token(self) -> str:
        """For a form."""
        if not self._token:
            page = await self.http.get("/settings/" if "session" in self.http.cookies else "/sign-in/")
            self._token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
        return self._token

    @property
    def session_key(self) -> str:
        return SimpleCookie(f"session={self.http.cookies['session']}")["session"].value


class OpenPage:
    """A tab on a conversation. It keeps its socket as static/js/live.js does: comes back, resyncs, acknowledges."""

    def __init__(self, visitor: Visitor, conversation: str, *, port: int | None = None) -> None:
        self.visitor = visitor
        self.conversation = conversation
        self.page: Page | None = None
        self.went_to = ""
        self.close_codes: list[int | None] = []
        self.said: list[dict] = []
        self._port = port
        self._changed = asyncio.Condition()
        self._living: asyncio.Task | None = None

    async def load(self) -> None:
        self.page = Page(await self.visitor.page(self.conversation))
        self._living = asyncio.create_task(self._live())

    async def close(self) -> None:
        if self._living:
            self._living.cancel()
            await asyncio.gather(self._living, return_exceptions=True)

    @property
    def state(self) -> str:
        """Of the last answer."""
        return [article.get("data-state") for article in self.page.root.iter("article")][-1]

    def text(self, id_: str = "thread") -> str:
        """The words of a part of it, blanks aside."""
        return " ".join(self.page.text(id_).split())

    async def until(self, condition, *, within_s: float = PATIENCE_S) -> None:
        """Wait until the tab looks as wanted."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def same_as_reload(self, *, within_s: float = 5) -> None:
        """Wait until the tab shows what a fresh one shows; fails by their difference."""
        if self.went_to:
            return
        deadline = asyncio.get_running_loop().time() + within_s
        while asyncio.get_running_loop().time() < deadline:
            if self._shows() == _shown(Page(await self.visitor.page(self.conversation))):
                return
            await asyncio.sleep(0.05)
        assert self._shows() == _shown(Page(await self.visitor.page(self.conversation)))

    def _shows(self) -> list[str]:
        return _shown(self.page)

    async def _live(self) -> None:
        while not self.went_to:
            with contextlib.suppress(OSError, websockets.WebSocketException, EOFError):
                async with self.visitor.socket(port=self._port) as socket:
                    try:
                        await self._follow(socket)
                    finally:
                        self.close_codes.append(socket.close_code)
                        await self._tell_observers()
            if self.close_codes and self.close_codes[-1] == SIGNED_OUT:
                self.went_to = "/sign-in/"
            elif self.close_codes and self.close_codes[-1] in {FORBIDDEN, GONE}:
                return
            await self._tell_observers()
            await asyncio.sleep(CONNECT_AGAIN_S)

    async def _follow(self, socket) -> None:
        seen = {"seen": self._stamp("thread"), "list": self._stamp("side-list"), "saving": bool(self.text("saving"))}
        await socket.send(json.dumps({"watch": self.conversation, "lang": "en", **seen}))
        heard = 0
        async for message in socket:
            for run in self._take(message):
                await socket.send(json.dumps({"resync": run}))
            heard += len(message)
            if heard >= ACK_EVERY:
                await socket.send(json.dumps({"ack": heard}))
                heard = 0
            await self._tell_observers()

    def _take(self, message: str) -> list[str]:
        """Show it; which runs to ask a snapshot of."""
        told = json.loads(message)
        self.said.append(told)
        gaps = self.page.take(message)
        if "m" in told and told["run"] and self.page.find(f"thinking-{told['m']}") is not None:
            gaps.append(told["run"])
        self.went_to = told.get("go", "")
        return gaps

    def _stamp(self, id_: str) -> str | None:
        return self.page.element(id_).get("data-stamp")

    async def _tell_observers(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _shown(page: Page) -> list[str]:
    return [page.shown(part) for part in ("thread", "composer", "side-list")]
