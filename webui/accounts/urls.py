from django.urls import path

from webui.accounts import groups, views

app_name = "accounts"

# Getting in and out, oneself, everybody.
urlpatterns = [
    path("setup/", views.set_up, name="setup"),
    path("sign-in/", views.sign_in, name="sign_in"),
    path("sign-out/", views.sign_out, name="sign_out"),
    path("settings/", views.profile, name="settings"),
    path("settings/password/", views.change_password, name="password"),
    path("people/", views.people, name="people"),
    path("people/<int:pk>/", views.person, name="person"),
    path("people/<int:pk>/limits/", views.person_limits, name="person_limits"),
    path("groups/", groups.groups, name="groups"),
    path("groups/<int:pk>/", groups.group, name="group"),
    path("groups/<int:pk>/delete/", groups.delete_group, name="group_delete"),
]
