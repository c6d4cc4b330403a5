"""The page of the audit log."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from webui.accounts.access import administrators_only
from webui.accounts.models import AuditEntry
from webui.http import Request, render_page
from webui.sheet import sheet

SHOWN = 50
LONGEST_NUMBER = 18  # digits
DAYS = {"1": gettext_lazy("Last day"), "7": gettext_lazy("Last 7 days"), "30": gettext_lazy("Last 30 days")}
ACTIONS = {
    "signed_in": gettext_lazy("signed in"),
    "signed_out": gettext_lazy("signed out"),
    "sign_in_failed": gettext_lazy("sign-in failed"),
    "sign_in_paused": gettext_lazy("sign-in paused"),
    "refused": gettext_lazy("refused"),
    "portal_set_up": gettext_lazy("portal set up"),
    "own_password_changed": gettext_lazy("own password changed"),
    "token_made": gettext_lazy("access token made"),
    "token_revoked": gettext_lazy("access token revoked"),
    "person_added": gettext_lazy("person added"),
    "person_changed": gettext_lazy("person changed"),
    "limits_changed": gettext_lazy("limits changed"),
    "password_reset": gettext_lazy("password reset"),
    "group_added": gettext_lazy("group added"),
    "group_changed": gettext_lazy("group changed"),
    "group_deleted": gettext_lazy("group deleted"),
    "host_added": gettext_lazy("host added"),
    "host_changed": gettext_lazy("host changed"),
    "host_set_aside": gettext_lazy("host set aside"),
    "host_taken_back": gettext_lazy("host taken back"),
    "host_switched_on": gettext_lazy("host switched on"),
    "host_switched_off": gettext_lazy("host switched off"),
    "host_removed": gettext_lazy("host removed"),
    "model_pull": gettext_lazy("pull started"),
    "model_push": gettext_lazy("push started"),
    "model_copy": gettext_lazy("copy started"),
    "model_create": gettext_lazy("model made"),
    "model_delete": gettext_lazy("model deleted"),
    "model_load": gettext_lazy("model loaded"),
    "model_unload": gettext_lazy("memory freed"),
    "file_uploaded": gettext_lazy("file uploaded"),
    "model_rules": gettext_lazy("rules of a model"),
    "job_cancelled": gettext_lazy("job cancelled"),
    "job_retried": gettext_lazy("job retried"),
    "job_dismissed": gettext_lazy("job dismissed"),
    "turn_removed": gettext_lazy("taken out of line"),
    "turn_to_front": gettext_lazy("moved to the front"),
}
SERIOUS = {"sign_in_failed", "sign_in_paused", "refused", "host_removed", "model_delete", "group_deleted"}


@dataclass(frozen=True, slots=True)
class Wish:
    """Which entries are wanted; ``before`` is the number of an entry, for the older ones."""

    words: str
    action: str
    days: str
    before: int | None


@require_safe
def audit(request: Request) -> HttpResponse:
    """Who changed what, the newest first."""
    administrators_only(request)
    wish = _wish_of(request.GET.dict())
    found = _found(wish)
    older = found.filter(pk__lt=wish.before) if wish.before else found
    page = list(older[: SHOWN + 1])
    context: dict[str, object] = {
        "entries": [_shown(entry) for entry in page[:SHOWN]],
        "older": page[SHOWN - 1].pk if len(page) > SHOWN else None,
        "count": found.count(),
        "wish": wish,
        "actions": ACTIONS.items(),
        "days": DAYS.items(),
        "place": "audit",
    }
    part = "models_admin/audit/_entries.html"
    return render_page(request, "models_admin/audit/audit.html", context, part="audit", part_template=part)


@require_safe
def export(request: Request) -> StreamingHttpResponse:
    """What the page would show in all, as CSV. Cells that a spreadsheet would take for formulas are quoted."""
    administrators_only(request)
    entries = _found(_wish_of(request.GET.dict())).iterator(chunk_size=500)
    head = [_("Time"), _("Who"), _("Action"), _("What"), _("Before"), _("After"), _("Address")]
    return sheet("audit.csv", head, map(_row, entries))


def _shown(entry: AuditEntry) -> tuple[AuditEntry, str, bool]:
    """An entry, what it is called, and whether somebody should look twice."""
    return entry, str(ACTIONS.get(entry.action, entry.action)), entry.action in SERIOUS


def _found(wish: Wish) -> QuerySet[AuditEntry]:
    entries = AuditEntry.objects.select_related("who").order_by("-pk")
    if wish.days:
        entries = entries.filter(at__gt=timezone.now() - timedelta(days=int(wish.days)))
    if wish.action:
        entries = entries.filter(action=wish.action)
    for word in wish.words.split():
        by = Q(who__username__icontains=word) | Q(who__display_name__icontains=word)
        entries = entries.filter(by | Q(what__icontains=word) | Q(action__icontains=word) | Q(address__startswith=word))
    return entries


def _wish_of(sent: dict[str, str]) -> Wish:
    """From a query: what makes no sense is as if it were not there."""
    before = sent.get("before", "")
    return Wish(
        words=sent.get("q", "").replace("\0", "")[:100],
        action=sent.get("action", "") if sent.get("action") in ACTIONS else "",
        days=sent.get("days", "") if sent.get("days") in DAYS else "",
        before=int(before) if before.isascii() and before.isdecimal() and len(before) <= LONGEST_NUMBER else None,
    )


def _row(entry: AuditEntry) -> list[object]:
    who = entry.who.username if entry.who else ""
    return [entry.at.isoformat(), who, entry.action, entry.what, entry.before or "", entry.after or "", entry.address]
