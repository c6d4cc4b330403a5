"""The page of one's own access tokens."""

import json
import shlex
from datetime import timedelta
from string import Template
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from webui.accounts import audit, tokens
from webui.accounts.forms import LimitsForm, Line
from webui.accounts.models import AccessToken, User
from webui.gateway.app import PREFIX
from webui.http import Request
from webui.inference.access import default_for
from webui.inference.catalogue import models_for
from webui.ollama.names import normal

ENDS = {"7": _("in 7 days"), "30": _("in 30 days"), "90": _("in 90 days"), "365": _("in a year"), "": _("never")}
USUAL_END = "90"
SOON = timedelta(days=7)
MOST = 100  # of one person, ended ones included that were not revoked
CURL = """\
curl $address/api/chat \\
  -H "Authorization: Bearer $secret" \\
  -d $body"""
OLLAMA = f"""\
from ollama import Client

portal = Client(
    host="$address{PREFIX}",
    headers={{"Authorization": "Bearer $secret"}},
)
answer = portal.chat(
    model=$model,
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.message.content)"""
OPENAI = """\
from openai import OpenAI

portal = OpenAI(
    base_url="$address/v1",
    api_key="$secret",
)
answer = portal.chat.completions.create(
    model=$model,
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)"""
HIDDEN = f"{tokens.BEGINNING}..."


class TokenForm(LimitsForm):
    """A token as somebody wishes it. ``models`` are all it may use; without any, everything its owner may."""

    name = Line(max_length=80)
    days = forms.ChoiceField(choices=list(ENDS.items()), required=False)
    models = forms.MultipleChoiceField(required=False)
    manages = forms.BooleanField(required=False)

    def __init__(self, user: User, data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]  # a QueryDict or nothing
        self._user = user
        found = models_for(user)
        self.offered = sorted({normal(name) for name, _can in found})
        self.talking = [name for name, can in found if "completion" in can or not can]
        self.fields["models"].choices = [(name, name) for name in self.offered]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        if _unrevoked(self._user).count() >= MOST:
            raise ValidationError(_("You have %(n)d tokens: revoke one that is not needed any more.") % {"n": MOST})
        return self.cleaned_data


@require_http_methods(["GET", "HEAD", "POST"])
def own_tokens(request: Request) -> HttpResponseBase:
    """One's own tokens, and the form for another one, which is shown once."""
    context: dict[str, object] = {}
    form = TokenForm(request.user, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        context["made"], context["secret"] = _made(request, form)
        form = TokenForm(request.user)
    now = timezone.now()
    secret = str(context.get("secret", HIDDEN))
    context |= {
        "form": form,
        "ends": ENDS.items(),
        "usual_end": USUAL_END,
        "tokens": _unrevoked(request.user),
        "now": now,
        "soon": now + SOON,
        "snippets": snippets(secret, default_for(request.user) or next(iter(form.talking), "qwen3:8b")),
        "place": "tokens",
    }
    return render(request, "gateway/tokens.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: Request, pk: int) -> HttpResponseBase:
    """Ask first, then end one of one's own for good."""
    token = get_object_or_404(_unrevoked(request.user), pk=pk)
    if request.method != "POST":
        return render(request, "gateway/_revoke.html", {"token": token})
    with audit.recorded(request, "token_revoked", token) as entry:
        if not tokens.revoke(token):
            entry.nothing_done()
    return redirect("gateway:tokens")


def snippets(secret: str, model: str) -> list[tuple[str, str]]:
    """How the API is asked with a token: by what, and the lines to copy. A model may have any name."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": False})
    words = {
        "address": settings.PUBLIC_URL,
        "secret": secret,
        "body": shlex.quote(body),
        "model": json.dumps(model, ensure_ascii=False),
    }
    lines = {"curl": CURL, "Python, ollama": OLLAMA, "Python, openai": OPENAI}
    return [(name, Template(text).substitute(words)) for name, text in lines.items()]


def _made(request: Request, form: TokenForm) -> tuple[AccessToken, str]:
    wished = form.cleaned_data
    with audit.recorded(request, "token_made") as entry:
        token, secret = tokens.make(
            user=request.user,
            name=wished["name"],
            scope=tokens.Scope.ADMIN if wished["manages"] else tokens.Scope.USE,
            allowed=wished["models"],
            expires_at=timezone.now() + timedelta(days=int(wished["days"])) if wished["days"] else None,
            limits=form.limits,
        )
        entry.what = str(token)
        entry.after = tokens.recorded(token)
    return token, secret


def _unrevoked(user: User) -> QuerySet[AccessToken]:
    """The newest first; those whose time is over, too, so that their owner sees why a script is refused."""
    return user.tokens.filter(revoked_at=None).order_by("-pk")
