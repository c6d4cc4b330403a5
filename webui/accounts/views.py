"""Getting in, getting out, one's own settings, and everybody's accounts."""

import logging
import secrets

from allauth.account.adapter import get_adapter
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from webui.accounts import audit, services, setup
from webui.accounts.access import administrators_only
from webui.accounts.addresses import client_address
from webui.accounts.forms import AccountForm, LimitsForm, PasswordForm, ProfileForm, SetupForm, SignInForm
from webui.accounts.models import LIMITS, User
from webui.http import Request

log = logging.getLogger(__name__)

RECORDED = ("is_active", "is_admin")
BACKEND = "django.contrib.auth.backends.ModelBackend"


@login_not_required
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """By name and password. Wrong ones are counted, and the page says how many tries are left."""
    destination = _local(request, request.POST.get("next") or request.GET.get("next", ""))
    if request.user.is_authenticated:
        return HttpResponseRedirect(destination)
    context: dict[str, object] = {"next": destination, "username": request.POST.get("username", "")[:150]}
    if request.method == "POST":
        form = SignInForm(request.POST)
        user = _authenticated(request, form, context) if form.is_valid() else None
        if user:
            login(request, user, backend=BACKEND)
            audit.record(request, "signed_in")
            log.info("user %s signed in", user.pk)
            return HttpResponseRedirect(destination)
        context["failed"] = True
        context.setdefault("tries_left", None)
    context["administrators"] = [admin.name for admin in User.objects.filter(is_admin=True, is_active=True)[:3]]
    return render(request, "accounts/sign_in.html", context, status=429 if context.get("paused") else 200)


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponseBase:
    if request.user.is_authenticated:
        audit.record(request, "signed_out")
    logout(request)
    return redirect("accounts:sign_in")


