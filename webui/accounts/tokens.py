"""Access tokens of scripts: made, shown once, found again by their hash, and ended.

A token is 256 random bits, so its hash needs no salt and no slow function, and to look it up tells nothing.
"""

import hashlib
import logging
import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from webui.accounts.models import LIMITS, AccessToken, User

log = logging.getLogger(__name__)

BEGINNING = "th_"
SHOWN = len(BEGINNING) + 4
USED_AGAIN = timedelta(minutes=1)  # how exactly "last used" is kept

Scope = AccessToken.Scope


def make(
    *,
    user: User,
    name: str,
    scope: str = Scope.USE,
    allowed: Iterable[str] = (),
    expires_at: datetime | None = None,
    limits: Mapping[str, int | None] | None = None,
) -> tuple[AccessToken, str]:
    """A token, and what to show its owner once. Only administrators' tokens administer."""
    secret = BEGINNING + secrets.token_urlsafe(32)
    token = AccessToken.objects.create(
        user=user,
        name=name,
        prefix=secret[:SHOWN],
        digest=_digest(secret),
        scope=scope if user.is_admin else Scope.USE,
        allowed=sorted(set(allowed)),
        expires_at=expires_at,
        **(limits or {}),
    )
    log.info("token %s of user %s made", token.pk, user.pk)
    return token, secret


def revoke(token: AccessToken) -> bool:
    """Refused from the next request on. False: it was already."""
    revoked = AccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    log.info("token %s of user %s revoked", token.pk, token.user_id)
    return bool(revoked)


def found(secret: str) -> AccessToken | None:
    """The token, unless it ended or never was; with its owner, who is active."""
    return _living().select_related("user").filter(digest=_digest(secret)).first()


def still_living(tokens: Collection[int]) -> set[int]:
    """Of these, by their primary keys, those that have not ended meanwhile."""
    return set(_living().filter(pk__in=tokens).values_list("pk", flat=True))


def note_use(token: AccessToken) -> None:
    """For its owner, who wants to know which ones are still needed."""
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - USED_AGAIN:
        AccessToken.objects.filter(pk=token.pk).update(last_used_at=now)


def administers(token: AccessToken) -> bool:
    """An administrator who became a member has tokens of a member."""
    return token.scope == Scope.ADMIN and token.user.is_admin


def recorded(token: AccessToken) -> dict[str, object]:
    """What the audit log keeps of one that was made."""
    ends = token.expires_at.date().isoformat() if token.expires_at else ""
    limits = {name: getattr(token, name) for name in LIMITS if getattr(token, name) is not None}
    return {"scope": token.scope, "allowed": token.allowed, "ends": ends, **limits}


def _living() -> QuerySet[AccessToken]:
    endless = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return AccessToken.objects.filter(endless, revoked_at=None, user__is_active=True)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
