"""Every example of docs/api.md does what it says."""

import asyncio
import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

from models_admin.api.routes import ROUTES as MANAGING
from webui.asgi import api

TEXT = (Path(__file__).parents[3] / "docs/api.md").read_text()
EXAMPLE = re.compile(r"^```(sh|python)\n(.*?)^# => (.*?)\n```$", re.MULTILINE | re.DOTALL)


def test_every_example_says_what_comes_of_it():
    assert len(EXAMPLE.findall(TEXT)) == TEXT.count("```sh") + TEXT.count("```python")


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
async def test_every_example_does_what_it_says(portal, jobs, admin_token):
    run = {"sh": in_the_shell, "python": in_python}
    for language, text, expected in EXAMPLE.findall(TEXT):
        example = text.replace("http://localhost:8000", portal.url).replace("th_YOUR_TOKEN", admin_token)

        assert expected in await run[language](example), text


async def in_the_shell(example: str) -> str:
    shell = await asyncio.create_subprocess_exec("sh", "-eu", "-c", example, stdout=asyncio.subprocess.PIPE)
    out, _ = await shell.communicate()
    assert shell.returncode == 0
    return out.decode()


async def in_python(example: str) -> str:
    """Its client is closed as the end of a process closes it."""
    said, names = io.StringIO(), {}
    with contextlib.redirect_stdout(said):
        await asyncio.to_thread(exec, example, names)
    names["client"].close()
    return said.getvalue()


def test_every_address_is_named():
    named = {
        place.replace("NAME", "{model}").replace("DIGEST", "{digest}")
        for place in re.findall(r"`[A-Z ]*(/(?:api|v1)/[\w./]+)", TEXT)
    }

    assert {path for _, path in api if path != "/"} <= named


def test_those_that_manage_are_named_apart():
    (line,) = re.findall(r"^\| tokens that manage models \|.*$", TEXT, re.MULTILINE)

    assert {path.replace("{digest}", "DIGEST") for _, path in MANAGING} == set(re.findall(r"/api/[\w/]+", line))
