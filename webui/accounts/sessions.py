"""Sessions of people, looked at from outside of a request."""

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from webui.accounts.models import User


def user_of_session(key: str) -> User | None:
    """The person signed in with this session, unless it ended, they were deactivated or changed the password."""
    session = SessionStore(key)
    if BACKEND_SESSION_KEY not in session:
        return None
    user = User.objects.filter(pk=session[SESSION_KEY], is_active=True).first()
    if user and constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
        return user
    return None


def end_all_sessions(user: User, *, except_key: str | None = None) -> None:
    """Sign the person out everywhere; open pages notice within seconds."""
    for session in Session.objects.filter(expire_date__gt=timezone.now()).exclude(session_key=except_key):
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            session.delete()
