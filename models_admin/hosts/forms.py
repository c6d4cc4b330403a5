"""What administrators say of a host."""

import ssl
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from webui.inference.addresses import AddressRefused, base_url
from webui.inference.models import Host
from webui.text import one_line

GB = 1_000_000_000
MOST_SLOTS = 64
MOST_MEMORY_GB = 100_000
TOKEN_LENGTH = 300
AUTHORITY_LENGTH = 64 * 1024


class HostForm(forms.Form):
    """A host as it is written down. An empty ``bearer`` keeps the token there is; it is never shown again.

    A token is for the address it was given for: another address begins without one.
    """

    name = forms.CharField(max_length=80, required=False)
    url = forms.CharField(max_length=300, error_messages={"required": _("A host needs an address.")})
    slots = forms.IntegerField(min_value=1, max_value=MOST_SLOTS, initial=1)
    memory_gb = forms.DecimalField(min_value=0, max_value=MOST_MEMORY_GB, required=False)
    bearer = forms.CharField(max_length=TOKEN_LENGTH, required=False)
    forget_bearer = forms.BooleanField(required=False)
    any_certificate = forms.BooleanField(required=False)
    authority = forms.CharField(max_length=AUTHORITY_LENGTH, required=False)

    def __init__(self, *args: Any, host: Host | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.host = host
        self._pk = host.pk if host else 0

    def clean_name(self) -> str:
        name = one_line(self.cleaned_data["name"])
        if name and Host.objects.filter(name=name).exclude(pk=self._pk).exists():
            raise forms.ValidationError(_("Another host has that name."))
        return name

    def clean_url(self) -> str:
        try:
            url = base_url(self.cleaned_data["url"])
        except AddressRefused as error:
            words = {"port": _("That port is of another service")}
            raise forms.ValidationError(words.get(error.reason, _("This is not an address"))) from error
        if Host.objects.filter(base_url=url).exclude(pk=self._pk).exists():
            raise forms.ValidationError(_("Another host has that address."))
        return url

    def clean_bearer(self) -> str:
        token: str = self.cleaned_data["bearer"]
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise forms.ValidationError(_("A token has no blanks and no special characters."))
        return token

    def clean_authority(self) -> str:
        text: str = self.cleaned_data["authority"]
        try:
            if text:
                ssl.create_default_context(cadata=text)
        except (ssl.SSLError, ValueError, TypeError) as error:  # the last for what is not ASCII
            raise forms.ValidationError(
                _("This is no certificate. It begins with -----BEGIN CERTIFICATE-----.")
            ) from error
        return text

    def way(self) -> dict[str, Any]:
        """How the host is reached, as far as the form makes sense; for the live check."""
        said = self.cleaned_data
        return {
            "bearer": self._bearer(said),
            "verify_tls": not said.get("any_certificate"),
            "authority": said.get("authority", ""),
        }

    def fields_of_host(self) -> dict[str, Any]:
        said = self.cleaned_data
        memory = said["memory_gb"]
        return {
            **self.way(),
            "base_url": said["url"],
            "slots": said["slots"],
            "total_memory": int(memory * GB) if memory else None,
        }

    def _bearer(self, said: dict[str, Any]) -> str:
        if said.get("bearer") or said.get("forget_bearer"):
            return str(said.get("bearer", ""))
        return self.host.bearer if self.host and self.host.base_url == said.get("url") else ""


def form_of(host: Host) -> HostForm:
    """The form as it stands now, without the token."""
    return HostForm(
        host=host,
        initial={
            "name": host.name,
            "url": host.base_url,
            "slots": host.slots,
            "memory_gb": (Decimal(host.total_memory) / GB).normalize() if host.total_memory else None,
            "any_certificate": not host.verify_tls,
            "authority": host.authority,
        },
    )
