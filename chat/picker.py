"""The model picker: what can be chosen, and what is chosen now."""

from dataclasses import dataclass, field

from chat.models import Conversation
from webui.accounts.models import User
from webui.inference.access import default_for
from webui.inference.catalogue import Offer, offers_for
from webui.ollama.names import same_model
from webui.text import readable_size


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One line of the picker."""

    name: str
    size: str
    family: str
    context: int
    capabilities: frozenset[str]
    loaded: bool
    host: str
    practice: bool
    available: bool

    @property
    def can_think(self) -> bool:
        return "thinking" in self.capabilities


@dataclass(frozen=True, slots=True)
class Picker:
    """The groups of the picker, and the model the next question goes to."""

    loaded: list[ModelChoice] = field(default_factory=list)
    cold: list[ModelChoice] = field(default_factory=list)
    away: list[ModelChoice] = field(default_factory=list)
    chosen: ModelChoice | None = None

    def __bool__(self) -> bool:
        return bool(self.loaded or self.cold or self.away)


def picker_for(person: User, *, wanted: str = "", conversation: Conversation | None = None) -> Picker:
    """What ``person`` may choose. Chosen: ``wanted``, else the conversation's model, the last used, the default."""
    choices = [_choice(offer) for offer in offers_for(person)]
    wishes = [wanted, conversation.model if conversation else "", _last_used(person), default_for(person)]
    return Picker(
        loaded=[choice for choice in choices if choice.available and choice.loaded],
        cold=[choice for choice in choices if choice.available and not choice.loaded],
        away=[choice for choice in choices if not choice.available],
        chosen=_chosen(choices, wishes),
    )


def _chosen(choices: list[ModelChoice], wishes: list[str]) -> ModelChoice | None:
    for wish in filter(None, wishes):
        for choice in choices:
            if same_model(choice.name, wish):
                return choice
    return next((choice for choice in choices if choice.available), None)


def _last_used(person: User) -> str:
    newest = Conversation.objects.visible_to(person).exclude(model="").order_by("-updated_at")
    return newest.values_list("model", flat=True).first() or ""


def _choice(offer: Offer) -> ModelChoice:
    return ModelChoice(
        name=offer.name,
        size=readable_size(offer.size),
        family=" ".join(filter(None, [offer.family, offer.parameter_size])),
        context=offer.context_length,
        capabilities=offer.capabilities,
        loaded=offer.loaded,
        host=offer.host,
        practice=offer.practice,
        available=offer.available,
    )
