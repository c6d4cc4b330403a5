"""What a Prometheus server reads of this process: what it counted since it started, and how the lines stand now.

Counted figures, sockets, memory and processor time are those of one process; lines and hosts are rows, and the
same whichever process is asked.
"""

from collections.abc import Iterator

from django.db.models import Count, Q
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from webui.inference.models import Host, Turn, Usage
from webui.ollama import ChatChunk, GenerateChunk

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
_registry = CollectorRegistry()
_answers = Counter("teahouse_answers", "Answers that ended.", ["door", "outcome"], registry=_registry)
_tokens = Counter("teahouse_tokens", "Tokens of ended answers.", ["door", "kind"], registry=_registry)
_pieces = Counter("teahouse_pieces", "Pieces of answers that hosts sent.", registry=_registry)
_first = Histogram(
    "teahouse_first_piece_seconds",
    "From the question to the first piece.",
    ["door"],
    buckets=SECONDS,
    registry=_registry,
)
_line = Histogram(
    "teahouse_line_seconds", "In line before a host was asked.", ["door"], buckets=SECONDS, registry=_registry
)
sockets = Gauge("teahouse_sockets", "Open sockets of pages.", registry=_registry)


def answered(row: Usage) -> None:
    """An answer ended, and this is its row."""
    _answers.labels(row.door, row.outcome).inc()
    _tokens.labels(row.door, "read").inc(row.prompt_tokens)
    _tokens.labels(row.door, "written").inc(row.output_tokens)
    if row.host:
        _line.labels(row.door).observe(row.queue_ms / 1000)
    if row.first_piece_ms is not None:
        _first.labels(row.door).observe(row.first_piece_ms / 1000)


def heard(event: object) -> None:
    """A host said something."""
    match event:
        case ChatChunk() | GenerateChunk():
            _pieces.inc()
        case bytes():
            _pieces.inc(event.count(b"\n"))


def text() -> bytes:
    """All of it, in Prometheus's own form."""
    return generate_latest(_registry)


class Lines(Collector):
    """Who is answered and who waits, and how the hosts are."""

    def describe(self) -> list[GaugeMetricFamily]:
        return []  # otherwise the database is asked before there is one

    def collect(self) -> Iterator[GaugeMetricFamily]:
        answering = GaugeMetricFamily("teahouse_answering", "Requests that a host answers.", labels=["model", "host"])
        waiting = GaugeMetricFamily("teahouse_waiting", "Requests in line.", labels=["model", "host"])
        turns = Turn.objects.alive().values_list("line__model", "line__host__name")
        counted = turns.annotate(holding=Count("admitted_at"), waiting=Count("pk", filter=Q(admitted_at=None)))
        for model, host, holds, waits in counted:
            answering.add_metric([model, host], holds)
            waiting.add_metric([model, host], waits)
        well = GaugeMetricFamily("teahouse_host_well", "1: the host answered when it was asked last.", labels=["host"])
        slots = GaugeMetricFamily("teahouse_host_slots", "Answers that it writes at once, per model.", labels=["host"])
        for found in Host.objects.filter(enabled=True):
            well.add_metric([found.name], found.health == Host.Health.WELL)
            slots.add_metric([found.name], found.slots)
        yield from (answering, waiting, well, slots)


_registry.register(Lines())
ProcessCollector(registry=_registry)
