"""The keyboard in a real browser: every key of a list and of a trade."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .browsing import open_trade
from .factories import World

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def selected(page: Page) -> int:
    return int(
        page.evaluate(
            "[...document.querySelectorAll('[data-row]')]"
            ".findIndex((row) => row.dataset.selected === 'true')"
        )
    )


def test_j_k_and_enter_walk_the_list(world: World, page: Page) -> None:
    page.goto("/trades/")
    for key, at in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        assert selected(page) == at
    link = page.locator('[data-row][data-selected="true"] a').first.get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{str(link).split('?')[0]}**")


def test_j_and_k_walk_the_trades_of_the_filter(world: World, page: Page) -> None:
    open_trade(page, world)
    first = page.url
    page.keyboard.press("j")
    page.wait_for_url(lambda url: url != first)
    page.keyboard.press("k")
    page.wait_for_url(first + "*")


def test_f_turns_among_which_trades_the_neighbours_are(world: World, page: Page) -> None:
    page.goto(f"/trades/{world.news_trade.pk}/?side=long")
    page.keyboard.press("f")
    page.wait_for_url("**/?side=long&scope=all")
    page.keyboard.press("j")
    page.wait_for_url(lambda url: str(world.news_trade.pk) not in url.split("?")[0])
    assert page.url.endswith("?side=long&scope=all")
    page.keyboard.press("f")
    page.wait_for_url("**/?side=long&scope=filtered")


@pytest.mark.parametrize(
    ("keys", "path"), [("gt", "/trades/"), ("ga", "/recommendations/"), ("gi", "/import/")]
)
def test_g_and_a_letter_go_to_a_page(world: World, page: Page, keys: str, path: str) -> None:
    page.goto("/")
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_url(f"**{path}")


def test_letters_typed_into_a_field_are_letters(world: World, page: Page) -> None:
    open_trade(page, world)
    page.keyboard.press("t")
    page.keyboard.type("jkgt")
    assert page.locator("input[name=tags]").input_value().endswith("jkgt")
    assert f"/trades/{world.news_trade.pk}/" in page.url


def test_single_keys_can_be_switched_off(world: World, page: Page) -> None:
    page.goto("/trades/")
    page.keyboard.press("?")
    page.check("[data-keys-off]")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert selected(page) == -1
    page.reload()
    page.keyboard.press("j")
    assert selected(page) == -1


def test_money_is_hidden_and_stays_hidden(world: World, page: Page) -> None:
    page.goto("/trades/")
    shown = page.locator("td.col-net .money-value").first
    visibility = "(e) => getComputedStyle(e).visibility"
    assert shown.evaluate(visibility) == "visible"
    page.keyboard.press("p")
    assert shown.evaluate(visibility) == "hidden"
    page.reload()
    assert page.locator("td.col-net .money-value").first.evaluate(visibility) == "hidden"


def test_u_turns_the_unit_and_the_url(world: World, page: Page) -> None:
    page.goto("/?side=long")
    page.keyboard.press("u")
    page.wait_for_url("**/?side=long&unit=money")
    assert "USD" in page.locator("h1").inner_text()


def test_evidence_and_causes_have_keys(world: World, page: Page) -> None:
    open_trade(page, world)
    page.keyboard.press(".")
    first = page.locator("#chart").get_attribute("data-lit")
    page.keyboard.press(".")
    assert page.locator("#chart").get_attribute("data-lit") not in ("", first)
    page.keyboard.press("2")
    assert page.locator('[data-cause="volatility_spike"].picked').count() == 1
    page.keyboard.press("n")
    page.wait_for_selector('[data-cause="volatility_spike"] [aria-pressed=true]')
    assert page.locator('[data-cause="news_shock"] [data-review][aria-pressed=true]').count() == 0


def test_r_marks_the_trade_as_read(world: World, page: Page) -> None:
    open_trade(page, world)
    page.keyboard.press("r")
    page.wait_for_selector('.trade-line [data-key=r][aria-pressed="true"]')
    world.news_trade.refresh_from_db()
    assert world.news_trade.reviewed_at is not None
