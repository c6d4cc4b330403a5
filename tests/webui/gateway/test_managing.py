"""The endpoints that change what hosts have: jobs like those of the pages, told as Ollama tells them."""

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async

from models_admin.api.routes import ROUTES as MANAGING
from models_admin.jobs import services, state, story
from models_admin.jobs.progress import Figures
from models_admin.models import Job, State
from tests.conftest import install
from tests.webui.gateway.conftest import token_for
from tests.webui.gateway.test_native import MESSAGES
from tests.webui.practice.wire import ask, connection, read_chunk, read_head, request_bytes
from webui.accounts import session_watch, tokens
from webui.accounts.models import AuditEntry, User
from webui.inference.models import Host, InstalledModel, ModelAccess
from webui.ollama import Progress
from webui.practice import PracticeHost

FILE = b"GGUF" + b"\0" * 100_000
DIGEST = f"sha256:{hashlib.sha256(FILE).hexdigest()}"
ELSEWHERE = uuid4()
OTHER = f"sha256:{'0' * 64}"

ASKED = {
    "pull": ("POST", "/api/pull", {"model": "practice-small"}),
    "pull of what is there": ("POST", "/api/pull", {"name": "practice"}),
    "pull at once": ("POST", "/api/pull", {"model": "practice-small", "stream": False}),
    "pull of nothing known": ("POST", "/api/pull", {"model": "nosuch"}),
    "pull of nothing known at once": ("POST", "/api/pull", {"model": "nosuch", "stream": False}),
    "pull that breaks": ("POST", "/api/pull", {"model": "fault-pull-digest"}),
    "pull of no name": ("POST", "/api/pull", {}),
    "pull of what is no name": ("POST", "/api/pull", {"model": "a b"}),
    "push": ("POST", "/api/push", {"model": "practice"}),
    "push at once": ("POST", "/api/push", {"model": "practice", "stream": False}),
    "create": ("POST", "/api/create", {"model": "mine", "from": "practice", "system": "Be short."}),
    "create at once": ("POST", "/api/create", {"model": "mine", "from": "practice", "stream": False}),
    "create with a modelfile": ("POST", "/api/create", {"name": "mine", "modelfile": "FROM practice"}),
    "create from no file": ("POST", "/api/create", {"model": "mine", "files": {"a.gguf": OTHER}}),
    "create with half a template": ("POST", "/api/create", {"model": "mine", "from": "practice", "template": "{{"}),
    "create from a model that cannot be quantised": (
        *("POST", "/api/create"),
        {"model": "mine", "from": "practice", "quantize": "Q8_0", "stream": False},
    ),
    "copy": ("POST", "/api/copy", {"source": "practice", "destination": "mine"}),
    "copy of nothing": ("POST", "/api/copy", {"source": "nosuch", "destination": "mine"}),
    "copy from a bad name": ("POST", "/api/copy", {"source": "a b", "destination": "mine"}),
    "copy to a bad name": ("POST", "/api/copy", {"source": "practice", "destination": ""}),
    "delete": ("DELETE", "/api/delete", {"model": "practice-vision"}),
    "delete of nothing": ("DELETE", "/api/delete", {"name": "nosuch"}),
    "delete of a bad name": ("DELETE", "/api/delete", {"name": "a b"}),
    "delete of no name": ("DELETE", "/api/delete", {}),
    "nothing said": ("POST", "/api/pull", None),
    "no such file": ("HEAD", f"/api/blobs/{OTHER}", None),
    "a file": ("POST", f"/api/blobs/{DIGEST}", FILE),
    "another file": ("POST", f"/api/blobs/{OTHER}", FILE),
    "no digest": ("POST", "/api/blobs/sha256:1", FILE),
    "no digest to look for": ("HEAD", "/api/blobs/sha256:1", None),
    "a file to read": ("GET", f"/api/blobs/{DIGEST}", None),
}


