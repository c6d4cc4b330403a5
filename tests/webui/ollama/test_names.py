"""One model, several names."""

import pytest

from webui.ollama.names import normal, same_model


@pytest.mark.parametrize(
    ("name", "shortest"),
    [
        ("tiny", "tiny:latest"),
        (" Tiny ", "tiny:latest"),
        ("tiny:8B", "tiny:8b"),
        ("library/tiny", "tiny:latest"),
        ("registry.ollama.ai/library/tiny:8b", "tiny:8b"),
        ("https://registry.ollama.ai/library/tiny", "tiny:latest"),
        ("mara/tiny", "mara/tiny:latest"),
        ("hf.co/x/y:Q4_K_M", "hf.co/x/y:q4_k_m"),
        ("localhost:5000/x/y", "localhost:5000/x/y:latest"),
        ("tiny:", "tiny:latest"),
        ("", ":latest"),
    ],
)
def test_the_shortest_name_in_small_letters_with_its_tag(name, shortest):
    assert normal(name) == shortest


def test_a_normal_name_stays_as_it_is():
    assert normal(normal("Registry.Ollama.ai/library/Tiny")) == "tiny:latest"


def test_names_that_mean_the_same_model():
    assert same_model("TINY", "registry.ollama.ai/library/tiny:latest")


def test_names_that_mean_others():
    assert not same_model("tiny:8b", "tiny:70b")
