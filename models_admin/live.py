"""What the open pages of administrators are told. Truth is in the rows: this looks at them, and says what differs.

While anybody looks, one task of the process reads the jobs a few times a second and renders them once per
language. Each socket then sends what its page does not show yet, so a slow page skips what passed meanwhile.
To a page (JSON):

``{"jobs": html}``      elements with ``hx-swap-oob`` for a page that lists jobs; ``say`` is for screen readers,
                        ``running`` counts jobs
``{"event": "models"}`` something in the table of models changed: it fetches itself again
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext

from models_admin.jobs import listing
from models_admin.models import Job, State
from webui.accounts.models import User
from webui.db import DatabaseAway, read_db
from webui.inference.models import Host, InstalledModel

LOOK_S = 0.25
CLOSE_SIGNED_OUT = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_TOO_SLOW = 4008


@dataclass(frozen=True, slots=True)
class View:
    """What there is to show in one language: the list, and of each running job the figures that move."""

    shape: tuple[tuple[int, str], ...] = ()
    jobs: str = ""
    figures: dict[int, str] = field(default_factory=dict)
    endings: dict[int, str] = field(default_factory=dict)
    models: int = 0


class Watcher:
    """One open page: what it shows, and what it has to be told."""

    def __init__(self, user: int, language: str) -> None:
        self.user = user
        self.language = language
        self.allowed = True
        self._seen: View | None = None
        self._due = asyncio.Event()
        self._view: View | None = None

    def show(self, view: View) -> None:
        self._view = view
        self._due.set()

    def forbid(self) -> None:
        self.allowed = False
        self._due.set()

    async def next_message(self) -> dict[str, object]:
        """Waits until there is something to tell. Empty when the person may not look any more."""
        while self.allowed:
            await self._due.wait()
            self._due.clear()
            if self.allowed and self._view and (message := _difference(self._seen, self._view)):
                self._seen = self._view
                return message
            self._seen = self._view
        return {}


_watchers: set[Watcher] = set()
_looking: asyncio.Task[None] | None = None


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Inside the block the watcher is shown what there is."""
    global _looking  # noqa: PLW0603  one for the process
    _watchers.add(watcher)
    if _looking is None or _looking.done() or _looking.get_loop() is not asyncio.get_running_loop():
        _looking = asyncio.create_task(_look())
    try:
        yield
    finally:
        _watchers.discard(watcher)


async def _look() -> None:
    while _watchers:
        with suppress(*DatabaseAway):
            await _look_once(tuple(_watchers))
        await asyncio.sleep(LOOK_S)


async def _look_once(watchers: Sequence[Watcher]) -> None:
    """Whoever comes while we read is none of these: of them nothing was read yet."""
    views, allowed = await read_db(
        _read, {watcher.language for watcher in watchers}, {watcher.user for watcher in watchers}
    )
    for watcher in watchers:
        if watcher.user in allowed:
            watcher.show(views[watcher.language])
        else:
            watcher.forbid()


def _read(languages: set[str], users: set[int]) -> tuple[dict[str, View], set[int]]:
    """The views, and which of the people may look at them."""
    allowed = User.objects.filter(pk__in=users, is_admin=True, is_active=True)
    return _views(languages), set(allowed.values_list("pk", flat=True))


def _views(languages: set[str]) -> dict[str, View]:
    jobs = list(listing.shown())
    models = _stamp_of_models()
    views = {}
    for language in languages:
        with translation.override(language):
            views[language] = View(
                shape=tuple((job.pk, job.state) for job in jobs),
                jobs=render_to_string("models_admin/jobs/_list.html", {"jobs": jobs, "oob": True}),
                figures={job.pk: _figures(job) for job in jobs if job.live},
                endings={job.pk: _ending(job) for job in jobs if not job.live},
                models=models,
            )
    return views


def _figures(job: Job) -> str:
    return render_to_string("models_admin/jobs/_figures.html", {"job": job, "oob": True})


def _ending(job: Job) -> str:
    """One short sentence for people who listen."""
    said = {
        State.DONE: gettext("%(model)s is done"),
        State.FAILED: gettext("%(model)s failed"),
        State.CANCELLED: gettext("%(model)s was cancelled"),
    }
    return said[State(job.state)] % {"model": job.model}


def _stamp_of_models() -> int:
    hosts = Host.objects.order_by("pk").values_list("pk", "name", "health", "enabled", "draining")
    installed = InstalledModel.objects.order_by("pk").values_list("pk", "digest", "loaded", "expires_at")
    return hash((tuple(hosts), tuple(installed)))


def _difference(seen: View | None, now: View) -> dict[str, object]:
    """What brings a page up to date; a page that was told nothing yet gets the whole list."""
    message: dict[str, object] = {}
    if seen is None or seen.shape != now.shape:
        message |= {"jobs": now.jobs, "running": len(now.figures)}
        ended = [said for job, said in now.endings.items() if seen and job in seen.figures]
        message |= {"say": ". ".join(ended)} if ended else {}
    else:
        changed = [html for job, html in now.figures.items() if seen.figures.get(job) != html]
        if changed:
            message["jobs"] = "".join(changed)
    if seen and seen.models != now.models:
        message["event"] = "models"
    return message
