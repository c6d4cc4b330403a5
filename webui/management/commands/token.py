"""``manage.py token``: make, list and revoke access tokens where there is no browser."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from webui.accounts import audit, tokens
from webui.accounts.models import AccessToken, User
from webui.ollama.names import normal
from webui.text import one_line

from .serve import plain_refusals, refuse_other_schemas

NAME_LENGTH = 80
LONGEST_DAYS = 36_500


class Command(BaseCommand):
    help = "Access tokens of a person: make one with --name, whose secret is printed once; else list them."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="their sign-in name")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--name", help="make a token of this name, and print its secret")
        what.add_argument("--revoke", type=int, metavar="NUMBER", help="end the token with this number in the list")
        parser.add_argument("--scope", choices=tokens.Scope.values, default="use", help="admin: also manages models")
        parser.add_argument("--days", type=int, help="until it ends; without, it never does")
        parser.add_argument("--model", action="append", default=[], help="the one it may use; may be given again")

    def handle(self, *args: Any, user: str, name: str | None, revoke: int | None, **options: Any) -> None:
        with plain_refusals():
            refuse_other_schemas()
        person = User.objects.filter(username__iexact=user).first()
        if person is None:
            raise CommandError(f"Nobody signs in as {user}.")
        if name is not None:
            self.stdout.write(_made(person, name, options["scope"], options["days"], options["model"]))
        elif revoke is not None:
            self.stdout.write(f"Revoked: {_revoked(person, revoke)}")
        else:
            self.stdout.write("\n".join(_listed(person)) or f"{person.username} has no tokens.")


def _made(person: User, name: str, scope: str, days: int | None, models: list[str]) -> str:
    """The secret of a new token. Raises CommandError."""
    name = one_line(name)
    if not 0 < len(name) <= NAME_LENGTH:
        raise CommandError(f"The name of a token has 1 to {NAME_LENGTH} letters.")
    if days is not None and not 0 < days <= LONGEST_DAYS:
        raise CommandError(f"A token lasts 1 to {LONGEST_DAYS} days, or for ever.")
    if scope == tokens.Scope.ADMIN and not person.is_admin:
        raise CommandError("Only tokens of administrators manage models.")
    token, secret = tokens.make(
        user=person,
        name=name,
        scope=scope,
        allowed=map(normal, models),
        expires_at=None if days is None else timezone.now() + timedelta(days=days),
    )
    audit.record_for(None, "token_made", f"{token}, {person.username}", after=tokens.recorded(token))
    return secret


def _revoked(person: User, number: int) -> AccessToken:
    token = person.tokens.filter(pk=number).first()
    if token is None or not tokens.revoke(token):
        raise CommandError(f"{person.username} has no token {number}.")
    audit.record_for(None, "token_revoked", f"{token}, {person.username}")
    return token


def _listed(person: User) -> Iterator[str]:
    """A line for each: its number, how it begins, what it is called and may do, and until when."""
    for token in person.tokens.filter(revoked_at=None).order_by("pk"):
        ends = f"ends {timezone.localdate(token.expires_at)}" if token.expires_at else "never ends"
        models = ", ".join(token.allowed) or "all models"
        yield f"{token.pk}\t{token.prefix}…\t{token.name}\t{token.scope}\t{models}\t{ends}"
