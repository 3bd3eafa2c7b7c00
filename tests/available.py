"""What this machine offers to the tests, and the one rule for what it lacks."""

import getpass
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
import pytest

_CHROMIUM_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SHARED_DATA_VARIABLE: Final = "INQUEST_SHARED_DATA"


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def require_service(found: object, what: str) -> None:
    """Skip a test whose service is missing; in CI nothing may be missing, so fail it there."""
    if found:
        return
    if in_ci():
        pytest.fail(f"{what} is missing, and CI must run every test")
    pytest.skip(f"{what} is missing")


def chromium_path() -> str | None:
    return next((path for name in _CHROMIUM_NAMES if (path := shutil.which(name))), None)


def shared_data_folder() -> Path:
    """Real market data: not part of the repository, beside it by default."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get(SHARED_DATA_VARIABLE) or beside)


def postgres_url() -> str | None:
    """A server where this user may create databases: the one named, or one on localhost."""
    return next((url for url in _postgres_candidates() if _may_create_databases(url)), None)


def _postgres_candidates() -> Iterator[str]:
    named = os.environ.get("INQUEST_TEST_DATABASE_URL")
    if named:
        yield named
        return
    password = os.environ.get("PGPASSWORD", "")
    users = (os.environ.get("PGUSER") or getpass.getuser(), "postgres")
    port = os.environ.get("PGPORT", "5432")
    for user in dict.fromkeys(users):
        for secret in dict.fromkeys((password, user)):
            login = quote(user) + (f":{quote(secret)}" if secret else "")
            yield f"postgresql://{login}@localhost:{port}/postgres"


def _may_create_databases(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            row = connection.execute(
                "select rolcreatedb or rolsuper from pg_roles where rolname = current_user"
            ).fetchone()
    except psycopg.OperationalError:
        return False
    return bool(row and row[0])
