"""Where everything lies in a plot."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.usage.plots import HALF, NARROW, WIDE, curves, short, stacked

FRAMES = st.sampled_from([WIDE, NARROW, HALF])


def days(count: int, form: str = "{:%-d %b}") -> list[str]:
    return [form.format(date(2026, 9, 28) + timedelta(days=number)) for number in range(count)]


@given(frame=FRAMES, values=st.lists(st.lists(st.integers(0, 10**10), min_size=3, max_size=3), min_size=1, max_size=90))
def test_no_bar_leaves_its_plot_and_none_covers_another(frame, values):
    plot = stacked(frame, days(len(values)), values)

    for bar in plot.bars:
        pieces = sorted(bar.rects, key=lambda rect: rect.y)
        assert all(frame.left <= rect.x and rect.x + rect.width <= frame.end for rect in pieces)
        assert all(frame.top <= rect.y and rect.y + rect.height <= frame.base + 1 for rect in pieces)
        assert all(one.y <= other.y for one, other in pairwise(pieces))


@given(frame=FRAMES, values=st.lists(st.none() | st.floats(0, 10**6), min_size=1, max_size=90))
def test_a_line_is_broken_where_nothing_is_known(frame, values):
    (curve,) = curves(frame, days(len(values)), [(1, "p50", values)]).curves

    known = [value for value in values if value is not None]
    gaps = sum(one is None and other is not None for one, other in zip([None, *values], values, strict=False))
    assert len(curve.pieces) == gaps
    assert sum(len(set(piece.split())) for piece in curve.pieces) == len(known)


@pytest.mark.parametrize("count", [1, 7, 30, 90])
@pytest.mark.parametrize("form", ["{:%-d %b}", "{:%-m 月 %-d 日}"])
@pytest.mark.parametrize("frame", [WIDE, NARROW, HALF])
def test_days_do_not_touch_each_other(frame, form, count):
    labels = stacked(frame, days(count, form), [[1]] * count).labels

    widths = [sum(6.6 if letter < "\u2e80" else 12 for letter in label.text) for label in labels]
    places = list(zip(labels, widths, strict=True))
    for (one, its_width), (other, other_width) in pairwise(places):
        assert one.x + its_width / 2 < other.x - other_width / 2


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, ["0", "1", "2", "3", "4"]),
        (3, ["0", "1", "2", "3", "4"]),
        (9, ["0", "3", "6", "9", "12"]),
        (462_000, ["0", "125 k", "250 k", "375 k", "500 k"]),
        (2_000_000, ["0", "500 k", "1 M", "1.5 M", "2 M"]),
    ],
)
def test_a_scale_goes_to_a_round_number(most, ticks):
    assert [tick.text for tick in stacked(WIDE, ["today"], [[most]]).ticks] == ticks


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0"), (999, "999"), (1_500, "1.5 k"), (350_400, "350 k"), (8_420_000, "8.42 M")]
)
def test_large_numbers_are_short(count, said):
    assert short(count) == said
