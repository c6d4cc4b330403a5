"""The socket of the pages."""

from django.urls import path

from chat.consumers import PageConsumer

socket_urlpatterns = [path("ws/", PageConsumer.as_asgi())]
