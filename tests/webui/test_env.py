"""What the environment may say, and what stops the start with a sentence."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from webui import env

NAME = "TEAHOUSE_TEST"


@pytest.fixture
def say(monkeypatch):
    """``say("value")`` sets the variable."""
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(f"{NAME}_FILE", raising=False)
    return lambda value: monkeypatch.setenv(NAME, value)


@pytest.fixture
def keep(say, tmp_path, monkeypatch):
    """``keep("secret")`` puts a secret into a file, and the file's name into the variable's companion."""

    def write(text: str) -> None:
        (tmp_path / "secret").write_text(text, encoding="utf-8")
        monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "secret"))

    return write


def test_a_value_is_taken_as_it_stands(say):
    say(" tea, please ")

    assert env.text(NAME, "coffee") == " tea, please "


# A line such as ``OLLAMA_SLOTS=`` in an .env file, or a variable that compose passes on though nobody set it.
def test_an_empty_value_counts_as_none(say):
    say("")

    assert env.text(NAME, "coffee") == "coffee"


@pytest.mark.parametrize("said", [None, ""])
def test_what_has_to_be_set_is_named(say, said):
    if said is not None:
        say(said)

    with pytest.raises(ImproperlyConfigured, match=NAME):
        env.text(NAME)


def test_a_secret_may_lie_in_a_file(keep):
    keep("茶 leaves\n")

    assert env.text(NAME, "") == "茶 leaves"


def test_the_file_wins_over_the_value(say, keep):
    say("value")
    keep("file")

    assert env.text(NAME) == "file"


def test_a_secret_file_that_is_not_there_stops_the_start(say, monkeypatch, tmp_path):
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "nowhere"))

    with pytest.raises(FileNotFoundError, match="nowhere"):
        env.text(NAME, "default")


@pytest.mark.parametrize(("said", "meant"), [("True", True), ("False", False), ("", True)])
def test_a_flag_is_true_or_false(say, said, meant):
    say(said)

    assert env.flag(NAME, default=True) is meant


@pytest.mark.parametrize("said", ["true", "1", "yes", "no", " False"])
def test_anything_else_is_no_flag(say, said):
    say(said)

    with pytest.raises(ImproperlyConfigured, match="write True or False"):
        env.flag(NAME, default=False)


@pytest.mark.parametrize(("said", "meant"), [("4", 4), (" 2 ", 2), ("", 7)])
def test_a_whole_number_is_read(say, said, meant):
    say(said)

    assert env.whole(NAME, default=7, least=1) == meant


@pytest.mark.parametrize("said", ["four", "1.5", "0", "-1"])
def test_a_number_that_will_not_do_is_refused(say, said):
    say(said)

    with pytest.raises(ImproperlyConfigured, match=f"{NAME}={said}: write a whole number from 1 up"):
        env.whole(NAME, default=7, least=1)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("zh-hans", "zh-hans"),
        ("zh_CN:zh", "zh-hans"),
        ("zh_TW.UTF-8", "zh-hans"),
        ("en", "en"),
        ("en_GB:en", "en"),
        ("de_DE:en", "en"),
        ("", "zh-hans"),
    ],
)
def test_the_language_is_one_that_the_portal_speaks(say, said, meant):
    say(said)

    assert env.language(NAME, default="zh-hans") == meant


@pytest.mark.parametrize(("said", "meant"), [("", []), ("a", ["a"]), (" a , b,,c, ", ["a", "b", "c"]), (",", [])])
def test_words_stand_between_commas(say, said, meant):
    say(said)

    assert env.words(NAME) == meant


@pytest.mark.parametrize("said", ["127.0.0.1", "10.0.0.0/8", "10.1.2.3/8", "::1, fd00::/8"])
def test_networks_are_addresses_or_ranges_of_them(say, said):
    say(said)

    assert env.networks(NAME) == env.words(NAME)


# A name such as that of a compose service would otherwise be noticed at somebody's sign-in.
@pytest.mark.parametrize("said", ["caddy", "10.0.0.0/33", "127.0.0.1, proxy", "10.0.0.256"])
def test_a_name_is_no_network(say, said):
    say(said)

    with pytest.raises(ImproperlyConfigured, match="write an address"):
        env.networks(NAME)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("https://tea.example", "https://tea.example"),
        ("https://tea.example/", "https://tea.example"),
        ("http://10.0.0.7:8000", "http://10.0.0.7:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("", "http://localhost:8000"),
    ],
)
def test_an_address_is_one_for_a_browser(say, said, meant):
    say(said)

    assert env.address(NAME, "http://localhost:8000") == meant


# With one of these the portal would start, and answer nobody.
@pytest.mark.parametrize(
    "said",
    [
        "tea.example",
        "tea.example:8000",
        "localhost:8000",
        "ftp://tea.example",
        "https://",
        "http://tea:0",
        "http://tea:port",
    ],
)
def test_what_a_browser_cannot_go_to_is_refused(say, said):
    say(said)

    with pytest.raises(ImproperlyConfigured, match=f"{NAME}={said}: write it like https://chat.example.org"):
        env.address(NAME, "http://localhost:8000")
