"""The socket of the administrators' pages."""

from django.urls import path

from models_admin.consumers import AdminConsumer

socket_urlpatterns = [path("ws/admin/", AdminConsumer.as_asgi())]
