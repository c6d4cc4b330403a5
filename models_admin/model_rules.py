"""Who may use a model, whose default it is, and how it is asked: one form, for the model on all hosts."""

import re
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from webui.accounts import audit
from webui.accounts.access import administrators_only
from webui.accounts.models import Group
from webui.http import Request
from webui.inference.models import DefaultModel, InstalledModel, ModelAccess, ModelPolicy
from webui.inference.policy import OPERATORS_ONLY
from webui.ollama.names import normal
from webui.ollama.options import TYPES, typed

DURATION = re.compile(r"-?\d{1,9}|(\d{1,6}(\.\d{1,3})?(ms|s|m|h))+")
SMALLEST_CONTEXT, LARGEST_CONTEXT = 256, 16_777_216
MOST_LAYERS = 10_000


class OptionsField(forms.CharField):
    """Options of a model: a line each, as after PARAMETER in a Modelfile; ``stop`` may come several times."""

    def __init__(self) -> None:
        super().__init__(max_length=4000, required=False)

    def clean(self, value: Any) -> dict[str, object]:
        found: dict[str, Any] = {}
        for line in filter(None, map(str.strip, super().clean(value).splitlines())):
            name, _blank, text = line.partition(" ")
            if name in OPERATORS_ONLY:
                raise forms.ValidationError(_("%(name)s cannot be set here.") % {"name": name})
            try:
                option = typed(name, text.strip())
            except ValueError as error:
                raise forms.ValidationError(_("“%(line)s”: %(why)s") % {"line": line, "why": error}) from error
            found[name] = [*found.get(name, []), option] if TYPES[name] is list else option
        return found


class RulesForm(forms.Form):
    audience = forms.ChoiceField(choices=ModelAccess.Audience.choices)
    groups = forms.ModelMultipleChoiceField(Group.objects.all(), required=False)
    default_of_all = forms.BooleanField(required=False)
    default_of = forms.ModelMultipleChoiceField(Group.objects.all(), required=False)
    num_ctx = forms.IntegerField(min_value=SMALLEST_CONTEXT, max_value=LARGEST_CONTEXT, required=False)
    num_gpu = forms.IntegerField(min_value=-1, max_value=MOST_LAYERS, required=False)
    main_gpu = forms.IntegerField(min_value=0, max_value=MOST_LAYERS, required=False)
    keep_alive = forms.CharField(max_length=20, required=False)
    options = OptionsField()

    def clean_keep_alive(self) -> str:
        text: str = self.cleaned_data["keep_alive"].replace(" ", "")
        if text and not DURATION.fullmatch(text):
            raise forms.ValidationError(_("Write it like 30m, 2h or -1 (for ever)."))
        return text


@require_POST
def rules(request: Request, pk: int) -> HttpResponse:
    """Keep what the form says, or say what is wrong with it."""
    administrators_only(request)
    model = get_object_or_404(InstalledModel, pk=pk)
    form = RulesForm(request.POST)
    saved = form.is_valid()
    if saved:
        with audit.recorded(request, "model_rules", normal(model.name)) as entry:
            entry.before = _recorded(model.name)
            keep(model.name, form.cleaned_data)
            entry.after = _recorded(model.name)
    return render(request, "models_admin/_rules.html", {"model": model, "rules": form, "saved": saved, **choices()})


@transaction.atomic
def keep(model: str, said: dict[str, Any]) -> None:
    """The model may be the default of several; each has one, so others lose theirs."""
    key = normal(model)
    access, _made = ModelAccess.objects.update_or_create(key=key, defaults={"audience": said["audience"]})
    access.groups.set(said["groups"] if said["audience"] == ModelAccess.Audience.GROUPS else [])
    wanted = [*([None] if said["default_of_all"] else []), *said["default_of"]]
    DefaultModel.objects.filter(key=key).delete()
    for group in wanted:
        DefaultModel.objects.update_or_create(group=group, defaults={"key": key})
    fields = {name: said[name] for name in ("num_ctx", "num_gpu", "main_gpu", "keep_alive", "options")}
    ModelPolicy.objects.update_or_create(key=key, defaults=fields)


def form_of(model: str) -> RulesForm:
    """The form as it stands now."""
    key = normal(model)
    access = ModelAccess.objects.filter(key=key).first()
    defaults = set(DefaultModel.objects.filter(key=key).values_list("group", flat=True))
    policy = ModelPolicy.objects.filter(key=key).first() or ModelPolicy()
    return RulesForm(
        initial={
            "audience": access.audience if access else ModelAccess.Audience.EVERYONE,
            "groups": list(access.groups.values_list("pk", flat=True)) if access else [],
            "default_of_all": None in defaults,
            "default_of": list(defaults - {None}),
            "num_ctx": policy.num_ctx,
            "num_gpu": policy.num_gpu,
            "main_gpu": policy.main_gpu,
            "keep_alive": policy.keep_alive,
            "options": _lines(policy.options),
        }
    )


def _recorded(model: str) -> dict[str, object]:
    said = dict(form_of(model).initial)
    groups = dict(Group.objects.values_list("pk", "name"))
    return said | {name: [groups[pk] for pk in said[name]] for name in ("groups", "default_of")}


def choices() -> dict[str, object]:
    """What the form is filled in with."""
    return {"groups": Group.objects.all()}


def _lines(options: dict[str, Any]) -> str:
    lines = []
    for name, value in options.items():
        lines += [f"{name} {each}" for each in (value if isinstance(value, list) else [value])]
    return "\n".join(lines)
