"""Which models people may choose from, and where a model can run."""

from dataclasses import dataclass

from webui.accounts.models import User
from webui.inference.access import usable_by
from webui.inference.models import Host, InstalledModel
from webui.ollama.names import last_word, same_model


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as the picker shows it: one line, however many hosts have it."""

    name: str
    size: int  # bytes
    family: str
    parameter_size: str
    context_length: int  # tokens
    capabilities: frozenset[str]
    loaded: bool
    host: str
    practice: bool
    available: bool


def offers_for(user: User) -> list[Offer]:
    """Every model this person may talk with: those in memory first, then by name."""
    best: dict[str, InstalledModel] = {}
    may_use = usable_by(user)
    for installed in filter(lambda row: may_use(row.name), _chat_models()):
        known = best.get(installed.name)
        if known is None or _preference(installed) < _preference(known):
            best[installed.name] = installed
    return sorted(map(_offer, best.values()), key=_rank)


def models_for(user: User) -> list[tuple[str, frozenset[str]]]:
    """Every model this person may use, for whatever it is good, and what it can do; by name."""
    may_use = usable_by(user)
    found = InstalledModel.objects.filter(host__enabled=True).order_by("name").values_list("name", "capabilities")
    return sorted({(name, frozenset(can)) for name, can in found if may_use(name)}, key=lambda model: model[0])


def _rank(offer: Offer) -> tuple[bool, bool, str]:
    # A colon sorts before a dash then: "tiny:latest" stands before "tiny-code:latest".
    return not offer.available, not offer.loaded, offer.name.lower().replace(":", " ")


def places_for(model: str) -> list[InstalledModel]:
    """Where the model is installed on hosts that take new questions, the best place first."""
    serving = InstalledModel.objects.filter(host__enabled=True, host__draining=False).select_related("host")
    # PostgreSQL finds the few rows worth comparing: to read hundreds of them costs each question milliseconds.
    found = serving.filter(name__icontains=last_word(model))
    return sorted((row for row in found if same_model(row.name, model)), key=_preference)


def _chat_models() -> list[InstalledModel]:
    rows = InstalledModel.objects.filter(host__enabled=True).select_related("host")
    return [row for row in rows if "completion" in row.capabilities or not row.capabilities]


def _preference(row: InstalledModel) -> tuple[bool, bool, bool, int]:
    unreachable = row.host.health == Host.Health.UNREACHABLE
    return unreachable, row.host.draining, not row.loaded, row.host_id


def _offer(row: InstalledModel) -> Offer:
    return Offer(
        name=row.name,
        size=row.size,
        family=row.family,
        parameter_size=row.parameter_size,
        context_length=row.context_length,
        capabilities=frozenset(row.capabilities),
        loaded=row.loaded,
        host=row.host.name,
        practice=row.host.practice,
        available=row.host.health != Host.Health.UNREACHABLE and not row.host.draining,
    )
