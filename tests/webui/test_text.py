"""Names and titles have no power over the words next to them."""

import pytest

from webui.text import one_line


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("  tea  house ", "tea  house"),
        ("tea\r\nhouse\u2028of\u2029the\x85east", "tea house of the east"),
        ("\u202egnp.\u202cexe\u2066a\u2069", "gnp.exea"),
        ("a\0b\x1bc\ud83d", "a\ufffdb\ufffdc\ufffd"),
        ("\ud83c\udf75", "🍵"),
        ("بيت الشاي", "بيت الشاي"),
        ("茶馆", "茶馆"),
    ],
)
def test_a_name_is_clean_on_one_line_and_turns_nothing_round(written, kept):
    """S17."""
    assert one_line(written) == kept


@pytest.mark.parametrize(
    ("path", "field", "shown_at"),
    [("/settings/", "display_name", "/settings/"), ("/people/", "name", "/people/")],
)
def test_what_people_are_called_is_such_a_name(client, root, path, field, shown_at):
    """S17."""
    client.force_login(root)
    fields = {"send_key": "enter", "username": "dan", "password": "correct horse battery"}
    client.post(path, {**fields, field: "Dan\u2028\u202eorez"})

    assert "Dan orez" in client.get(shown_at).content.decode()


def test_what_a_conversation_is_called_is_such_a_name(client, alice, conversation):
    """S17."""
    client.force_login(alice)
    client.post(f"/c/{conversation.pk}/title/", {"title": "Dan\u2028\u202eorez"})

    assert "Dan orez" in client.get(f"/c/{conversation.pk}/").content.decode()
