"""What only administrators get to see."""

import logging

from django.http import Http404

from webui.accounts import audit
from webui.accounts.addresses import client_address
from webui.http import Request

log = logging.getLogger(__name__)


def administrators_only(request: Request) -> None:
    """Others do not learn that there is anything. Raises Http404."""
    if not request.user.is_admin:
        audit.record_refusal(request.user, request.path, client_address(request))
        log.warning("user %s is no administrator and asked for %s", request.user.pk, request.path)
        raise Http404
