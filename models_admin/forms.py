"""What administrators send."""

from django import forms


class HostForm(forms.Form):
    url = forms.CharField(max_length=300)
