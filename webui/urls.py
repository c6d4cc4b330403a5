"""Every page of the portal. What each one is for stands above it."""

from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.i18n import set_language

from webui import health

urlpatterns = [
    path("", include("chat.urls")),  # talking with models
    path("", include("webui.accounts.urls")),  # signing in, settings, people
    path("", include("webui.gateway.urls")),  # access tokens of scripts
    path("", include("models_admin.urls")),  # hosts and models
    path("language/", login_not_required(set_language), name="set_language"),  # of the door pages
    path("healthz", health.healthz, name="healthz"),  # the process answers
    path("readyz", health.readyz, name="readyz"),  # it can do its work
    path("metrics", health.metrics, name="metrics"),  # what it does, for Prometheus
]

handler500 = "webui.http.something_broke"
