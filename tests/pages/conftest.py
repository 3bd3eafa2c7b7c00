from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from .browsing import Opened, contexts
from .factories import World, make_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def world(request: pytest.FixtureRequest, db: None) -> World:
    # A browser takes its time on every trade.
    in_browser = request.node.get_closest_marker("browser") is not None
    return make_world(trades=6 if in_browser else 14)


@pytest.fixture
def anna(world: World, client: Client) -> Client:
    client.force_login(world.user)
    return client


@pytest.fixture
def reader(world: World) -> Any:
    """Who is signed in to the browser."""
    return world.user


@pytest.fixture
def opened(browser: Browser, live_server: Any, reader: Any) -> Iterator[Opened]:
    with contexts(browser, live_server.url, reader) as make:
        yield make


@pytest.fixture
def page(opened: Opened) -> Page:
    return opened().new_page()
