"""Names of models. The same model has several: ``Tiny``, ``tiny:latest``, ``registry.ollama.ai/library/tiny``."""

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"


def normal(name: str) -> str:
    """The shortest name that means the same model, in small letters, always with its tag."""
    short = name.strip().casefold().partition("://")
    path = (short[2] or short[0]).removeprefix(f"{DEFAULT_HOST}/").removeprefix(f"{DEFAULT_NAMESPACE}/")
    path = path.removesuffix(":local")
    head, slash, last = path.rpartition("/")
    model, _, tag = last.partition(":")
    return f"{head}{slash}{model}:{tag or DEFAULT_TAG}"


def same_model(one: str, other: str) -> bool:
    """Whether two names mean one model; Ollama does not tell capitals apart."""
    return normal(one) == normal(other)


def last_word(name: str) -> str:
    """What every name of a model has in it: ``tiny`` of ``library/tiny:latest``."""
    return normal(name).rpartition("/")[2].partition(":")[0]
