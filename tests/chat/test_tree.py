"""Branches and versions."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat.tree import Tree, Versions


@pytest.fixture
def grow(conversation):
    """Adds messages below one another: ``grow(parent, "text", ...)`` answers the last of them."""

    def grow(parent, *texts):
        for at, text in enumerate(texts):
            role = "assistant" if (parent and parent.role == "user") else "user"
            parent = conversation.messages.create(role=role, parent=parent, text=f"{text}{at}")
        return parent

    return grow


def test_the_path_leads_from_the_first_message_to_the_head(conversation, answer, grow):
    leaf = grow(answer, "q", "a")

    assert Tree(conversation.pk).path_to(leaf.pk) == [answer.parent_id, answer.pk, leaf.parent_id, leaf.pk]


def test_an_only_version_has_no_siblings(conversation, answer):
    assert Tree(conversation.pk).versions_of(answer.pk) is None


def test_versions_know_their_neighbours(conversation, answer, grow):
    second = grow(answer.parent, "second")
    third = grow(answer.parent, "third")

    assert Tree(conversation.pk).versions_of(second.pk) == Versions(2, 3, answer.pk, third.pk)


def test_first_questions_are_versions_of_each_other(conversation, answer, grow):
    other = grow(None, "other")

    assert Tree(conversation.pk).versions_of(other.pk) == Versions(2, 2, answer.parent_id, None)


def test_the_newest_leaf_follows_the_newest_versions(conversation, answer, grow):
    grow(answer, "old", "old")
    newest = grow(answer, "new", "new", "new")

    assert Tree(conversation.pk).newest_leaf(answer.parent_id) == newest.pk


def test_a_tree_costs_one_query_however_large(conversation, answer, grow, db):
    grow(answer, *["message"] * 30)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        Tree(conversation.pk)

    assert len(queries) == 1
