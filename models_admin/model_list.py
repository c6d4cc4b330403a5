"""The table of all models on all hosts: what is in it, filtered and sorted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webui.inference.models import DefaultModel, Host, InstalledModel, ModelAccess, Usage
from webui.ollama.names import normal

USED_LATELY = timedelta(days=30)
PINNED = timedelta(days=365)  # Ollama says "for ever" as a year far away

NUMBERS = ("size", "context")
LABELS = {
    "name": _("Model"),
    "family": _("Family"),
    "size": _("Size"),
    "context": _("Context"),
    "memory": _("In memory"),
    "used": _("Last used"),
    "access": _("Access"),
}

OPEN = (ModelAccess.Audience.EVERYONE, "")

Key = tuple[str, str]  # host, model


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one host."""

    model: InstalledModel
    last_used: datetime | None
    audience: str = ModelAccess.Audience.EVERYONE
    groups: str = ""  # the names of those it is for
    default: bool = False

    @property
    def pinned(self) -> bool:
        return is_pinned(self.model)


@dataclass(frozen=True, slots=True)
class Wish:
    """How somebody wants to see the table. ``sort`` is a key of SORTS, after a minus the other way round."""

    words: str = ""
    host: str = ""
    sort: str = "name"


SORTS: dict[str, Callable[[Row], Any]] = {
    "name": lambda row: (row.model.name.lower(), row.model.host.name),
    "family": lambda row: row.model.family.lower(),
    "size": lambda row: row.model.size,
    "context": lambda row: row.model.context_length,
    "memory": lambda row: row.model.memory if row.model.loaded else -1,
    "access": lambda row: (row.audience, row.groups),
    "used": lambda row: row.last_used.timestamp() if row.last_used else 0,
}


def head(wish: Wish) -> list[dict[str, object]]:
    """The buttons over the columns: each says which way it is sorted, and which way it would be."""
    column, backwards = wish.sort.removeprefix("-"), wish.sort.startswith("-")
    return [
        {
            "label": label,
            "num": key in NUMBERS,
            "sorted": ("descending" if backwards else "ascending") if key == column else "",
            "next": _other_way(wish.sort) if key == column else first_sort(key),
        }
        for key, label in LABELS.items()
    ]


def columns(wish: Wish) -> list[tuple[str, object]]:
    """The choices of the menu that narrow pages sort by, the current one as it is."""
    current = wish.sort.removeprefix("-")
    return [(wish.sort if key == current else first_sort(key), label) for key, label in LABELS.items()]


def first_sort(key: str) -> str:
    """What is large or lately used comes first; names begin at A."""
    return key if key in ("name", "family", "access") else f"-{key}"


def _other_way(sort: str) -> str:
    return sort.removeprefix("-") if sort.startswith("-") else f"-{sort}"


def is_pinned(model: InstalledModel) -> bool:
    return bool(model.expires_at and is_for_ever(model.expires_at))


def is_for_ever(moment: datetime) -> bool:
    """Whether a model that leaves memory then stays."""
    return moment > timezone.now() + PINNED


def rows(wish: Wish) -> list[Row]:
    """Names are compared as words that may stand anywhere in the name, the family or the host's name."""
    used, access = _last_used(), _access()
    defaults = set(DefaultModel.objects.values_list("key", flat=True))
    found = InstalledModel.objects.select_related("host").order_by("name", "host__name")
    everything = []
    for model in found:
        key = normal(model.name)
        everything.append(Row(model, used.get((model.host.name, key)), *access.get(key, OPEN), key in defaults))
    words = wish.words.lower().split()
    wanted = [row for row in everything if _is_wanted(row, words, wish.host)]
    return sorted(wanted, key=SORTS[wish.sort.removeprefix("-")], reverse=wish.sort.startswith("-"))


def wish_of(sent: dict[str, str]) -> Wish:
    """From a query: what makes no sense is as if it were not there."""
    sort = sent.get("sort", "")
    known = sort.removeprefix("-") in SORTS and sort.count("-") <= 1
    return Wish(words=sent.get("q", "")[:100], host=sent.get("host", "")[:80], sort=sort if known else "name")


def summary(hosts: list[Host]) -> dict[str, int]:
    """Figures for the head of the page; a model on two hosts takes its room twice."""
    installed = list(InstalledModel.objects.values_list("size", "loaded"))
    return {
        "models": len(installed),
        "hosts": len(hosts),
        "bytes": sum(size for size, _ in installed),
        "loaded": sum(loaded for _, loaded in installed),
    }


def users_lately(model: InstalledModel) -> int:
    """How many people it answered in the last days, on its host."""
    lately = Usage.objects.filter(at__gt=timezone.now() - USED_LATELY, host=model.host.name)
    names = lately.values_list("user", "model").distinct()
    return len({user for user, name in names if normal(name) == normal(model.name)})


def _is_wanted(row: Row, words: list[str], host: str) -> bool:
    model = row.model
    text = f"{model.name} {model.family} {model.host.name} {' '.join(model.capabilities)}".lower()
    return (not host or model.host.name == host) and all(word in text for word in words)


def _access() -> dict[str, tuple[str, str]]:
    """The audience of each model that has one, and the names of its groups."""
    found = ModelAccess.objects.prefetch_related("groups")
    return {row.key: (row.audience, ", ".join(group.name for group in row.groups.all())) for row in found}


def _last_used() -> dict[Key, datetime]:
    lately = Usage.objects.filter(at__gt=timezone.now() - USED_LATELY)
    last: dict[Key, datetime] = {}
    for host, model, at in lately.values_list("host", "model").annotate(last=Max("at")):
        key = (host, normal(model))
        last[key] = max(at, last.get(key, at))
    return last
