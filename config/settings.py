"""The one settings file: an operator's knobs come from `config.env`, the rest is decided here."""

import os
import re
import warnings
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

from config.env import Reader, is_loopback

BASE_DIR = Path(__file__).resolve().parent.parent
_env = Reader(os.environ)

DATA_DIR = _env.folder("INQUEST_DATA_DIR", default=BASE_DIR / ".data")


def _version() -> str:
    newest = re.search(
        r"^## v(\d+\.\d+\.\d+)", (BASE_DIR / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    if newest is None:
        raise ValueError("CHANGELOG.md names no version")
    return newest[1]


VERSION = _version()

# --- Where and for whom -------------------------------------------------------------------------
BIND = _env.address("BIND", default="127.0.0.1")
PORT = _env.integer("PORT", default=8000, lowest=1, highest=65535)
HTTPS = _env.boolean("HTTPS")
# Others can reach it: it then refuses to start while `check --deploy` has anything to say.
PRODUCTION = HTTPS or not is_loopback(BIND)
DEBUG = _env.boolean("DEBUG")
SECRET_KEY = _env.secret_key("SECRET_KEY", file=DATA_DIR / "secret_key")
ALLOWED_HOSTS = list(
    _env.names("ALLOWED_HOSTS", default=() if PRODUCTION else ("localhost", "127.0.0.1", "[::1]"))
)
NUM_PROXIES = _env.integer("NUM_PROXIES", default=0, lowest=0, highest=10)

# --- Applications -------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",  # before the admin, whose templates it replaces
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_filters",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "csp",
    "trading",
    "post_mortem",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Outside the ones that may answer themselves, so that their answers carry the policy too.
    "config.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it turns a lockout into the answer
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"

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
    }
]

# --- Database -----------------------------------------------------------------------------------
_SQLITE_OPTIONS = {
    # Without IMMEDIATE, a read-then-write transaction fails with "database is locked" at once,
    # whatever the timeout.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # FULL: a ledger keeps what it acknowledged through a power cut.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
}


def _database() -> dict[str, Any]:
    url = _env.database_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'inquest.sqlite3'}")
    # A connection kept by the thread behind an event stream would never be given back.
    database: dict[str, Any] = {**dj_database_url.parse(url), "CONN_MAX_AGE": 0}
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = _SQLITE_OPTIONS
    return database


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Time, language -----------------------------------------------------------------------------
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

# --- Signing in ---------------------------------------------------------------------------------
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = LOGIN_URL
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it stops a locked-out attempt
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
# Name and address together: a stranger cannot lock a user out from elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "config.middleware.client_address"
AXES_LOCKOUT_TEMPLATE = "post_mortem/locked.html"
AXES_VERBOSE = False

# --- What the browser is told -------------------------------------------------------------------
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and NUM_PROXIES else None
SILENCED_SYSTEM_CHECKS = [
    # Whether every subdomain speaks TLS, and so may be preloaded, is not this site's to promise.
    "security.W005",
    "security.W021",
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
# Pages of others' making, which cannot do with the policy above.
CONTENT_SECURITY_POLICY_BY_PREFIX = {
    "/admin/": {
        "script-src": [SELF, UNSAFE_EVAL],  # its menus evaluate expressions
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
    },
    "/api/docs/": {
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
    },
}

# A batch of 10,000 trades is 2-3 MB of JSON; files stream to disk and are not counted.
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024

# --- Static files -------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"


def _chart_vendor_folder() -> str:
    """The folder with the chart script inside the wheel, found without importing the package."""
    spec = find_spec("lwcharts")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("lwcharts, which carries the chart script, is not installed")
    return str(Path(spec.submodule_search_locations[0]) / "vendor")


STATICFILES_DIRS = [("vendor", _chart_vendor_folder())]
CHART_SCRIPT = "vendor/lightweight-charts.standalone.production.js"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
# On one's own machine files are served from where they are: no collecting step to forget.
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = DEBUG
# Under ASGI every static file is a synchronous iterator; they are small enough.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")
# The folder of collected files exists in production mode only.
warnings.filterwarnings("ignore", "No directory at: ", UserWarning)

# --- API ----------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        # First: its challenge makes the answer to a stranger 401.
        "post_mortem.api.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["post_mortem.api.permissions.MayUseApi"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "post_mortem.api.parsers.StrictJSONParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "post_mortem.api.errors.exception_handler",
    "NUM_PROXIES": NUM_PROXIES,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNICODE_JSON": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Inquest",
    "DESCRIPTION": "Why trades ended as they did, with evidence, and whether the fixes worked.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Wording of the schema says nothing about the safety of a deployment.
    "ENABLE_DJANGO_DEPLOY_CHECK": False,
    "ENUM_NAME_OVERRIDES": {
        "RecommendationStatusEnum": "post_mortem.models.RecommendationTracking.Status",
        "ExperimentStatusEnum": "post_mortem.models.Experiment.Status",
        "JobStatusEnum": "post_mortem.models.AutopsyJob.Status",
        "NarrativeSourceEnum": "post_mortem.models.TradeAnalysis.Source",
    },
}
UNFOLD = {"SITE_TITLE": "Inquest", "SITE_HEADER": "Inquest"}

# --- Narratives ---------------------------------------------------------------------------------
OPENAI_API_KEY = _env.text("OPENAI_API_KEY")
OPENAI_BASE_URL = _env.http_url("OPENAI_BASE_URL")
LLM_MODEL = _env.text("LLM_MODEL")
LLM_SEND_NOTES = _env.boolean("LLM_SEND_NOTES")
LLM_PAUSED = _env.boolean("LLM_PAUSED")
LLM_TIMEOUT = _env.integer("LLM_TIMEOUT", default=120, lowest=1, highest=3600)
LLM_CONCURRENCY = _env.integer("LLM_CONCURRENCY", default=4, lowest=1, highest=64)
LLM_PRICES = _env.amounts("LLM_PRICES", count=3, example="0.15,0.075,0.60")
LLM_DAILY_TOKENS = _env.integer("LLM_DAILY_TOKENS", default=2_000_000, lowest=0, highest=10**12)
LLM_DAILY_COST = next(iter(_env.amounts("LLM_DAILY_COST", count=1, example="5")), Decimal(0))
LLM_MONTHLY_COST = next(iter(_env.amounts("LLM_MONTHLY_COST", count=1, example="50")), Decimal(0))

# --- Logging ------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "redacted": {
            "()": "config.logs.RedactingFormatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
            "secrets": [SECRET_KEY, OPENAI_API_KEY, str(DATABASES["default"].get("PASSWORD", ""))],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "redacted"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Replaces Django's own handlers, which would print unredacted.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        # Says each request to a model; the ledger does.
        "httpx2": {"level": "WARNING"},
        "uvicorn": {"handlers": [], "level": "WARNING", "propagate": True},
        "axes": {"level": "WARNING"},
    },
}
