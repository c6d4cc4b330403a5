"""What people send. Forms are the only way in for text."""

from django import forms
from django.utils.translation import gettext_lazy as _

from webui.accounts.forms import Line
from webui.text import clean_text

TEXT_LENGTH = 2_000_000
TITLE_LENGTH = 200


class Text(forms.CharField):
    """Text as somebody typed it: blanks kept, what cannot be stored replaced."""

    def __init__(self, **options: object) -> None:
        super().__init__(**{"strip": False, "widget": forms.Textarea, "max_length": TEXT_LENGTH, **options})  # type: ignore[arg-type]

    def to_python(self, value: object) -> str:
        cleaned = clean_text(str(value or "")).replace("\r\n", "\n")
        return super().to_python(cleaned) or ""


class QuestionForm(forms.Form):
    text = Text(error_messages={"required": _("Write a message first.")})
    model = forms.CharField(max_length=400, error_messages={"required": _("Choose a model first.")})
    think = forms.CharField(required=False)
    client_key = forms.UUIDField()

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if not text.strip():
            raise forms.ValidationError(_("Write a message first."))
        return text


class EditForm(forms.Form):
    text = Text(error_messages={"required": _("Write a message first.")})
    client_key = forms.UUIDField()


class TitleForm(forms.Form):
    title = Line(max_length=TITLE_LENGTH)


class DraftForm(forms.Form):
    text = Text(required=False)
