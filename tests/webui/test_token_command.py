"""``manage.py token``."""

import io

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from webui.accounts import tokens
from webui.accounts.models import AccessToken, AuditEntry


def told(*arguments: str) -> str:
    out = io.StringIO()
    call_command("token", *arguments, stdout=out)
    return out.getvalue().strip()


def test_the_secret_alone_is_printed(alice):
    token = tokens.found(told("Alice", "--name", "nightly", "--days", "3", "--model", "qwen3", "--model", "qwen3"))

    assert (token.user, token.name, token.scope, token.allowed) == (alice, "nightly", "use", ["qwen3:latest"])
    assert (token.expires_at - token.created_at).days in {2, 3}


def test_administrators_alone_have_tokens_that_manage(alice, root):
    assert tokens.administers(tokens.found(told("root", "--name", "ci", "--scope", "admin")))
    with pytest.raises(CommandError, match="administrators"):
        told("alice", "--name", "ci", "--scope", "admin")


def test_tokens_are_listed_without_their_secrets_and_revoked_by_number(alice):
    secret = told("alice", "--name", "nightly")
    token = AccessToken.objects.get()

    assert told("alice") == f"{token.pk}\t{secret[:7]}…\tnightly\tuse\tall models\tnever ends"
    assert told("alice", "--revoke", str(token.pk)) == f"Revoked: nightly ({secret[:7]}…)"
    assert tokens.found(secret) is None
    assert told("alice") == "alice has no tokens."


def test_what_was_done_at_the_console_is_recorded(alice):
    """S58."""
    told("alice", "--name", "nightly")
    told("alice", "--revoke", str(AccessToken.objects.get().pk))

    assert list(AuditEntry.objects.order_by("pk").values_list("who", "action")) == [
        (None, "token_made"),
        (None, "token_revoked"),
    ]


@pytest.mark.parametrize(
    "arguments",
    [["nobody"], ["alice", "--name", " "], ["alice", "--name", "a", "--days", "0"], ["alice", "--revoke", "1"]],
)
def test_what_makes_no_sense_is_said(alice, bob, arguments):
    AccessToken.objects.create(pk=1, user=bob, name="theirs", digest="0")
    with pytest.raises(CommandError):
        told(*arguments)

    assert list(AccessToken.objects.values_list("pk", "revoked_at")) == [(1, None)]
