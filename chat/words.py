"""What rendered answers need from the interface: its words, and ids that do not clash."""

from functools import cache
from uuid import UUID

from django.templatetags.static import static
from django.utils import translation
from django.utils.translation import gettext

from chat.markdown import Labels


@cache
def labels_in(language: str) -> Labels:
    """The labels of code blocks and tables in a language (``en``, ``zh-hans``)."""
    with translation.override(language):
        return Labels(
            copy=gettext("Copy"),
            code=gettext("Code"),
            table=gettext("Table"),
            back=gettext("Back to the text"),
            icons=static("icons.svg"),
        )


def prefix_of(message: UUID, *, thinking: bool = False) -> str:
    """What makes the ids inside a message's HTML unique in the page."""
    return f"{message.hex[-8:]}{'t' if thinking else ''}-"
