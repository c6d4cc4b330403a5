from django.urls import path

from chat import views

app_name = "chat"

# One conversation: /c/<id>/...; one of its messages: /c/<id>/m/<id>/...
urlpatterns = [
    path("", views.new, name="new"),
    path("draft/", views.new_draft, name="new_draft"),
    path("shortcuts/", views.shortcuts, name="shortcuts"),
    path("conversations/", views.conversations, name="sidebar"),
    path("c/", views.start, name="start"),
    path("c/<uuid:pk>/", views.conversation, name="conversation"),
    path("c/<uuid:pk>/ask/", views.ask, name="ask"),
    path("c/<uuid:pk>/stop/", views.stop, name="stop"),
    path("c/<uuid:pk>/title/", views.title, name="title"),
    path("c/<uuid:pk>/delete/", views.delete, name="delete"),
    path("c/<uuid:pk>/restore/", views.restore, name="restore"),
    path("c/<uuid:pk>/draft/", views.draft, name="draft"),
    path("c/<uuid:pk>/earlier/", views.earlier, name="earlier"),
    path("c/<uuid:pk>/m/<uuid:message>/", views.turn, name="turn"),
    path("c/<uuid:pk>/m/<uuid:message>/text/", views.text, name="text"),
    path("c/<uuid:pk>/m/<uuid:message>/edit/", views.edit, name="edit"),
    path("c/<uuid:pk>/m/<uuid:message>/again/", views.again, name="again"),
    path("c/<uuid:pk>/m/<uuid:message>/continue/", views.go_on, name="continue"),
    path("c/<uuid:pk>/m/<uuid:message>/version/", views.version, name="version"),
]
