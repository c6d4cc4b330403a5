"""The one settings file. Differences between installations are values in the environment (webui/env.py)."""

from pathlib import Path
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from webui import database, env, logs
from webui.origins import hosts_of, origins_of
from webui.secret_key import stored_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).resolve()

BIND = env.text("BIND", "127.0.0.1:8000")
PUBLIC_URL = env.address("PUBLIC_URL", f"http://localhost:{BIND.rpartition(':')[2]}")
PUBLIC_HTTPS = urlsplit(PUBLIC_URL).scheme == "https"
ALLOWED_HOSTS = hosts_of(PUBLIC_URL)
ALLOWED_ORIGINS = CSRF_TRUSTED_ORIGINS = origins_of(PUBLIC_URL)
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")

DEBUG = False
SECRET_KEY = env.text("SECRET_KEY", "") or stored_secret_key(DATA_DIR)

OLLAMA_HOST = env.text("OLLAMA_HOST", "") or env.text("OLLAMA_BASE_URL", "http://127.0.0.1:11434")
OLLAMA_ALLOWED_HOSTS = env.words("OLLAMA_ALLOWED_HOSTS")
OLLAMA_SLOTS = env.whole("OLLAMA_SLOTS", default=1, least=1)
OLLAMA_LOAD_SECONDS = env.whole("OLLAMA_LOAD_SECONDS", default=310, least=1)
OLLAMA_IDLE_SECONDS = env.whole("OLLAMA_IDLE_SECONDS", default=300, least=1)
PRACTICE_BIND = env.text("PRACTICE_BIND", "127.0.0.1:11435")
ADMIN_USERNAME = env.text("ADMIN_USERNAME", "")
ADMIN_PASSWORD = env.text("ADMIN_PASSWORD", "")
METRICS_TOKEN = env.text("METRICS_TOKEN", "")
USAGE_DAYS = env.whole("USAGE_DAYS", default=400, least=0)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "channels",
    "django_htmx",
    "template_partials",
    "webui",
    "webui.accounts",
    "webui.inference",
    "chat",
    "models_admin",
]

MIDDLEWARE = [
    "webui.http.few_at_once",
    "webui.http.secure_responses",
    "webui.http.utf8_only",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "webui.accounts.middleware.language",
    "webui.accounts.middleware.set_up_first",
    "webui.accounts.middleware.ask_to_sign_in_again",
    "webui.accounts.middleware.short_at_the_door",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "webui.http.refuse_in_words",
]

ROOT_URLCONF = "webui.urls"
ASGI_APPLICATION = "webui.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": database.settings(env.text("DATABASE_URL", ""), DATA_DIR)}
# It holds the tries at signing in: with room for few, whoever makes many would make it forget the others.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_USER_MODEL = "accounts.User"
SILENCED_SYSTEM_CHECKS = [
    "auth.E003",  # names are unique whatever their capitals, by a constraint on lower()
    *("security.W001", "security.W002"),  # what these two want done, webui/http.py does
]
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "chat:new"
LOGOUT_REDIRECT_URL = "accounts:sign_in"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_ADAPTER = "webui.accounts.adapter.Adapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_EMAIL_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = {"login_failed": "50/15m/ip,5/15m/key"}

SESSION_ENGINE = "webui.accounts.sessions"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = PUBLIC_HTTPS
SESSION_COOKIE_NAME = "__Host-session" if PUBLIC_HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if PUBLIC_HTTPS else "csrf"
CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 30 * 24 * 3600
if PUBLIC_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024
X_FRAME_OPTIONS = "DENY"

USE_TZ = True
TIME_ZONE = env.text("TIME_ZONE", "UTC")
LANGUAGE_CODE = env.language("LANGUAGE", default="en")
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_SAMESITE = "Lax"
LOCALE_PATHS = [BASE_DIR / "locale"]

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {"staticfiles": {"BACKEND": "webui.static_files.HashedFiles"}}

LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING = logs.config(env.text("LOG_FORMAT", "text"))
FAULT = env.text("FAULT", "")
