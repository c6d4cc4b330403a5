"""What a conversation is called before anybody names it."""

from chat.markdown import plain
from webui.text import one_line

TITLE_LENGTH = 60


def title_from(question: str) -> str:
    """The question's first words, without Markdown."""
    return one_line(plain(question, TITLE_LENGTH)) or one_line(question)[:TITLE_LENGTH]