NOT_MADE = [
    ({"from": "/etc/passwd"}, 400, "invalid model name"),
    ({"from": "http://evil.example/a"}, 400, "invalid model name"),
    ({"from": "nosuch"}, 404, "model 'nosuch' not found"),
    ({"files": {"a.gguf": "/etc/passwd"}}, 400, "invalid digest format"),
    ({"files": [1]}, 400, "invalid digest format"),
    ({"from": "practice", "adapters": {"a": "/etc/passwd"}}, 400, "invalid digest format"),
    ({"modelfile": "FROM /etc/passwd"}, 400, "invalid model name"),
    ({"modelfile": "FROM /etc/passwd\nFROM practice"}, 400, "invalid model name"),
    ({"modelfile": "FROM practice\nADAPTER /etc/passwd"}, 400, "adapter must be a file that was uploaded"),
    ({"from": "practice", "parameters": {"stop": "x"}}, 400, 'option "stop" must be of type array'),
    ({"from": "practice", "parameters": {"num_ctx": 1.5}}, 400, 'option "num_ctx" must be of type integer'),
    ({"from": "practice", "parameters": {"num_gqa": 8}}, 400, "unknown parameter 'num_gqa'"),
    ({"from": "practice", "parameters": "x"}, 400, "json: cannot unmarshal"),
]


async def test_the_gateway_answers_as_the_host_does(portal, jobs, admin_token):
    """One after the other, at two hosts that are alike."""
    async with PracticeHost(faults=True) as other:
        direct = {name: told(await ask(other.url, *asked)) for name, asked in ASKED.items()}
    through = {name: told(await portal.ask(*asked, token=admin_token)) for name, asked in ASKED.items()}

    assert through == direct


def told(answer) -> tuple:
    kind = answer.headers.get("content-type", "").split(";")[0]
    return answer.status, kind, story_in(answer) if "json" in kind else answer.body


def story_in(answer) -> list:
    """What is said, but for places on the host."""
    return last_of_each([json.loads(line) for line in answer.body.replace(b"/models/", b"").split(b"\n") if line])


def last_of_each(lines: list) -> list:
    """Of the lines about one thing, which may be more or fewer, the last."""
    return list({(line.get("status"), line.get("digest")): line for line in lines}.values())


async def test_a_token_of_a_member_manages_nothing(portal, practice, token, alice):
    """S31, S58."""
    for verb, path in MANAGING:
        answer = await portal.ask(verb, path.format(digest=DIGEST), {"model": "practice"}, token=token)

        assert (answer.status, practice.requests) == (403, [])
        assert verb == "HEAD" or answer.value == {"error": "this token may not manage models"}
    assert await AuditEntry.objects.filter(who=alice, action="refused", what="/api/pull").aexists()


async def test_a_token_for_some_models_manages_no_others(portal, jobs, practice, root):
    """S36."""
    token = await sync_to_async(token_for)(root, scope="admin", allowed=["practice:latest", "mine:latest"])
    asked = {
        "/api/pull": {"model": "practice-small"},
        "/api/push": {"model": "practice-thinker"},
        "/api/copy": {"source": "practice-thinker", "destination": "mine"},
        "/api/create": {"model": "mine", "from": "practice-thinker"},
        "/ollama/api/create": {"model": "mine", "from": "practice", "modelfile": "FROM practice-thinker"},
    }
    others = [await portal.ask("POST", path, body, token=token) for path, body in asked.items()]
    its_own = await portal.ask("POST", "/api/copy", {"source": "practice", "destination": "mine"}, token=token)

    assert [answer.status for answer in others] == [404] * 5
    assert its_own.status == 200
    assert [request.endpoint for request in practice.requests] == ["/api/copy"]


async def test_an_administrator_who_became_a_member_manages_nothing(portal, practice, admin_token, root):
    """S31, S36."""
    await sync_to_async(User.objects.update)(is_admin=False)

    assert (await portal.ask("POST", "/api/pull", {"model": "practice"}, token=admin_token)).status == 403
    assert practice.requests == []


