"""What a conversation is called before anybody names it."""

from chat.markdown import plain

TITLE_LENGTH = 60


def title_from(question: str) -> str:
    """The question's first words, without Markdown."""
    return plain(question, TITLE_LENGTH) or question.strip()[:TITLE_LENGTH]
