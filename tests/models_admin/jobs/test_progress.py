"""How far a job is: bytes over all layers, the mean speed of the last ten seconds, and words for the rest."""

import pytest

from models_admin.jobs.progress import Tally
from webui.ollama import Progress

GB = 1_000_000_000


def layer(digest: str, completed: int, total: int) -> Progress:
    return Progress(f"pulling {digest}", digest, total, completed)


def test_bytes_are_summed_over_all_layers_seen():
    tally = Tally()
    for line in [layer("a", 3, 10), layer("a", 10, 10), layer("b", 1, 4)]:
        tally.take(line, 0)

    assert (tally.figures(0).completed, tally.figures(0).total) == (11, 14)


def test_a_layer_that_ended_without_saying_so_counts_as_whole():
    tally = Tally()
    for line in [layer("a", 3, 10), layer("b", 1, 4), Progress("verifying sha256 digest")]:
        tally.take(line, 0)

    assert (tally.figures(0).completed, tally.figures(0).total) == (14, 14)


def test_a_part_that_failed_and_begins_again_makes_the_sum_smaller():
    tally = Tally()
    for line in [layer("a", 9, 10), layer("a", 4, 10)]:
        tally.take(line, 0)

    assert tally.figures(0).completed == 4


def test_more_than_there_is_is_not_believed():
    tally = Tally()
    tally.take(layer("a", 30, 10), 0)

    assert tally.figures(0).completed == 10


def test_the_speed_is_the_mean_of_the_last_ten_seconds():
    tally = Tally()
    for second in range(31):
        tally.take(layer("a", (second if second < 20 else 20 + (second - 20) * 3) * 100, 10_000), second)

    assert tally.figures(30).bytes_per_s == 300


def test_what_was_there_before_came_at_no_speed():
    tally = Tally()
    tally.take(layer("a", 9 * GB, 10 * GB), 0)
    tally.take(layer("a", 9 * GB + 500, 10 * GB), 5)

    assert tally.figures(5).bytes_per_s == 100


def test_the_speed_falls_while_nothing_comes():
    tally = Tally()
    tally.take(layer("a", 0, 1000), 0)
    tally.take(layer("a", 500, 1000), 1)

    assert (tally.figures(1).bytes_per_s, tally.figures(5).bytes_per_s) == (500, 100)


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("pulling manifest", "manifest"),
        ("pulling 1bf681b2842d", "moving"),
        ("pulling model", "moving"),
        ("verifying sha256 digest", "checking"),
        ("writing manifest", "writing"),
        ("removing any unused layers", "writing"),
        ("retrieving manifest", "manifest"),
        ("pushing 1bf681b2842d", "moving"),
        ("pushing manifest", "writing"),
        ("quantizing F16 model to Q4_K_M", "making"),
        ("using existing layer sha256:1", "making"),
    ],
)
def test_what_the_host_says_is_put_into_a_word_of_ours(status, phase):
    tally = Tally()
    tally.take(Progress(status), 0)

    assert tally.figures(0).phase == phase


def test_words_nobody_knows_change_nothing():
    tally = Tally()
    tally.take(Progress("pulling manifest"), 0)
    tally.take(Progress("<b>brewing</b>"), 0)

    assert tally.figures(0).phase == "manifest"