async def test_a_new_model_can_be_asked_at_once(portal, jobs, admin_token):
    await portal.ask("POST", "/api/create", {"model": "mine", "from": "practice"}, token=admin_token)
    answer = await portal.ask("POST", "/api/chat", {"model": "mine", "messages": MESSAGES}, token=admin_token)

    assert (answer.status, answer.lines[-1]["done"]) == (200, True)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/api/copy", {"source": "practice", "destination": "mine"}),
        ("/api/create", {"model": "mine", "from": "practice:latest", "system": "A secret."}),
    ],
    ids=["copy", "create"],
)
async def test_what_is_made_of_a_model_for_some_is_for_them(portal, jobs, token, admin_token, path, asked):
    """S32."""
    await sync_to_async(ModelAccess.objects.create)(key="practice:latest", audience="administrators")
    assert (await portal.ask("POST", path, asked, token=admin_token)).status == 200
    statuses = [
        (await portal.ask("POST", "/api/show", {"model": "mine"}, token=secret)).status
        for secret in (token, admin_token)
    ]

    assert statuses == [404, 200]


async def test_what_was_done_is_recorded(portal, jobs, admin_token, root):
    """S58."""
    await portal.ask("POST", "/api/pull", {"model": "practice-small", "insecure": True}, token=admin_token)
    await portal.ask("POST", "/api/copy", {"source": "practice", "destination": "mine"}, token=admin_token)
    await portal.ask("DELETE", "/api/delete", {"model": "mine"}, token=admin_token)
    await portal.ask("POST", f"/api/blobs/{DIGEST}", FILE, token=admin_token)
    entries = await sync_to_async(list)(AuditEntry.objects.order_by("pk").filter(who=root).values())
    said = {"host": "practice", "token": admin_token[:7]}

    assert [(entry["action"], entry["what"], entry["after"]) for entry in entries] == [
        ("model_pull", "practice-small", {**said, "insecure": True}),
        ("model_copy", "mine", {**said, "source": "practice"}),
        ("model_delete", "mine", said),
        ("file_uploaded", DIGEST, {**said, "bytes": len(FILE)}),
    ]
    assert {entry["address"] for entry in entries} == {"127.0.0.1"}


async def test_who_wants_the_same_shares_a_pull(portal, jobs, practice, admin_token):
    pulls = [
        asyncio.create_task(portal.ask("POST", "/api/pull", {"model": "fault-pull-gate"}, token=admin_token))
        for _ in range(2)
    ]
    await practice.wait_for(lambda: practice.requests)
    practice.release()
    answers = await asyncio.gather(*pulls)

    assert len(practice.requests) == 1
    assert [answer.lines[-1] for answer in answers] == [{"status": "success"}] * 2
    assert await Job.objects.acount() == 1


async def test_what_is_in_the_way_is_said(portal, practice, jobs, admin_token):
    pulling = asyncio.create_task(portal.ask("POST", "/api/pull", {"model": "fault-pull-gate"}, token=admin_token))
    await practice.wait_for(lambda: practice.requests)
    copying = {"source": "practice", "destination": "fault-pull-gate"}
    answer = await portal.ask("POST", "/api/copy", copying, token=admin_token)
    practice.release()
    await pulling

    assert (answer.status, answer.value) == (409, {"error": "Root has something else done with 'fault-pull-gate'"})


async def test_a_pull_goes_on_when_its_script_leaves(portal, practice, jobs, admin_token):
    async with begun(portal, admin_token):
        pass
    practice.release()
    again = await portal.ask("POST", "/api/pull", {"model": "fault-pull-gate"}, token=admin_token)

    assert again.lines[-1] == {"status": "success"}
    assert [request.outcome for request in practice.requests] == ["done"]


async def test_a_pull_that_somebody_cancels_says_so(portal, jobs, admin_token, root):
    async with begun(portal, admin_token) as reader:
        await sync_to_async(services.cancel)(job=await Job.objects.aget(), by=root)
        lines = [chunk async for chunk in rest(reader)]

    assert lines[-1] == b'{"error": "cancelled"}\n'


