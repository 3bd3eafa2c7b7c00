from __future__ import annotations

import pytest
from django.test import Client

from .factories import World, make_world


@pytest.fixture
def world(db: None) -> World:
    return make_world()


@pytest.fixture
def anna(world: World, client: Client) -> Client:
    client.force_login(world.user)
    return client
