"""What administrators send to start a job."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from models_admin.jobs.services import NotAName, model_name
from webui.inference.models import Host


class ModelNameField(forms.CharField):
    """The name of a model, as a host or another registry has it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=400, **options)

    def clean(self, value: Any) -> str:
        typed = super().clean(value)
        try:
            return model_name(typed)
        except NotAName as error:
            raise forms.ValidationError(_("That cannot be the name of a model.")) from error


class PullForm(forms.Form):
    model = ModelNameField(error_messages={"required": _("Name the model to pull.")})
    host = forms.ModelChoiceField(Host.objects.none(), empty_label=None)
    insecure = forms.BooleanField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["host"].queryset = Host.objects.filter(enabled=True).order_by("name")  # type: ignore[attr-defined]