@login_not_required
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: HttpRequest) -> HttpResponseBase:
    """The first administrator, by the code on the console. Closed for ever afterwards."""
    if not setup.is_needed():
        raise Http404
    form = SetupForm(request.POST if request.method == "POST" else None)
    if form.is_bound and _may_try_code(request, form) and form.is_valid():
        try:
            user = setup.create_administrator(
                username=form.cleaned_data["username"],
                password=form.cleaned_data["password"],
                display_name=form.cleaned_data["name"],
                language=get_language() or "",
            )
        except setup.AlreadySetUp:
            return redirect("accounts:sign_in")
        login(request, user, backend=BACKEND)
        audit.record(request, "portal_set_up", user.username)
        return redirect("models_admin:setup_host")
    return render(request, "accounts/setup.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: Request) -> HttpResponseBase:
    form = ProfileForm(request.POST if request.method == "POST" else None, instance=request.user)
    if form.is_bound and form.is_valid():
        form.save()
        return redirect("accounts:settings")
    return render(
        request,
        "accounts/settings.html",
        {"form": form, "password_form": PasswordForm(request.user), "place": "profile"},
    )


@sensitive_post_parameters()
@require_POST
def change_password(request: Request) -> HttpResponseBase:
    """Keeps this session and ends the others."""
    form = PasswordForm(request.user, request.POST)
    if not form.is_valid():
        context = {"form": ProfileForm(instance=request.user), "password_form": form, "place": "profile"}
        return render(request, "accounts/settings.html", context)
    with audit.recorded(request, "own_password_changed"):
        services.change_password(
            user=request.user, password=form.cleaned_data["new"], session_key=request.session.session_key
        )
    update_session_auth_hash(request, request.user)
    return redirect("accounts:settings")


@require_http_methods(["GET", "HEAD", "POST"])
def people(request: Request) -> HttpResponseBase:
    """Everybody's accounts, and the form for another one, whose password is shown once."""
    administrators_only(request)
    context: dict[str, object] = {"suggested": secrets.token_urlsafe(12)}
    form = AccountForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        made = form.cleaned_data
        try:
            with audit.recorded(request, "person_added", made["username"]):
                context["created"] = services.create(
                    username=made["username"], password=made["password"], display_name=made["name"], by=request.user
                )
            context["password"] = made["password"]
            form = AccountForm()
        except services.NameTaken:
            form.add_error("username", _("Somebody has that sign-in name already."))
    context |= {"form": form, "people": User.objects.order_by("-is_active", "username")}
    return render(request, "accounts/people.html", context)


@require_POST
def person(request: Request, pk: int) -> HttpResponseBase:
    """Deactivate, reactivate, make an administrator or not, give a new password."""
    administrators_only(request)
    user = get_object_or_404(User, pk=pk)
    context: dict[str, object] = {}
    try:
        with audit.recorded(request, "person_changed", user.username) as entry:
            entry.before = audit.fields_of(user, *RECORDED)
            match request.POST.get("do"):
                case "deactivate":
                    services.deactivate(user=user, by=request.user)
                case "reactivate":
                    services.reactivate(user=user, by=request.user)
                case "promote" | "demote" as change:
                    services.set_administrator(user=user, is_admin=change == "promote", by=request.user)
                case "password":
                    entry.action = "password_reset"
                    context = {"created": user, "password": services.reset_password(user=user, by=request.user)}
                case _:
                    raise Http404
            user.refresh_from_db()
            entry.after = audit.fields_of(user, *RECORDED)
    except services.LastAdministrator:
        context = {"refused": _("Somebody must remain who administers the portal.")}
    if not context:
        return redirect("accounts:people")
    everybody = User.objects.order_by("-is_active", "username")
    context |= {"form": AccountForm(), "people": everybody, "suggested": secrets.token_urlsafe(12)}
    return render(request, "accounts/people.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def person_limits(request: Request, pk: int) -> HttpResponseBase:
    """How much somebody may ask, whatever their groups say; in a dialog."""
    administrators_only(request)
    user = get_object_or_404(User, pk=pk)
    before = audit.fields_of(user, *LIMITS)
    form = LimitsForm(request.POST if request.method == "POST" else None, initial=before)
    if form.is_bound and form.is_valid():
        with audit.recorded(request, "limits_changed", user.username) as entry:
            entry.before, entry.after = before, dict(form.limits)
            User.objects.filter(pk=user.pk).update(**form.limits)
        people = reverse("accounts:people")
        return HttpResponseClientRedirect(people) if request.htmx else redirect(people)
    return render(request, "accounts/_person_limits.html", {"form": form, "person": user})


def _authenticated(request: HttpRequest, form: SignInForm, context: dict[str, object]) -> User | None:
    adapter = get_adapter(request)
    try:
        user: User | None = adapter.authenticate(request, **form.cleaned_data)
    except ValidationError:
        log.warning("sign-in paused for %s", client_address(request))
        audit.record(request, "sign_in_paused")
        context["paused"] = True
        return None
    if user is None:
        log.warning("sign-in failed from %s", client_address(request))
        # Only the name of an account: what else was typed may be a password in the wrong field.
        known = User.objects.filter(username__iexact=form.cleaned_data["username"]).first()
        audit.record(request, "sign_in_failed", known.username if known else "")
        context["tries_left"] = adapter.tries_left()
    return user


def _may_try_code(request: HttpRequest, form: SetupForm) -> bool:
    """The code is guessed at no faster than a password, and a pause does not tell whether it was right."""
    adapter = get_adapter(request)
    try:
        adapter.pre_authenticate(request, username="set-up code")
    except ValidationError:
        form.errors["code"] = form.error_class([_("Too many tries. Wait 15 minutes.")])
        return False
    if "code" not in form.errors:
        adapter.take_back()
    return True


def _local(request: HttpRequest, address: str) -> str:
    """Where to go after signing in: a page of ours, or the first page."""
    safe = url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if address.startswith("/") and safe else reverse("chat:new")
