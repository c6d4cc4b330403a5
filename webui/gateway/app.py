"""The API: ``/api/...`` as Ollama has it and ``/v1/...`` as OpenAI has it, for scripts with an access token.

It stands beside the pages and shares nothing with them: a cookie opens nothing here, a token opens no page. What
is not in the table of routes does not exist.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass

from webui.accounts import tokens
from webui.accounts.addresses import address_in
from webui.accounts.audit import record_refusal
from webui.accounts.models import AccessToken
from webui.accounts.session_watch import watched_token
from webui.db import DatabaseAway, run_db
from webui.gateway import native, openai
from webui.gateway.bodies import TOO_DEEP
from webui.gateway.call import Call, Gone, MayUse, Message, Receive, Send
from webui.gateway.refusals import Refused, refusal_of
from webui.http import TRY_AGAIN_S, header_of, is_for_us
from webui.inference.access import usable_by
from webui.ollama import OllamaError
from webui.ollama.names import normal

log = logging.getLogger(__name__)

Application = Callable[[Message, Receive, Send], Awaitable[None]]
Handle = Callable[[Call], Coroutine[None, None, None]]

PREFIX = "/ollama"  # for clients that want an address of their own
PLACES = ("/api", "/v1")
MODEL = re.compile(r"(?<=^/v1/models/).+$")
BLOB = "/api/blobs/{digest}"
BLOBS = re.compile(r"(?<=^/api/blobs/)[^/]*$")


@dataclass(frozen=True, slots=True)
class Route:
    """What answers at an address. ``admin``: only for tokens that administer."""

    handle: Handle
    admin: bool = False


Routes = Mapping[tuple[str, str], Route]

ROUTES: Routes = {
    ("GET", "/"): Route(native.root),
    ("GET", "/api/version"): Route(native.version),
    ("GET", "/api/tags"): Route(native.tags),
    ("GET", "/api/ps"): Route(native.ps),
    ("POST", "/api/show"): Route(native.show),
    ("POST", "/api/chat"): Route(native.relay),
    ("POST", "/api/generate"): Route(native.relay),
    ("POST", "/api/embed"): Route(native.relay),
    ("POST", "/api/embeddings"): Route(native.relay),
    ("POST", "/v1/chat/completions"): Route(openai.chat),
    ("POST", "/v1/completions"): Route(openai.completions),
    ("POST", "/v1/embeddings"): Route(openai.embeddings),
    ("GET", "/v1/models"): Route(openai.models),
    ("GET", "/v1/models/{model}"): Route(openai.model),
}


def beside(pages: Application, routes: Routes) -> Application:
    """The application that answers scripts by these routes, and leaves everybody else to the pages."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        path = _path_of(scope["path"])
        if path is None:
            await pages(scope, receive, send)
        else:
            await _answer(Call(scope, receive, send, path), routes)

    return application


def _path_of(path: str) -> str | None:
    """The path without our prefix, or None for a page."""
    if path == PREFIX or path.startswith(f"{PREFIX}/"):
        return path.removeprefix(PREFIX) or "/"
    return path if any(path == place or path.startswith(f"{place}/") for place in PLACES) else None


def comes_in_pieces(verb: str, path: str) -> bool:
    """Whether a body may be as large as a disk; a server hands it on as it comes, and keeps none of it."""
    return verb == "POST" and BLOBS.search(_path_of(path) or "") is not None


async def _answer(call: Call, routes: Routes) -> None:
    try:
        try:
            await _serve(call, routes)
        except OllamaError as error:
            raise refusal_of(error) from error
        except RecursionError as error:
            raise Refused(400, TOO_DEEP) from error
        except DatabaseAway as error:
            log.warning("%s is refused: the database does not answer", call.path)
            raise Refused(503, "the portal cannot reach its database", retry_s=TRY_AGAIN_S) from error
    except Refused as refused:
        with suppress(Gone):
            await call.refuse(refused)
    except Gone:
        log.info("a script left %s", call.path)
    finally:
        await call.close()


async def _serve(call: Call, routes: Routes) -> None:
    if not is_for_us(call.scope):
        raise Refused(400, "this is not the name of the portal")
    call.token, call.may_use = await run_db(_known, header_of(call.scope, b"authorization"), _authorizations(call))
    route = _route_of(call, routes)
    if route.admin and not tokens.administers(call.token):
        log.warning("token %s does not administer and asked for %s", call.token.pk, call.path)
        await run_db(record_refusal, call.token.user, call.path, address_in(call.scope))
        raise Refused(403, "this token may not manage models")
    await _while_wanted(call, route.handle(call))


def _authorizations(call: Call) -> int:
    return sum(name == b"authorization" for name, _ in call.scope["headers"])


def _known(header: str, how_many: int) -> tuple[AccessToken, MayUse]:
    """Whose token it is, and what they may use. Raises Refused.

    There is one way to show it: ``Authorization: Bearer``, and only once.
    """
    scheme, _, secret = header.partition(" ")
    token = tokens.found(secret.strip()) if how_many == 1 and scheme.lower() == "bearer" else None
    if token is None:
        raise Refused(401, "unauthorized")
    tokens.note_use(token)
    return token, _usable_with(token)


def _usable_with(token: AccessToken) -> MayUse:
    """Whether a token may use the model of a name: what its owner may, or some of that."""
    may_use, allowed = usable_by(token.user), set(token.allowed)
    return lambda name: may_use(name) and (not allowed or normal(name) in allowed)


def _route_of(call: Call, routes: Routes) -> Route:
    address = MODEL.sub("{model}", BLOBS.sub("{digest}", call.path))
    verbs = [verb for verb, path in routes if path == address]
    wanted = "GET" if call.verb == "HEAD" and "HEAD" not in verbs else call.verb
    if wanted in verbs:
        return routes[wanted, address]
    if verbs:
        raise Refused(405, "405 method not allowed", plain=True, allow=", ".join(verbs))
    raise Refused(404, "404 page not found", plain=True)


async def _while_wanted(call: Call, work: Coroutine[None, None, None]) -> None:
    """Do it until the script hangs up or its token ends; closing it ends the run at the host."""
    ended = asyncio.Event()
    working = asyncio.create_task(work)
    reasons = [asyncio.create_task(call.left()), asyncio.create_task(ended.wait())]
    try:
        with watched_token(call.token.pk, ended.set):
            await asyncio.wait([working, *reasons], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*reasons, working):
            task.cancel()
        await asyncio.wait([working, *reasons])
    if not working.cancelled():
        working.result()
    elif ended.is_set():
        raise Refused(401, "unauthorized")
    else:
        raise Gone
