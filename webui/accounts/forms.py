"""What people send about themselves and about others."""

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from webui.accounts import setup
from webui.accounts.models import LIMITS, User
from webui.text import one_line

PASSWORD_LENGTH = 1000


class Line(forms.CharField):
    """A name, or something else of one line."""

    def to_python(self, value: object) -> str:
        return super().to_python(one_line(str(value or ""))) or ""


class LimitsForm(forms.Form):
    """How much somebody may ask of models, or everybody of a group, or a token. What is empty is no limit."""

    tokens_per_day = forms.IntegerField(min_value=1, max_value=10**15, required=False)
    at_once = forms.IntegerField(min_value=1, max_value=1000, required=False)
    per_minute = forms.IntegerField(min_value=1, max_value=1000, required=False)

    @property
    def limits(self) -> dict[str, int | None]:
        return {name: self.cleaned_data[name] for name in LIMITS}


class SignInForm(forms.Form):
    username = Line(max_length=150)
    password = forms.CharField(max_length=PASSWORD_LENGTH, strip=False)


class AccountForm(forms.Form):
    """A new account."""

    name = Line(max_length=80, required=False)
    username = Line(max_length=150, error_messages={"required": _("Choose a sign-in name.")})
    password = forms.CharField(max_length=PASSWORD_LENGTH, strip=False)

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        User._meta.get_field("username").run_validators(username)
        if User.objects.filter(username__iexact=username).exists():
            raise ValidationError(_("Somebody has that sign-in name already."))
        return username

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        validate_password(password)
        return password


class SetupForm(AccountForm):
    """The first account, which administers the portal."""

    code = Line(max_length=40)

    def clean_code(self) -> str:
        typed: str = self.cleaned_data["code"]
        if not setup.is_code(typed):
            raise ValidationError(_("That is not the code in the server log."))
        return typed


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    display_name = Line(max_length=80, required=False)

    class Meta:
        model = User
        fields = ["display_name", "language", "theme", "send_key"]


class PasswordForm(forms.Form):
    """A new password for oneself."""

    current = forms.CharField(max_length=PASSWORD_LENGTH, strip=False)
    new = forms.CharField(max_length=PASSWORD_LENGTH, strip=False)

    def __init__(self, user: User, data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]  # a QueryDict or nothing
        self._user = user

    def clean_current(self) -> str:
        current: str = self.cleaned_data["current"]
        if not self._user.check_password(current):
            raise ValidationError(_("That is not your password."))
        return current

    def clean_new(self) -> str:
        new: str = self.cleaned_data["new"]
        validate_password(new, self._user)
        return new
