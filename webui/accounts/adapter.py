"""How django-allauth signs people in here: by name and password, throttled for each name and address."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal.ratelimit import parse_rates
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

from webui.accounts.addresses import client_address


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]  # untyped
    """Wrong passwords count against the pair of name and address: a stranger cannot lock out a colleague."""

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def tries_left(self) -> int:
        """After a failed sign-in: how many more before the pause."""
        limits = parse_rates(settings.ACCOUNT_RATE_LIMITS["login_failed"])
        used = [len(cache.get(usage.cache_key, [])) for usage in self._login_failed_rl_usage.usage]
        left: int = max(0, min(limit.amount - count for limit, count in zip(limits, used, strict=True)))
        return left

    def take_back(self) -> None:
        """The last try was none of a guesser."""
        self._rollback_login_failed_rl_usage()

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # In capitals, as the database compares names: there "alıce" is "alice", and would be another five tries.
        return f"{credentials.get('username', '').upper()} from {client_address(request)}"
