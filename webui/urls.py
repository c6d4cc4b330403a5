"""Every page of the portal. What each one is for stands above it."""

from django.urls import include, path

from webui import health

urlpatterns = [
    path("", include("chat.urls")),  # talking with models
    path("", include("webui.accounts.urls")),  # signing in, settings, people
    path("", include("models_admin.urls")),  # hosts and models
    path("", include("django.conf.urls.i18n")),  # the language of the door pages
    path("healthz", health.healthz, name="healthz"),  # the process answers
    path("readyz", health.readyz, name="readyz"),  # it can do its work
]
