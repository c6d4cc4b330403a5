"""The pages of groups, for administrators."""

from django import forms
from django.db import IntegrityError
from django.db.models import Count
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from webui.accounts import audit
from webui.accounts.access import administrators_only
from webui.accounts.forms import LimitsForm
from webui.accounts.models import LIMITS, Group, Membership, User
from webui.http import Request
from webui.text import one_line


class GroupForm(LimitsForm):
    """A group as it is written down; ``members`` are all it has from now on."""

    name = forms.CharField(max_length=80)
    about = forms.CharField(max_length=200, required=False)
    playground = forms.BooleanField(required=False)
    members = forms.ModelMultipleChoiceField(User.objects.all(), required=False)

    def clean_name(self) -> str:
        name = one_line(self.cleaned_data["name"])
        if not name:
            raise forms.ValidationError(_("A group needs a name."))
        return name

    def clean_about(self) -> str:
        return one_line(self.cleaned_data["about"])


@require_http_methods(["GET", "HEAD", "POST"])
def groups(request: Request) -> HttpResponseBase:
    """All groups, and the form for another one."""
    administrators_only(request)
    form = GroupForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        group = _saved(request, Group(), form)
        if group:
            return redirect("accounts:group", group.pk)
    found = Group.objects.annotate(people=Count("memberships")).order_by("name")
    return render(request, "accounts/groups.html", {"groups": found, "form": form, "place": "groups"})


@require_http_methods(["GET", "HEAD", "POST"])
def group(request: Request, pk: int) -> HttpResponseBase:
    """One group: its name, and who is in it."""
    administrators_only(request)
    found = get_object_or_404(Group, pk=pk)
    members = set(found.memberships.values_list("user", flat=True))
    form = GroupForm(request.POST if request.method == "POST" else None, initial=audit.fields_of(found, *LIMITS))
    if form.is_bound and form.is_valid() and _saved(request, found, form):
        return redirect("accounts:groups")
    context = {
        "group": found,
        "form": form,
        "people": User.objects.order_by("-is_active", "username"),
        "members": members,
        "place": "groups",
    }
    return render(request, "accounts/group.html", context)


@require_POST
def delete_group(request: Request, pk: int) -> HttpResponseBase:
    """What was for this group alone is for administrators alone then."""
    administrators_only(request)
    found = get_object_or_404(Group, pk=pk)
    with audit.recorded(request, "group_deleted", found.name) as entry:
        entry.before = _recorded(found)
        found.delete()
    return redirect("accounts:groups")


def _saved(request: Request, group: Group, form: GroupForm) -> Group | None:
    """The group as the form says; None, and a word in the form, when another has the name."""
    said = form.cleaned_data
    action = "group_changed" if group.pk else "group_added"
    before = _recorded(group) if group.pk else {}
    group.name, group.about, group.playground = said["name"], said["about"], said["playground"]
    for name, limit in form.limits.items():
        setattr(group, name, limit)
    try:
        with audit.recorded(request, action, group.name) as entry:
            group.save()
            _set_members(group, {user.pk for user in said["members"]})
            entry.before, entry.after = before, _recorded(group)
    except IntegrityError:
        form.add_error("name", _("There is a group of that name already."))
        return None
    return group


def _recorded(group: Group) -> dict[str, object]:
    members = list(group.members.order_by("username").values_list("username", flat=True))
    return {**audit.fields_of(group, "name", "about", "playground", *LIMITS), "members": members}


def _set_members(group: Group, wanted: set[int]) -> None:
    group.memberships.exclude(user__in=wanted).delete()
    Membership.objects.bulk_create([Membership(group=group, user_id=user) for user in wanted], ignore_conflicts=True)
