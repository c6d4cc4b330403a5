from django.urls import path

from models_admin import model_rules, model_views, views
from models_admin.jobs import views as jobs
from models_admin.modelfile import views as modelfile

app_name = "models_admin"

# The first host, and what the hosts have.
urlpatterns = [
    path("setup/host/", views.setup_host, name="setup_host"),
    path("setup/host/check/", views.check_host, name="check_host"),
    path("setup/host/practice/", views.use_practice_host, name="practice"),
    path("models/", model_views.models, name="models"),
    path("models/new/", modelfile.new, name="modelfile"),
    path("models/new/check/", modelfile.check, name="modelfile_check"),
    path("models/<int:pk>/modelfile/", modelfile.edit, name="modelfile_edit"),
    path("models/<int:pk>/", model_views.model, name="model"),
    path("models/<int:pk>/shown/", model_views.shown, name="model_shown"),
    path("models/<int:pk>/menu/", model_views.menu, name="model_menu"),
    path("models/<int:pk>/load/", model_views.load, name="model_load"),
    path("models/<int:pk>/pin/", model_views.pin, name="model_pin"),
    path("models/<int:pk>/unload/", model_views.unload, name="model_unload"),
    path("models/<int:pk>/push/", model_views.push, name="model_push"),
    path("models/<int:pk>/rules/", model_rules.rules, name="model_rules"),
    path("models/<int:pk>/copy/", model_views.copy, name="model_copy"),
    path("models/<int:pk>/delete/", model_views.delete, name="model_delete"),
    path("models/pull/", jobs.pull, name="pull"),
    path("jobs/", jobs.history, name="jobs"),
    path("jobs/<int:pk>/cancel/", jobs.cancel, name="job_cancel"),
    path("jobs/<int:pk>/retry/", jobs.retry, name="job_retry"),
    path("jobs/<int:pk>/dismiss/", jobs.dismiss, name="job_dismiss"),
]
