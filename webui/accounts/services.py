"""Every change to accounts: one function per thing an administrator or a person can do."""

import logging
import secrets

from django.db import IntegrityError, transaction

from webui.accounts.models import User
from webui.accounts.sessions import end_all_sessions

log = logging.getLogger(__name__)


class LastAdministrator(Exception):
    """Somebody must remain who can administer the portal."""


class NameTaken(Exception):
    """Another form, or another click, was quicker with that sign-in name."""


def create(*, username: str, password: str, display_name: str, by: User) -> User:
    """An account that administers nothing. Raises NameTaken."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(username, password, display_name=display_name)
    except IntegrityError as error:
        raise NameTaken from error
    log.info("user %s created by %s", user.pk, by.pk)
    return user


@transaction.atomic
def deactivate(*, user: User, by: User) -> None:
    """They cannot sign in any more, and every open page of theirs ends within seconds."""
    _keep_one(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    end_all_sessions(user)
    log.info("user %s deactivated by %s", user.pk, by.pk)


def reactivate(*, user: User, by: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=True)
    log.info("user %s reactivated by %s", user.pk, by.pk)


@transaction.atomic
def set_administrator(*, user: User, is_admin: bool, by: User) -> None:
    if not is_admin:
        _keep_one(user)
    User.objects.filter(pk=user.pk).update(is_admin=is_admin)
    log.info("user %s is_admin=%s by %s", user.pk, is_admin, by.pk)


@transaction.atomic
def reset_password(*, user: User, by: User) -> str:
    """A new password to hand over; the old one, and every session, end."""
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.save(update_fields=["password"])
    end_all_sessions(user)
    log.info("password of user %s reset by %s", user.pk, by.pk)
    return password


@transaction.atomic
def change_password(*, user: User, password: str, session_key: str | None) -> None:
    """One's own; every other session ends."""
    user.set_password(password)
    user.save(update_fields=["password"])
    end_all_sessions(user, except_key=session_key)
    log.info("user %s changed the password", user.pk)


def _keep_one(user: User) -> None:
    # All of them, in one order: two who demote each other at once take turns.
    administrators = User.objects.select_for_update().filter(is_admin=True, is_active=True).order_by("pk")
    if [administrator.pk for administrator in administrators] == [user.pk]:
        raise LastAdministrator
