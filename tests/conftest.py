import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.test.utils import override_settings

from tests import available

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_OVERRIDES = override_settings(
    # Whatever the developer's environment says, no test may reach a paid model.
    OPENAI_API_KEY="",
    OPENAI_BASE_URL="",
    LLM_MODEL="",
    # Deliberately slow hashes are for real passwords.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    # Lockouts count across tests; the tests of the lockout switch it on.
    AXES_ENABLED=False,
)
# As a desktop would run it, minus whatever would talk to a network or need a display.
_CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_configure() -> None:
    _OVERRIDES.enable()


def pytest_unconfigure() -> None:
    _OVERRIDES.disable()


@contextmanager
def _no_loop_but_the_browsers(item: pytest.Item) -> Iterator[None]:
    """The browser's event loop stays in the thread, paused, once a test has used the browser. Hide
    it from the others, which may run loops of their own."""
    paused = asyncio._get_running_loop()
    if paused is None or "browser" in getattr(item, "fixturenames", ()):
        yield
        return
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(paused)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    engine = settings.DATABASES["default"]["ENGINE"]
    if item.get_closest_marker("postgres") and not engine.endswith("postgresql"):
        pytest.skip("runs in the PostgreSQL part of `make test`")
    if item.get_closest_marker("browser"):
        available.require_service(available.chromium_path(), "Chromium")
    with _no_loop_but_the_browsers(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with _no_loop_but_the_browsers(item):
        return (yield)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real market data; tests that want it are marked `realdata`."""
    folder = available.shared_data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real market data here; {available.SHARED_DATA_VARIABLE} names its folder")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """One real browser for the session; a test opens its own context in it."""
    path = available.chromium_path()
    available.require_service(path, "Chromium")
    from playwright.sync_api import sync_playwright

    # Playwright keeps an event loop in this thread, which Django takes for an async context.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=path, args=_CHROMIUM_FLAGS)
            yield chromium
            chromium.close()
    finally:
        if before is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        else:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before
