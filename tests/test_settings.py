import logging
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils.module_loading import import_string
from rest_framework.permissions import IsAuthenticated

from config.env import BadSetting, Reader, is_loopback
from config.logs import REDACTED, RedactingFormatter, redact
from config.middleware import ContentSecurityPolicy, client_address

ROOT = Path(__file__).resolve().parent.parent


# --- readers --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", True),
        ("true", True),
        ("True", True),
        ("0", False),
        ("false", False),
        ("", False),
        (" ", False),
    ],
)
def test_boolean(value: str, expected: bool) -> None:
    assert Reader({"HTTPS": value}).boolean("HTTPS") is expected


@pytest.mark.parametrize("value", ["yes", "on", "2", "tru", "None"])
def test_boolean_refuses_anything_else(value: str) -> None:
    with pytest.raises(BadSetting, match=f"HTTPS is '{value}', expected 1, 0, true or false"):
        Reader({"HTTPS": value}).boolean("HTTPS")


@pytest.mark.parametrize(("value", "expected"), [("1", 1), ("65535", 65535), ("", 8000)])
def test_integer(value: str, expected: int) -> None:
    assert (
        Reader({"PORT": value}).integer("PORT", default=8000, lowest=1, highest=65535) == expected
    )


@pytest.mark.parametrize("value", ["0", "65536", "-1", "8e3", "80.0", "٨٠", "0x50"])
def test_integer_refuses_what_is_outside_or_no_number(value: str) -> None:
    with pytest.raises(BadSetting, match="PORT is .*expected a whole number from 1 to 65535"):
        Reader({"PORT": value}).integer("PORT", default=8000, lowest=1, highest=65535)


def test_names() -> None:
    read = Reader({"ALLOWED_HOSTS": " a.example, b.example "}).names
    assert read("ALLOWED_HOSTS") == ("a.example", "b.example")


@pytest.mark.parametrize("value", ["a.example,", "a.example b.example", "https://a.example"])
def test_names_refuse_what_is_no_host(value: str) -> None:
    with pytest.raises(BadSetting, match="ALLOWED_HOSTS"):
        Reader({"ALLOWED_HOSTS": value}).names("ALLOWED_HOSTS")


@pytest.mark.parametrize(
    "value", ["ftp://host", "host/v1", "http://", "http://u:p@host/v1", "http://["]
)
def test_http_url_refuses(value: str) -> None:
    with pytest.raises(BadSetting, match="OPENAI_BASE_URL"):
        Reader({"OPENAI_BASE_URL": value}).http_url("OPENAI_BASE_URL")


def test_database_url_is_refused_without_printing_its_password() -> None:
    with pytest.raises(BadSetting) as caught:
        Reader({"DATABASE_URL": "mysql://u:hunter22@h/n"}).database_url("DATABASE_URL", default="")
    assert "hunter22" not in str(caught.value)
    assert "postgresql://" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("192.168.1.5", False),
    ],
)
def test_loopback(value: str, loopback: bool) -> None:
    assert is_loopback(Reader({"BIND": value}).address("BIND", default="")) is loopback


def test_address_refuses_a_host_name() -> None:
    with pytest.raises(BadSetting, match="BIND is 'example.org', expected an IP address"):
        Reader({"BIND": "example.org"}).address("BIND", default="127.0.0.1")


def test_a_knob_must_be_listed() -> None:
    with pytest.raises(KeyError, match="UNLISTED"):
        Reader({"UNLISTED": "1"}).text("UNLISTED")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSetting, match="INQUEST_DATA_DIR"):
        Reader({"INQUEST_DATA_DIR": str(tmp_path / "file" / "below")}).folder(
            "INQUEST_DATA_DIR", default=tmp_path
        )


# --- the secret key -------------------------------------------------------------------------------
def test_secret_key_is_generated_once_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secret_key"
    key = Reader({}).secret_key("SECRET_KEY", file=file)
    assert len(key) == 96
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Reader({}).secret_key("SECRET_KEY", file=file) == key
    assert os.listdir(tmp_path) == ["secret_key"]


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    file = tmp_path / "secret_key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: Reader({}).secret_key("SECRET_KEY", file=file), range(32)))
    assert len(set(keys)) == 1


@pytest.mark.parametrize(("content", "mode"), [("key", 0o644), ("", 0o600)])
def test_a_secret_key_file_that_is_open_or_empty_is_refused(
    tmp_path: Path, content: str, mode: int
) -> None:
    file = tmp_path / "secret_key"
    file.write_text(content)
    file.chmod(mode)
    with pytest.raises(BadSetting, match="SECRET_KEY"):
        Reader({}).secret_key("SECRET_KEY", file=file)


