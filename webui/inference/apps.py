from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "webui.inference"
    label = "inference"
