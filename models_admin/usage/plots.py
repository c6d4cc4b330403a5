"""Plots as SVG: works out where everything lies. Templates draw it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10
from typing import NamedTuple

STEPS = 4  # of a scale
NICE = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
DAY_STEPS = (1, 2, 5, 10, 15, 30, 45)
LETTER, HAN = 6.6, 12.0  # how wide they are
FILLED = 0.62  # of the room of a day
GAP = 1.0  # between the pieces of a bar
THINNEST = 0.5
HAN_BEGINS = "\u2e80"
THOUSANDS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))
TENTHS, WHOLE = 10, 100  # from where on hundredths, and tenths, say nothing


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a plot and what its scale, its days and its names take of it."""

    kind: str
    width: int
    height: int
    left: int
    right: int = 0
    top: int = 8
    foot: int = 24

    @property
    def base(self) -> int:
        return self.height - self.foot

    @property
    def end(self) -> int:
        return self.width - self.right


WIDE, NARROW = Frame("wide", 1000, 230, 44), Frame("narrow", 340, 200, 40)
HALF, HALF_NARROW = Frame("wide", 480, 210, 36, right=34), Frame("narrow", 340, 190, 36, right=34)


class Tick(NamedTuple):
    """A line of the scale."""

    y: float
    text_y: float
    text: str


class Label(NamedTuple):
    """Below a day."""

    x: float
    text: str
    anchor: str


class Rect(NamedTuple):
    series: int
    x: float
    y: float
    width: float
    height: float


class Bar(NamedTuple):
    """Of one day."""

    title: str
    rects: list[Rect]


class Curve(NamedTuple):
    """Broken where nothing is known."""

    series: int
    name: str
    pieces: list[str]
    name_y: float


class Plot(NamedTuple):
    frame: Frame
    ticks: list[Tick]
    labels: list[Label]
    bars: list[Bar] = []
    curves: list[Curve] = []


def stacked(frame: Frame, days: Sequence[str], values: Sequence[Sequence[int]]) -> Plot:
    """A bar for each day, of a piece for each series."""
    scale = Scale(frame, max(map(sum, values), default=0), whole=True)
    room = (frame.end - frame.left) / max(1, len(days))
    bars = [
        Bar(f"{day}: {short(sum(of_day))}", list(_pieces(scale, frame.left + (at + 0.5) * room, room * FILLED, of_day)))
        for at, (day, of_day) in enumerate(zip(days, values, strict=True))
    ]
    middles = [frame.left + (at + 0.5) * room for at in range(len(days))]
    return Plot(frame, scale.ticks, _labels(days, middles), bars=bars)


def curves(frame: Frame, days: Sequence[str], series: Sequence[tuple[int, str, Sequence[float | None]]]) -> Plot:
    """A line for each series; of each its number, its name and a value for each day."""
    known = [value for _, _, values in series for value in values if value is not None]
    scale = Scale(frame, max(known, default=0), whole=False)
    room = (frame.end - frame.left) / max(1, len(days) - 1)
    places = [frame.left + at * room for at in range(len(days))]
    drawn = [
        Curve(number, name, _lines(scale, places, values), scale.y(_last(values)) + 4)
        for number, name, values in series
    ]
    return Plot(frame, scale.ticks, _labels(days, places), curves=drawn)


class Scale:
    """From 0 to a round number that is not exceeded."""

    def __init__(self, frame: Frame, most: float, *, whole: bool) -> None:
        self._frame = frame
        self._step = _step(most / STEPS, whole=whole)

    def y(self, value: float) -> float:
        share = value / (self._step * STEPS)
        return round(self._frame.base - share * (self._frame.base - self._frame.top), 1)

    @property
    def ticks(self) -> list[Tick]:
        values = [self._step * number for number in range(STEPS + 1)]
        return [Tick(self.y(value), self.y(value) + 4, short(value)) for value in values]


def short(count: float) -> str:
    """For a scale: 350 k."""
    for unit, name in THOUSANDS:
        if count >= unit:
            return f"{_digits(count / unit)} {name}"
    return _digits(count)


def _digits(value: float) -> str:
    """Three of them say enough."""
    if value >= WHOLE:
        return f"{value:.0f}"
    return f"{value:.{1 if value >= TENTHS else 2}f}".rstrip("0").rstrip(".")


def _step(least: float, *, whole: bool) -> float:
    if least <= 0:
        return 1
    power = 10.0 ** floor(log10(least))
    step = next(nice * power for nice in NICE if nice * power >= least * 0.999999)
    return max(1.0, ceil(step)) if whole else step


def _pieces(scale: Scale, middle: float, width: float, values: Sequence[int]) -> Iterator[Rect]:
    below = 0
    for series, value in enumerate(values, 1):
        if value:
            top, bottom = scale.y(below + value), scale.y(below)
            height = max(THINNEST, bottom - top - (GAP if below else 0))
            yield Rect(series, round(middle - width / 2, 1), top, round(width, 1), round(height, 1))
        below += value


def _lines(scale: Scale, places: Sequence[float], values: Sequence[float | None]) -> list[str]:
    """The points of each line; a single one twice, so that it is drawn as a dot."""
    pieces = []
    for known, points in groupby(zip(places, values, strict=True), key=lambda point: point[1] is not None):
        if known:
            drawn = [f"{x:.1f},{scale.y(value or 0)}" for x, value in points]
            pieces.append(" ".join(drawn if len(drawn) > 1 else drawn * 2))
    return pieces


def _last(values: Sequence[float | None]) -> float:
    return next((value for value in reversed(values) if value is not None), 0)


def _labels(days: Sequence[str], places: Sequence[float]) -> list[Label]:
    """So many that they do not touch; the first one under the first day."""
    width = max(map(_width, days), default=0) + 2 * LETTER
    room = places[1] - places[0] if len(places) > 1 else width
    every = next((step for step in DAY_STEPS if step * room >= width), DAY_STEPS[-1])
    return [Label(round(places[at], 1), days[at], "middle") for at in range(0, len(days), every)]


def _width(text: str) -> float:
    return sum(LETTER if letter < HAN_BEGINS else HAN for letter in text)