# --- the two modes, each in a process of its own --------------------------------------------------
def manage(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    own = {"PATH": os.environ["PATH"], "INQUEST_DATA_DIR": str(tmp_path), **environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_bad_value_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", PORT="eighty")
    assert done.returncode == 2
    assert done.stderr == "PORT is 'eighty', expected a whole number from 1 to 65535.\n"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"HTTPS": "1"}, "security.W020"),  # no hosts named
        ({"HTTPS": "1", "ALLOWED_HOSTS": "a.example", "DEBUG": "1"}, "security.W018"),
        ({"HTTPS": "1", "ALLOWED_HOSTS": "a.example", "SECRET_KEY": "short"}, "security.W009"),
        ({"BIND": "0.0.0.0", "ALLOWED_HOSTS": "a.example"}, "security.W008"),  # noqa: S104
    ],
)
def test_production_refuses_an_unsafe_start(
    tmp_path: Path, environ: dict[str, str], named: str
) -> None:
    done = manage(tmp_path, "serve", **environ)
    assert done.returncode == 1
    assert named in done.stderr


def test_production_has_nothing_to_refuse_when_it_is_set_up(tmp_path: Path) -> None:
    done = manage(
        tmp_path,
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        HTTPS="1",
        ALLOWED_HOSTS="a.example",
        NUM_PROXIES="1",
    )
    assert done.returncode == 0, done.stderr


# --- the local mode's settings --------------------------------------------------------------------
def test_defaults_are_safe() -> None:
    assert settings.DEBUG is False
    assert settings.X_FRAME_OPTIONS == "DENY"
    permissions = settings.REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"]
    assert permissions
    assert all(issubclass(import_string(name), IsAuthenticated) for name in permissions)
    assert settings.REST_FRAMEWORK["DEFAULT_RENDERER_CLASSES"] == [
        "rest_framework.renderers.JSONRenderer"
    ]


def test_sqlite_takes_its_write_lock_first() -> None:
    from config.settings import _SQLITE_OPTIONS

    assert _SQLITE_OPTIONS["transaction_mode"] == "IMMEDIATE"


def test_version_is_the_changelogs() -> None:
    assert f'version = "{settings.VERSION}"' in (ROOT / "pyproject.toml").read_text()


def test_the_chart_script_is_found() -> None:
    from django.contrib.staticfiles import finders

    assert finders.find(settings.CHART_SCRIPT)


@pytest.mark.parametrize(
    ("path", "inline_style", "evaluates"),
    [
        ("/", False, False),
        ("/trades/1/", False, False),
        ("/admin/", True, True),
        ("/api/docs/", True, False),
    ],
)
def test_content_security_policy(path: str, inline_style: bool, evaluates: bool) -> None:
    middleware = ContentSecurityPolicy(lambda request: HttpResponse())
    policy = middleware(RequestFactory().get(path)).headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert ("'unsafe-inline'" in policy) is inline_style
    assert ("'unsafe-eval'" in policy) is evaluates
    assert "script-src 'self' 'unsafe-inline'" not in policy


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "1.1.1.1", "9.9.9.9"),  # nobody in front: the header is the client's own claim
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),  # what the client put there itself
        (2, "6.6.6.6, 1.1.1.1, 2.2.2.2", "1.1.1.1"),
        (2, "1.1.1.1", "9.9.9.9"),  # came past a proxy
        (1, "", "9.9.9.9"),
    ],
)
def test_client_address(settings, proxies: int, forwarded: str, expected: str) -> None:
    settings.NUM_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="9.9.9.9", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == expected


# --- logs -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer abcdef123456",
        "{'Authorization': 'Token abcdef123456'}",
        '{"api_key": "abcdef123456"}',
        "api_key=abcdef123456&x=1",
        "X-Api-Key: abcdef123456",
        "sent Bearer abcdef123456 to the server",
        "password='abcdef123456'",
        "using sk-abcdef123456",
    ],
)
def test_credentials_are_redacted(line: str) -> None:
    assert "abcdef123456" not in redact(line)
    assert REDACTED in redact(line)


@pytest.mark.parametrize(
    "line",
    [
        "12 tokens used, 3 cached",
        "password reset page opened",
        "risk-adjusted: 1.2 R",
        "trade 14: stop hit",
    ],
)
def test_ordinary_lines_are_left_alone(line: str) -> None:
    assert redact(line) == line


def test_tracebacks_are_redacted_too() -> None:
    formatter = RedactingFormatter("{message}", style="{", secrets=["correct horse"])
    try:
        raise ValueError("the key is correct horse")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    assert "correct horse" not in formatter.format(record)
    assert "failed" in formatter.format(record)