async def test_a_script_whose_token_ended_is_told_no_more(portal, jobs, admin_token, monkeypatch):
    """S36."""
    monkeypatch.setattr(session_watch, "LOOK_S", 0.05)
    async with begun(portal, admin_token) as reader:
        await sync_to_async(lambda: tokens.revoke(tokens.found(admin_token)))()
        lines = [chunk async for chunk in rest(reader)]

    assert lines[-1] == b'{"error": "unauthorized"}\n'


async def test_a_job_of_another_process_is_followed_by_its_row(portal, admin_token, monkeypatch):
    monkeypatch.setattr(story, "LOOK_S", 0.02)
    async with begun(portal, admin_token, wait=False) as reader:
        while not (claimed := await sync_to_async(state.claim)(ELSEWHERE, 1)):
            await asyncio.sleep(0.01)
        half, all_of_it = (Figures("moving", completed, 100) for completed in (50, 100))
        await sync_to_async(state.record)(ELSEWHERE, {claimed[0].pk: half})
        await read_head(reader)
        first = await read_chunk(reader)
        await sync_to_async(state.finish)(claimed[0].pk, ELSEWHERE, State.DONE, all_of_it)
        lines = [chunk async for chunk in rest(reader)]

    assert json.loads(first) == {"status": "pulling", "total": 100, "completed": 50}
    assert lines[-1] == b'{"status": "success"}\n'


async def test_a_failure_in_another_process_is_told(portal, admin_token, monkeypatch):
    monkeypatch.setattr(story, "LOOK_S", 0.02)
    asking = asyncio.create_task(
        portal.ask("POST", "/api/pull", {"model": "practice-small", "stream": False}, token=admin_token)
    )
    while not (claimed := await sync_to_async(state.claim)(ELSEWHERE, 1)):
        await asyncio.sleep(0.01)
    ending = {"error": "disk", "detail": "no space left on device"}
    await sync_to_async(state.finish)(claimed[0].pk, ELSEWHERE, State.FAILED, Figures(), **ending)
    answer = await asking

    assert (answer.status, answer.value) == (500, {"error": "no space left on device"})


async def test_who_is_late_hears_of_each_thing_the_last():
    telling = story.Story()
    for completed in range(1, 5000):
        telling.say(Progress("pulling a", "sha256:a", 5000, completed))
    telling.say(Progress("writing manifest"))
    telling.say(Progress("success"))
    lines, heard = telling.since(0)

    assert lines == [Progress("pulling a", "sha256:a", 5000, 4999), Progress("writing manifest")]
    assert telling.since(heard) == ([], heard)


async def test_a_host_that_says_ever_new_things_is_not_kept():
    telling = story.Story()
    for number in range(5000):
        telling.say(Progress(f"layer {number}"))

    assert len(telling.since(0)[0]) == story.LINES


class TestTwoHosts:
    """The second, of which ``practice-small`` is known, stands beside ``practice``."""

    @pytest.fixture
    async def second(self, portal, jobs):
        async with PracticeHost(faults=True) as host:
            await sync_to_async(install)(host.url, "二号")
            yield host

    async def test_the_script_names_the_host(self, portal, practice, second, admin_token):
        named = {"Teahouse-Host": "二号"}
        answer = await portal.ask("POST", "/api/pull", {"model": "practice-small"}, token=admin_token, **named)

        assert [request.model for request in second.requests] == ["practice-small"]
        assert practice.requests == []
        assert answer.headers["teahouse-host"] == "二号"

    async def test_otherwise_it_is_the_first_that_has_the_model(self, portal, practice, second, admin_token):
        host = await Host.objects.aget(name="二号")
        await InstalledModel.objects.filter(host=host, name="practice-thinker:latest").adelete()
        await InstalledModel.objects.filter(host=portal.host, name="practice-markdown:latest").adelete()
        for model in ("practice-markdown", "practice-thinker"):
            await portal.ask("DELETE", "/api/delete", {"model": model}, token=admin_token)

        assert await listed(practice.url) - await listed(second.url) == {"practice-markdown:latest"}
        assert await listed(second.url) - await listed(practice.url) == {"practice-thinker:latest"}

    async def test_a_host_that_is_not_there_is_not_found(self, portal, second, admin_token):
        answer = await portal.ask(
            "POST", "/api/pull", {"model": "practice-small"}, token=admin_token, **{"Teahouse-Host": "third"}
        )

        assert (answer.status, answer.value) == (404, {"error": "host 'third' not found"})


