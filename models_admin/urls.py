from django.urls import path

from models_admin import views
from models_admin.jobs import views as jobs

app_name = "models_admin"

# The first host, and what the hosts have.
urlpatterns = [
    path("setup/host/", views.setup_host, name="setup_host"),
    path("setup/host/check/", views.check_host, name="check_host"),
    path("setup/host/practice/", views.use_practice_host, name="practice"),
    path("models/", views.models, name="models"),
    path("models/pull/", jobs.pull, name="pull"),
    path("jobs/", jobs.history, name="jobs"),
    path("jobs/<int:pk>/cancel/", jobs.cancel, name="job_cancel"),
    path("jobs/<int:pk>/retry/", jobs.retry, name="job_retry"),
    path("jobs/<int:pk>/dismiss/", jobs.dismiss, name="job_dismiss"),
]
