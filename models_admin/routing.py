"""The sockets of the administrators' pages."""

from django.urls import path

from models_admin.consumers import AdminConsumer
from models_admin.modelfile.upload import UploadConsumer

socket_urlpatterns = [
    path("ws/admin/", AdminConsumer.as_asgi()),
    path("ws/admin/upload/", UploadConsumer.as_asgi()),
]