async def test_nothing_is_made_that_would_break_or_read_a_file(portal, practice, admin_token):
    """S34."""
    for more, status, words in NOT_MADE:
        answer = await portal.ask("POST", "/api/create", {"model": "mine", **more}, token=admin_token)

        assert (answer.status, answer.value["error"][: len(words)]) == (status, words)
    assert practice.requests == []


async def test_a_host_is_sent_what_ollama_knows_and_nothing_more(portal, jobs, practice, admin_token):
    """S33."""
    wish = {"from": "practice", "system": "a\0\ud83d", "parameters": {"temperature": 1, "stop": ["x"]}}
    more = {"remote_host": "https://evil.example", "info": {}, "path": "/etc/passwd", "username": "a"}
    await portal.ask("POST", "/api/create", {"MODEL": " mine ", **wish, **more}, token=admin_token)

    assert practice.requests[-1].body == {
        **wish,
        "system": "a\ufffd\ufffd",
        "model": "mine",
        "name": "mine",
        "stream": True,
        "modelfile": "FROM practice\nSYSTEM a\ufffd\ufffd\nPARAMETER temperature 1\nPARAMETER stop x\n",
    }


async def test_an_old_host_makes_the_same_model(portal, jobs, admin_token):
    wish = {"from": "practice", "system": "Be\nshort.", "parameters": {"stop": ["a", "b"], "temperature": 0.5}}
    wish |= {"messages": [{"role": "user", "content": "Hello"}], "license": ["MIT", "X11"]}
    shown = []
    async with PracticeHost(faults=True, old=True) as old:
        await sync_to_async(install)(old.url, "old")
        for host, url in (("practice", portal.host.base_url), ("old", old.url)):
            named = {"token": admin_token, "Teahouse-Host": host}
            made = await portal.ask("POST", "/api/create", {"model": "mine", **wish}, **named)
            assert made.lines[-1] == {"status": "success"}
            shown.append((await ask(url, "POST", "/api/show", {"model": "mine"})).value | {"modified_at": ""})

    assert shown[0] == shown[1]


async def test_what_a_modelfile_cannot_say_is_left_to_the_host(portal, jobs, practice, admin_token):
    for odd in ({"messages": "a"}, {"messages": [1]}, {"system": 1}, {"license": {}}, {"template": 'a\n"""\nb'}):
        await portal.ask("POST", "/api/create", {"model": "mine", "from": "practice", **odd}, token=admin_token)

        assert "modelfile" not in practice.requests[-1].body


async def test_when_the_portal_ends_its_scripts_are_told(portal, jobs, admin_token):
    async with begun(portal, admin_token) as reader:
        await jobs.close()
        lines = [chunk async for chunk in rest(reader)]

    assert json.loads(lines[-1]) == {"error": "the portal restarts; what was begun goes on by itself"}


@asynccontextmanager
async def begun(portal, token, *, wait: bool = True):
    """A script that reads a pull which waits half-way."""
    async with asyncio.timeout(10), connection(portal.url) as (reader, writer):
        asked = {"model": "fault-pull-gate"}
        writer.write(request_bytes("POST", "/api/pull", asked, Authorization=f"Bearer {token}"))
        if wait:
            await read_head(reader)
            await read_chunk(reader)
        yield reader


async def rest(reader):
    while chunk := await read_chunk(reader):
        for line in chunk.splitlines(keepends=True):
            yield line


async def listed(url: str) -> set[str]:
    return {model["name"] for model in (await ask(url, "GET", "/api/tags")).value["models"]}
