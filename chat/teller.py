"""Tells pages of changes: renders one after the other, on a thread of its own.

So nobody who asks or answers waits for the pages of others, and many changes at once cost little: what is
still to be told when it changes again is told once, as it is by then.
"""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock

from django.core.exceptions import ObjectDoesNotExist
from django.utils import translation

from chat import hub
from webui.db import DatabaseAway, with_fresh_connection
from webui.text import compact

log = logging.getLogger(__name__)

AGAIN_S = 1.0

Render = partial[dict[str, object]]

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tell")
_waiting: dict[tuple[object, ...], "Future[None]"] = {}
_guard = Lock()


def tell_soon(topic: hub.Topic, render: Render) -> "Future[None] | None":
    """Tell whoever looks at the topic what ``render`` reads then. From any thread; nothing is read for nobody.

    The future is done when it was told.
    """
    if not hub.languages(topic):
        return None
    what = (topic, render.func, render.args)
    with _guard:
        if what not in _waiting:
            _waiting[what] = _thread.submit(_tell_of, what, topic, render)
        return _waiting[what]


def tell_now(topic: hub.Topic, render: Render) -> None:
    """Render once in each language somebody looks in, and tell."""
    messages = {}
    for language in hub.languages(topic):
        with translation.override(language):
            messages[language] = compact(render())
    hub.tell(topic, messages)


def _tell_of(what: tuple[object, ...], topic: hub.Topic, render: Render) -> None:
    with _guard:
        del _waiting[what]  # what changes from here on is told again
    try:
        _tell_when_it_can_be_read(topic, render)
    except ObjectDoesNotExist:
        log.info("nothing to tell: deleted for good meanwhile")
    except Exception:
        log.exception("pages could not be told of a change")


def _tell_when_it_can_be_read(topic: hub.Topic, render: Render) -> None:
    while True:
        try:
            return with_fresh_connection(partial(tell_now, topic, render))
        except DatabaseAway:
            log.warning("pages hear of a change later: the database does not answer")
            time.sleep(AGAIN_S)
