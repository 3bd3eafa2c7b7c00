"""The replay in a real browser: bars are asked for one by one, and nothing later is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .browsing import open_trade
from .factories import World

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def open_replay(page: Page, world: World) -> None:
    open_trade(page, world)
    page.keyboard.press("Space")
    page.wait_for_url("**/replay/*")
    page.wait_for_selector("#chart[data-drawn=yes] canvas")


def reached(page: Page, step: int) -> None:
    page.wait_for_selector(f'#replay[data-step="{step}"]')


def test_arrows_step_through_bars_that_are_asked_for_one_by_one(world: World, page: Page) -> None:
    open_replay(page, world)
    assert "before the entry" in page.locator("#replay-said").inner_text()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if "/bars/" in r.url else None)
    for step in (1, 2):
        page.keyboard.press("ArrowRight")
        reached(page, step)
    assert re.search(r"[+−]\d\.\d\d R at the close", page.locator("#replay-said").inner_text())
    page.keyboard.press("ArrowLeft")
    reached(page, 1)
    page.keyboard.press("ArrowRight")
    reached(page, 2)
    # What was seen is not asked for again.
    assert [url.split("have=")[1] for url in asked] == ["0&step=1", "1&step=2"]


def test_the_replay_is_also_a_table_of_what_was_shown(world: World, page: Page) -> None:
    open_replay(page, world)
    page.click("#chart-toggle")
    assert not page.locator("#chart").is_visible()
    rows = page.locator("#chart-table tbody tr")
    before = rows.count()
    assert before > 50
    assert rows.filter(has_text=re.compile(r"\bin$")).count() == 0
    page.keyboard.press("ArrowRight")
    reached(page, 1)
    assert rows.count() == before + 1
    page.keyboard.press("ArrowLeft")
    reached(page, 0)
    assert rows.count() == before


def test_space_plays_and_pauses(world: World, page: Page) -> None:
    open_replay(page, world)
    page.select_option("#replay-speed", "8")
    page.locator("h1").click()
    page.keyboard.press("Space")
    page.wait_for_selector('#replay:not([data-step="0"], [data-step="1"], [data-step="2"])')
    page.keyboard.press("Space")
    assert page.locator("#replay-play").inner_text() == "Play"
    page.wait_for_timeout(400)
    step = page.locator("#replay").get_attribute("data-step")
    page.wait_for_timeout(400)
    assert page.locator("#replay").get_attribute("data-step") == step
    page.keyboard.press("Escape")
    page.wait_for_url(f"**/trades/{world.news_trade.pk}/*")
    assert "Stopped out" in page.locator("h1").inner_text()


def test_a_replay_without_a_server_stops_and_says_so(world: World, page: Page) -> None:
    open_replay(page, world)
    page.route("**/replay/bars/**", lambda route: route.abort())
    page.keyboard.press("ArrowRight")
    page.locator("#replay-said", has_text="Press Next bar to try again.").wait_for()
    page.unroute("**/replay/bars/**")
    page.keyboard.press("ArrowRight")
    reached(page, 1)
