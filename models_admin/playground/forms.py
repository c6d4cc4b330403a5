"""What is asked of a model without a conversation around it."""

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from models_admin.model_rules import OptionsField
from webui.inference.door import Completion, Vectors
from webui.inference.models import Usage

LONGEST = 1_000_000
MOST_NUMBERS = 300_000
MOST_TEXTS = 50


class JSONText(forms.CharField):
    """JSON of one kind, typed as text."""

    def __init__(self, kind: type, refusal: Any, **options: Any) -> None:
        super().__init__(max_length=LONGEST * 3, required=False, **options)
        self._kind, self._refusal = kind, refusal

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            found = json.loads(text) if text else None
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(self._refusal) from error
        if found is not None and not isinstance(found, self._kind):
            raise forms.ValidationError(self._refusal)
        return found


class CompletionForm(forms.Form):
    """``schema`` counts where ``answer_format`` is "schema"."""

    model = forms.CharField(max_length=400)
    prompt = forms.CharField(max_length=LONGEST, strip=False, required=False)
    suffix = forms.CharField(max_length=LONGEST, strip=False, required=False)
    system = forms.CharField(max_length=LONGEST, strip=False, required=False)
    template = forms.CharField(max_length=LONGEST, strip=False, required=False)
    raw = forms.BooleanField(required=False)
    answer_format = forms.ChoiceField(choices=[("", ""), ("json", "JSON"), ("schema", "schema")], required=False)
    schema = JSONText(dict, _("A schema is a JSON object."))
    options = OptionsField()
    goes_on = forms.BooleanField(required=False)
    context = JSONText(list, _("A context is a list of numbers."))

    def clean_context(self) -> list[int] | None:
        numbers: list[Any] | None = self.cleaned_data["context"]
        if numbers and (len(numbers) > MOST_NUMBERS or not all(type(number) is int for number in numbers)):
            raise forms.ValidationError(_("A context is a list of numbers."))
        return numbers

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if said.get("answer_format") == "schema" and not said.get("schema") and "schema" not in self.errors:
            self.add_error("schema", _("A schema is a JSON object."))
        return said

    def order(self, person: int) -> Completion:
        said = self.cleaned_data
        fields = {
            "suffix": said["suffix"] or None,
            "system": said["system"] or None,
            "template": said["template"] or None,
            "raw": said["raw"] or None,
            "format": said["schema"] if said["answer_format"] == "schema" else said["answer_format"] or None,
            "context": said["context"] if said["goes_on"] else None,
        }
        return Completion(
            person=person,
            model=said["model"],
            prompt=said["prompt"],
            fields=fields,
            options=said["options"],
            door=Usage.Door.BROWSER,
        )


class VectorsForm(forms.Form):
    model = forms.CharField(max_length=400)
    texts = forms.CharField(
        max_length=LONGEST, strip=False, error_messages={"required": _("Write a text on each line.")}
    )
    dimensions = forms.IntegerField(min_value=1, max_value=100_000, required=False)
    singly = forms.BooleanField(required=False)

    def clean_texts(self) -> list[str]:
        texts = [line for line in self.cleaned_data["texts"].splitlines() if line.strip()]
        if not texts:
            raise forms.ValidationError(_("Write a text on each line."))
        if len(texts) > MOST_TEXTS:
            raise forms.ValidationError(_("At most %(n)s texts at once.") % {"n": MOST_TEXTS})
        return texts

    def order(self, person: int) -> Vectors:
        said = self.cleaned_data
        return Vectors(
            person=person,
            model=said["model"],
            texts=said["texts"],
            dimensions=said["dimensions"],
            singly=said["singly"],
        )
