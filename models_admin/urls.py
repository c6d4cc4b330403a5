from django.urls import path

from models_admin import views

app_name = "models_admin"

# The first host, and what the hosts have.
urlpatterns = [
    path("setup/host/", views.setup_host, name="setup_host"),
    path("setup/host/check/", views.check_host, name="check_host"),
    path("setup/host/practice/", views.use_practice_host, name="practice"),
    path("models/", views.models, name="models"),
]
