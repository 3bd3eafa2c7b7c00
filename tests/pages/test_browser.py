"""The pages in a real browser: what the content security policy, a phone's width and
both themes make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from .browsing import PHONE, Opened, blocked, open_trade, serious_faults, width_of
from .experiments import an_experiment
from .factories import World

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def paths_of(world: World) -> list[str]:
    assert world.untraded is not None
    lists = ["/", "/?unit=money", "/trades/", "/recommendations/", "/audits/review/", "/import/"]
    lists.append("/nowhere/")
    lists += ["/experiments/", "/experiments/new/", f"/experiments/{an_experiment(world).pk}/"]
    trades = [f"/trades/{world.news_trade.pk}/", f"/trades/{world.trades[-1].pk}/"]
    trades.append(f"/trades/{world.news_trade.pk}/replay/")
    return [*lists, *trades, f"/audits/{world.untraded.pk}/"]


def test_nothing_is_blocked_and_nothing_comes_from_elsewhere(world: World, page: Page) -> None:
    elsewhere: list[str] = []
    said: list[str] = []
    page.on("request", lambda r: elsewhere.append(r.url) if _is_foreign(r.url) else None)
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    for path in paths_of(world):
        page.goto(path, wait_until="networkidle")
        assert blocked(page) == [], path
    assert elsewhere == []
    assert [text for text in said if "404" not in text] == []


def _is_foreign(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "localhost"


def test_the_watch_itself_sees_a_violation(world: World, page: Page) -> None:
    page.goto("/trades/")
    page.evaluate("document.body.setAttribute('style', 'color: red')")
    page.evaluate(
        "document.body.append(Object.assign(new Image(), {src: 'https://example.org/x'}))"
    )
    page.wait_for_timeout(200)
    assert len(blocked(page)) == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(world: World, opened: Opened, theme: str) -> None:
    page = opened(color_scheme=theme).new_page()
    found = []
    for path in paths_of(world):
        page.goto(path, wait_until="networkidle")
        found += [(path, *fault) for fault in serious_faults(page)]
    assert found == []


def test_no_page_scrolls_sideways_on_a_phone(world: World, opened: Opened) -> None:
    page = opened(viewport=PHONE).new_page()
    for path in paths_of(world):
        page.goto(path, wait_until="networkidle")
        assert width_of(page) <= PHONE["width"], path
        small = page.evaluate(
            "[...document.querySelectorAll('main button, main select, .bottom > *')]"
            ".filter((e) => e.checkVisibility() && !e.matches('.chip, .cite, .cause-name'))"
            ".filter((e) => e.getBoundingClientRect().height < 27).map((e) => e.outerHTML)"
        )
        assert small == [], path


def test_the_theme_turns_and_stays(world: World, page: Page) -> None:
    open_trade(page, world)
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(ground) == "rgb(247, 246, 242)"
    toggle = page.locator(".nav [data-theme-toggle]")
    toggle.click()
    toggle.click()
    assert page.evaluate(ground) == "rgb(16, 19, 23)"
    page.reload()
    assert page.evaluate(ground) == "rgb(16, 19, 23)"
    assert page.locator("html").get_attribute("data-theme") == "dark"
