from django.urls import path

from webui.gateway import pages

app_name = "gateway"

# One's own access tokens. The API itself is beside the pages: app.py.
urlpatterns = [
    path("settings/tokens/", pages.own_tokens, name="tokens"),
    path("settings/tokens/<int:pk>/revoke/", pages.revoke, name="token_revoke"),
]
