"""Everything an administrator can do to a job, one function each."""

import re
from collections.abc import Iterable, Mapping

from django.db import IntegrityError, transaction
from django.utils import timezone

from models_admin.jobs import driver, state
from models_admin.models import LIVE_STATES, Job
from webui.accounts.models import User
from webui.inference.access import open_alike
from webui.inference.models import Host
from webui.ollama.names import normal

COMMAND = re.compile(r"\s*ollama\s+(?:pull|run)\s+")
SCHEME = re.compile(r"https?://")
NAME = re.compile(r"\w[^\s\x00-\x1f\x7f\\]{0,398}")


class NotAName(ValueError):
    """No model can be called that."""


class Busy(Exception):
    """Something else is being done with the model; ``job`` says what."""

    def __init__(self, job: Job) -> None:
        super().__init__(str(job))
        self.job = job


def model_name(typed: str) -> str:
    """A model's name from what somebody typed or pasted. Raises NotAName."""
    name = SCHEME.sub("", COMMAND.sub("", typed).strip(), count=1)
    if not NAME.fullmatch(name) or ".." in name or name.endswith(("/", ":")):
        raise NotAName(name)
    return name


def start(
    *,
    kind: str,
    host: Host,
    model: str,
    by: User,
    source: str = "",
    insecure: bool = False,
    request: dict[str, object] | None = None,
    bases: Iterable[str] = (),
) -> Job:
    """Have it done. Who asks for what is being done already shares that job. Raises Busy and NotAName.

    ``bases`` are the models of which a new one is made: it is for the same people.
    """
    name = model_name(model)
    wish = {"source": source, "insecure": insecure, "request": request or {}}
    while True:
        try:
            with transaction.atomic():
                job = Job.objects.create(
                    kind=kind, host=host, model=name, model_key=normal(name), started_by=by, **wish
                )
                for base in bases:
                    open_alike(base, name)
        except IntegrityError:
            known = Job.objects.live().filter(host=host, model_key=normal(name)).first()
            if known is None:  # it ended a moment ago
                continue
            if (known.kind, known.source) != (kind, source) or kind == Job.Kind.CREATE:
                raise Busy(known) from None
            return known
        transaction.on_commit(driver.wake)
        return job


def recorded_wish(host: Host, wish: Mapping[str, object]) -> dict[str, object]:
    """What the audit log keeps of a wish; never what a model is made from."""
    return {"host": host.name, **{name: wish[name] for name in ("source", "insecure") if wish.get(name)}}


def cancel(*, job: Job, by: User) -> None:
    """What was downloaded stays on the host, so that a retry goes on from there."""
    state.ask_to_cancel(job, by)
    transaction.on_commit(driver.wake)


def retry(*, job: Job, by: User) -> Job:
    """The same again, as a job of its own: the history keeps who tried when. Raises Busy."""
    again = start(
        kind=job.kind,
        host=job.place,
        model=job.model,
        by=by,
        source=job.source,
        insecure=job.insecure,
        request=job.request,
    )
    dismiss(job=job)
    return again


def dismiss(*, job: Job) -> None:
    """Out of the list, not out of the history; what runs stays."""
    ended = Job.objects.filter(pk=job.pk, dismissed_at=None).exclude(state__in=LIVE_STATES)
    ended.update(dismissed_at=timezone.now())
