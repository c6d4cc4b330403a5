"""Sessions of people: how they are kept, and how they look from outside of a request."""

import re
from collections.abc import Collection

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from webui.accounts.models import User

KEY = re.compile(r"[a-z0-9]{32}")


class SessionStore(db.SessionStore):
    """The engine of the settings. The database is not asked for a key that we cannot have made."""

    def _validate_session_key(self, key: str | None) -> bool:
        return _is_ours(key or "")


def user_of_session(key: str) -> User | None:
    """The person signed in with this session, unless it ended, they were deactivated or changed the password."""
    return users_of_sessions([key]).get(key)


def users_of_sessions(keys: Collection[str]) -> dict[str, User]:
    """The same for many sessions, by their keys. Two queries; absent: those with which nobody is signed in."""
    ours = list(filter(_is_ours, keys))
    found = Session.objects.filter(session_key__in=ours, expire_date__gt=timezone.now())
    sessions = {session.session_key: session.get_decoded() for session in found}
    people = User.objects.filter(is_active=True).in_bulk(
        {s[SESSION_KEY] for s in sessions.values() if SESSION_KEY in s}
    )
    signed_in = {}
    for key, session in sessions.items():
        user = people.get(int(session.get(SESSION_KEY, 0)))
        if user and constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
            signed_in[key] = user
    return signed_in


def end_all_sessions(user: User, *, except_key: str | None = None) -> None:
    """Sign the person out everywhere; open pages notice within seconds."""
    for session in Session.objects.filter(expire_date__gt=timezone.now()).exclude(session_key=except_key):
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            session.delete()


def _is_ours(key: str) -> bool:
    return KEY.fullmatch(key) is not None
