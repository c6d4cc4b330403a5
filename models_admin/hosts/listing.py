"""The hosts as their page shows them. Asks the database alone: a dead host delays nobody."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from django.db.models import Count, Q
from django.utils import timezone

from webui.accounts.models import AuditEntry
from webui.inference.models import Host, InstalledModel, Turn, Usage

LATELY = timedelta(days=1)
ANSWERS_LATELY = 200
COLOURS = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """A model in the memory bar: where it begins and how wide it is, in percent, and its colour."""

    model: InstalledModel
    x: float
    width: float
    colour: int


@dataclass(frozen=True, slots=True)
class Card:
    """One host."""

    host: Host
    holding: int
    waiting: int
    first_token_s: float | None
    pieces: list[Piece]
    taken: int  # bytes
    only_here: list[str]
    set_aside: AuditEntry | None

    @property
    def silent(self) -> bool:
        return self.host.enabled and self.host.health == Host.Health.UNREACHABLE


def cards() -> list[Card]:
    """Every host; the number of queries does not depend on how many there are."""
    hosts = list(Host.objects.order_by("-enabled", "name"))
    models, elsewhere = _models()
    lines, quick, aside = _lines(), _first_tokens(), _set_aside()
    return [
        Card(
            host=host,
            holding=lines.get(host.pk, (0, 0))[0],
            waiting=lines.get(host.pk, (0, 0))[1],
            first_token_s=quick.get(host.name),
            pieces=_pieces(host, models[host.pk]),
            taken=sum(model.memory for model in _loaded(models[host.pk])),
            only_here=sorted(model.name for model in models[host.pk] if elsewhere[model.name] == {host.pk}),
            set_aside=aside.get(host.name) if host.draining else None,
        )
        for host in hosts
    ]


def _models() -> tuple[dict[int, list[InstalledModel]], dict[str, set[int]]]:
    """By host, and the hosts of each name."""
    by_host: dict[int, list[InstalledModel]] = defaultdict(list)
    places: dict[str, set[int]] = defaultdict(set)
    for model in InstalledModel.objects.order_by("-memory", "name"):
        by_host[model.host_id].append(model)
        places[model.name].add(model.host_id)
    return by_host, places


def _lines() -> dict[int, tuple[int, int]]:
    """How many hold a slot, and how many wait, by host."""
    counted = Turn.objects.alive().values_list("line__host")
    rows = counted.annotate(holding=Count("admitted_at"), waiting=Count("pk", filter=Q(admitted_at=None)))
    return {host: (holding, waiting) for host, holding, waiting in rows}


def _first_tokens() -> dict[str, float]:
    """Seconds to the first token: the median of the latest answers, by the host's name."""
    lately = Usage.objects.filter(at__gt=timezone.now() - LATELY).exclude(first_piece_ms=None).order_by("-at")
    found: dict[str, list[float]] = defaultdict(list)
    for host, ms in lately.values_list("host", "first_piece_ms")[:ANSWERS_LATELY]:
        found[host].append((ms or 0) / 1000)
    return {host: median(times) for host, times in found.items()}


def _set_aside() -> dict[str, AuditEntry]:
    """Who set a host aside last, by its name."""
    entries = AuditEntry.objects.filter(action="host_set_aside").select_related("who").order_by("what", "-id")
    return {entry.what: entry for entry in entries.distinct("what")}


def _loaded(models: list[InstalledModel]) -> list[InstalledModel]:
    """What is in memory, once for all names of the same model."""
    return list({model.digest or model.name: model for model in models if model.loaded and model.memory}.values())


def _pieces(host: Host, models: list[InstalledModel]) -> list[Piece]:
    loaded = _loaded(models)
    whole = max(host.total_memory or 0, sum(model.memory for model in loaded)) or 1
    pieces, x = [], 0.0
    for number, model in enumerate(loaded):
        width = model.memory * 100 / whole
        pieces.append(Piece(model, round(x, 2), round(width, 2), number % COLOURS + 1))
        x += width
    return pieces
