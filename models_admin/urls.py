from django.urls import path

from models_admin import audit_views, model_rules, model_views, queue_views, views
from models_admin.hosts import views as hosts
from models_admin.jobs import views as jobs
from models_admin.modelfile import views as modelfile
from models_admin.playground import views as playground
from models_admin.usage import views as usage

app_name = "models_admin"

# The first host, and what the hosts have.
urlpatterns = [
    path("setup/host/", views.setup_host, name="setup_host"),
    path("setup/host/check/", views.check_host, name="check_host"),
    path("setup/host/practice/", views.use_practice_host, name="practice"),
    path("hosts/", hosts.hosts, name="hosts"),
    path("hosts/new/", hosts.add, name="host_add"),
    path("hosts/new/check/", hosts.try_form, name="host_try"),
    path("hosts/look/", hosts.look, name="hosts_look"),
    path("hosts/<int:pk>/", hosts.edit, name="host"),
    path("hosts/<int:pk>/look/", hosts.look, name="host_look"),
    path("hosts/<int:pk>/aside/", hosts.set_aside, name="host_aside"),
    path("hosts/<int:pk>/switch/", hosts.switch, name="host_switch"),
    path("hosts/<int:pk>/remove/", hosts.remove, name="host_remove"),
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
    path("playground/", playground.playground, name="playground"),
    path("playground/complete/", playground.complete, name="playground_complete"),
    path("playground/embed/", playground.embed, name="playground_embed"),
    path("queue/", queue_views.queue, name="queue"),
    path("queue/<uuid:pk>/remove/", queue_views.remove, name="turn_remove"),
    path("queue/<uuid:pk>/front/", queue_views.to_front, name="turn_front"),
    path("usage/", usage.usage, name="usage"),
    path("usage/usage.csv", usage.export, name="usage_csv"),
    path("settings/usage/", usage.own, name="own_usage"),
    path("settings/usage/usage.csv", usage.own_export, name="own_usage_csv"),
    path("audit/", audit_views.audit, name="audit"),
    path("audit/audit.csv", audit_views.export, name="audit_csv"),
    path("jobs/", jobs.history, name="jobs"),
    path("jobs/<int:pk>/cancel/", jobs.cancel, name="job_cancel"),
    path("jobs/<int:pk>/retry/", jobs.retry, name="job_retry"),
    path("jobs/<int:pk>/dismiss/", jobs.dismiss, name="job_dismiss"),
]
