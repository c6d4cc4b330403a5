"""What somebody wants to know of the ledger, as the address of the page says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from webui.inference.ledger import KEYS, Ledger
from webui.inference.models import Usage

PERIODS = (7, 30, 90)
USUAL_PERIOD = 30
MEASURES = ("tokens", "runs")
LONGEST_NUMBER = 18  # digits
LONGEST_NAME = 400


@dataclass(frozen=True, slots=True)
class Wish:
    """``of`` is what is counted, ``by`` what it is divided by; the rest narrows it down."""

    days: int
    of: str
    by: str
    person: int | None
    model: str
    host: str
    door: str

    def in_ledger(self, ledger: Ledger) -> Ledger:
        """Of these days what is wanted."""
        return ledger.narrowed(person=self.person, model=self.model, host=self.host, door=self.door)


def wish_of(sent: Mapping[str, str], *, owner: int | None = None) -> Wish:
    """From a query: what makes no sense is as if it were not there. ``owner``: of them alone."""
    by = sent.get("by", "")
    return Wish(
        days=next((days for days in PERIODS if str(days) == sent.get("days")), USUAL_PERIOD),
        of=sent.get("of", "") if sent.get("of") in MEASURES else MEASURES[0],
        by=by if by in KEYS and not (owner and by == "person") else "model",
        person=owner or _number(sent.get("person", "")),
        model=_name(sent.get("model", "")),
        host=_name(sent.get("host", "")),
        door=sent.get("door", "") if sent.get("door") in Usage.Door.values else "",
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER else None


def _name(text: str) -> str:
    return text.replace("\0", "")[:LONGEST_NAME]
