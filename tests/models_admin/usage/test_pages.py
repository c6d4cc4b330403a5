"""The pages of usage."""

from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from tests.pages import Page, table_in, text_of

pytestmark = pytest.mark.django_db


def page_of(client, url="/usage/", **query) -> Page:
    return Page(client.get(url, query).content.decode())


def words(element: ET.Element) -> str:
    return " ".join(text_of(element).split())


def table_of(page: Page) -> list[list[str]]:
    """The table below the plots, without its head."""
    rows = page.element("usage").find("section").find(".//tbody")
    return [[words(cell) for cell in row] for row in rows]


def read(answer) -> list[dict[str, str]]:
    head, *rows = table_in(answer)
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_an_empty_ledger_says_so(roots):
    assert "Nothing was asked" in page_of(roots).text("usage")


def test_the_figures_are_sums_of_the_ledger(roots, used, bob):
    used(output_tokens=1_200, prompt_tokens=10, first_piece_ms=900)
    used(output_tokens=300, user=bob, door="api", outcome="failed", first_piece_ms=1_100)

    page = page_of(roots)
    figures = [words(figure) for figure in page.element("usage").find("dl").iter("dd")]
    assert figures[0] == "1,500 tokens"
    assert figures[2:5] == ["2 of 3", "2 requests, 1 failed", "1.0 s"]
    assert table_of(page) == [["qwen3:8b", "2", "1", "10", "1,500", "1.0 s", "0.0 s"]]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("model", ["gemma3:27b", "qwen3:8b"]),
        ("person", ["Bob", "Alice"]),
        ("host", ["gpu-02", "no host"]),
        ("door", ["API", "Browser"]),
    ],
)
def test_they_are_divided_as_wanted_the_largest_first(roots, used, bob, by, names):
    used(output_tokens=2, host="")
    used(output_tokens=5, user=bob, model="gemma3:27b", host="gpu-02", door="api")

    page = page_of(roots, by=by)
    assert [row[0] for row in table_of(page)] == names
    assert [words(item) for item in page.root.find(".//*[@class='legend']")] == names


@pytest.mark.parametrize(
    "query", [{"model": "gemma3:27b"}, {"host": "gpu-02"}, {"door": "api"}, {"person": "bob"}, {"days": "7"}]
)
def test_they_are_narrowed_down(roots, used, bob, query):
    used(output_tokens=100, at=timezone.now() - timedelta(days=20))
    used(output_tokens=7, user=bob, model="gemma3:27b", host="gpu-02", door="api")

    query = {name: bob.pk if value == "bob" else value for name, value in query.items()}
    assert [row[4] for row in table_of(page_of(roots, **query))] == ["7"]


def test_all_names_of_a_model_are_one(roots, used):
    for name in ("qwen3", "Qwen3:latest", "library/qwen3"):
        used(model=name, output_tokens=1)

    assert [row[:2] for row in table_of(page_of(roots, model="qwen3:latest"))] == [["qwen3:latest", "3"]]


def test_a_day_begins_where_the_portal_is(roots, used, settings):
    settings.TIME_ZONE = "Asia/Shanghai"
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    used(output_tokens=5, at=today)
    used(output_tokens=3, at=today - timedelta(seconds=1))

    rows = page_of(roots).root.find(".//details").findall(".//tr")
    assert [words(row[-1]) for row in rows[-2:]] == ["3", "5"]


def test_a_plot_is_told_in_words_and_its_numbers_are_there(roots, used):
    used(output_tokens=30)
    used(output_tokens=10, model="gemma3:27b")

    plot = page_of(roots).root.find(".//{http://www.w3.org/2000/svg}svg[@role='img']")
    title, sentence = (plot.find(f"*[@id='{plot.get(name)}']") for name in ("aria-labelledby", "aria-describedby"))
    assert words(title) == "Tokens per day, by model"
    assert "qwen3:8b makes up 75 %." in words(sentence)


def test_what_has_no_colour_of_its_own_is_shown_together(roots, used):
    for number in range(7):
        used(output_tokens=10 + number, model=f"model-{number}:1b")

    page = page_of(roots)
    assert [words(item) for item in page.root.find(".//*[@class='legend']")][-1] == "other models"
    last = page.root.find(".//details").findall(".//tr")[-1]
    assert [words(cell) for cell in last][1:] == ["16", "15", "14", "13", "33"]


def test_it_is_compared_with_the_days_before(roots, used):
    used(output_tokens=100, at=timezone.now() - timedelta(days=40))
    used(output_tokens=112)

    assert "12 % more than in the 30 days before" in page_of(roots).text("usage")


def test_what_takes_too_long_is_said_and_the_page_lives(roots, used):
    used()

    def too_long(execute, sql, *more):
        if "inference_usage" in sql:
            raise OperationalError("canceling statement due to statement timeout")
        return execute(sql, *more)

    with connection.execute_wrapper(too_long):
        for address in ("/usage/", "/usage/usage.csv"):
            assert "That takes too long" in page_of(roots, address).text("usage")


def test_the_export_has_every_door_and_outcome_and_no_formulas(roots, used):
    """S54."""
    used(output_tokens=5, model="=cmd()", prompt_tokens=2, first_piece_ms=1_500)
    used(output_tokens=1, door="background", outcome="stopped")

    one, other = sorted(read(roots.get("/usage/usage.csv")), key=lambda row: row["Tokens written"])
    assert (one["Door"], one["Outcome"], one["Person"]) == ("Background", "stopped", "alice")
    assert other["Model"] == "'=cmd():latest"
    assert (other["Tokens read"], other["Tokens written"], other["First token, median, s"]) == ("2", "5", "1.5")


def test_an_export_is_in_the_language_of_its_page(alices, alice, used):
    used()
    alice.language = "zh-hans"
    alice.save()

    (row,) = read(alices.get("/settings/usage/usage.csv"))
    assert (row["入口"], row["结果"]) == ("浏览器", "完成")


def test_an_export_of_many_rows_is_whole_and_not_held_as_a_whole(roots, used):
    for number in range(1_000):
        used(model=f"a-model-of-which-the-name-is-long-{number:04}:1b")

    answer = roots.get("/usage/usage.csv")
    assert answer["Content-Encoding"] == "identity"
    assert answer.is_async
    assert [row["Model"][-7:-3] for row in read(answer)] == [f"{number:04}" for number in range(1_000)]


def test_one_s_own_page_and_export_are_of_oneself_alone(alices, used, bob):
    """S06."""
    used(output_tokens=7)
    used(output_tokens=1_000, user=bob, model="secret:1b")

    page = page_of(alices, "/settings/usage/", person=bob.pk, by="person")
    assert [row[4] for row in table_of(page)] == ["7"]
    assert "secret" not in ET.tostring(page.root, encoding="unicode")
    answer = alices.get("/settings/usage/usage.csv", {"person": bob.pk})
    assert [row["Person"] for row in read(answer)] == ["alice"]


def test_however_much_was_used_the_page_asks_the_database_as_often(roots, used, django_assert_max_num_queries):
    for number in range(12):
        used(model=f"model-{number}:1b", host=f"gpu-{number}", output_tokens=number)

    with django_assert_max_num_queries(16):
        roots.get("/usage/")
