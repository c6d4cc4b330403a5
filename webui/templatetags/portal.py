"""Template tags of every page."""

from datetime import datetime

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from webui.text import readable_size

register = template.Library()

LANGUAGE_TAGS = {"zh-hans": "zh-Hans"}


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """A symbol of the sprite, for the eye only."""
    return format_html(
        '<svg class="icon{}" aria-hidden="true"><use href="{}#{}"/></svg>',
        f" {extra}" if extra else "",
        static("icons.svg"),
        name,
    )


@register.simple_tag
def language_tag() -> str:
    """The page's language as HTML names it."""
    language = get_language() or "en"
    return LANGUAGE_TAGS.get(language, language)


@register.filter
def rendered(html: str) -> SafeString:
    """HTML that chat/markdown made: every block of it passed the allow-list there."""
    return mark_safe(html)  # noqa: S308


@register.filter
def initials(name: str) -> str:
    """Two letters for an avatar; of a Chinese name the last character."""
    if name and "\u3400" <= name[-1] <= "\u9fff":
        return name[-1]
    words = name.split()
    letters = [word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)]
    return "".join(letters).upper()[:2]


@register.filter
def size(count: int) -> str:
    """Bytes, as everywhere in the portal."""
    return readable_size(count)


@register.filter
def grouped(count: int) -> str:
    """A whole number, with its thousands told apart."""
    return f"{count:,}"


@register.filter
def clock(since: datetime | None) -> SafeString:
    """The seconds since then, counted by a script."""
    return format_html('<span class="num" data-since="{}"></span>', epoch_ms(since))


@register.filter
def epoch_ms(moment: datetime | None) -> int:
    """For scripts that count the seconds since."""
    return int(moment.timestamp() * 1000) if moment else 0
