"""A post-mortem in a real browser: its chart, its events, and its order on a phone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .browsing import PHONE, Opened, open_trade
from .factories import World

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_chip_lights_its_bar_and_the_bar_its_chip(world: World, page: Page) -> None:
    open_trade(page, world)
    chip = page.locator(".causes button.evidence").first
    fact = chip.get_attribute("data-fact")
    chip.click()
    page.mouse.move(5, 5)
    assert page.locator("#chart").get_attribute("data-lit") == fact
    assert chip.get_attribute("aria-pressed") == "true"
    cited = page.locator(f".cite[data-fact={fact}]").first
    assert cited.get_attribute("aria-pressed") == "true"
    chip.click()
    page.mouse.move(5, 5)
    assert page.locator("#chart").get_attribute("data-lit") == ""


def test_an_event_lights_its_bar_its_chip_and_its_cause(world: World, page: Page) -> None:
    open_trade(page, world)
    event = page.locator("#timeline button", has_text="Jump")
    fact = event.get_attribute("data-fact")
    event.click()
    page.mouse.move(5, 5)
    assert page.locator("#chart").get_attribute("data-lit") == fact
    assert event.get_attribute("aria-pressed") == "true"
    assert page.locator(f".causes button[data-fact={fact}]").get_attribute("aria-pressed") == "true"
    assert page.locator('.cause.lit[data-cause="news_shock"]').count() == 1
    assert page.locator(".cause.lit").count() == 1
    assert page.locator("#announce").inner_text().startswith(f"{fact} on the bar of 2 May 1")


def test_keys_walk_the_events_in_time(world: World, page: Page) -> None:
    open_trade(page, world)
    order = page.locator("#timeline button").evaluate_all("(all) => all.map((e) => e.dataset.fact)")
    walked = []
    for _ in order:
        page.keyboard.press(".")
        walked.append(page.locator("#chart").get_attribute("data-lit"))
    assert walked == order
    page.keyboard.press(",")
    assert page.locator("#chart").get_attribute("data-lit") == order[-2]


def test_hovering_an_event_tells_its_fact(world: World, page: Page) -> None:
    open_trade(page, world)
    event = page.locator("#timeline button", has_text="Release").last
    event.hover()
    said = page.locator("#chart-said")
    assert "Nonfarm Payrolls" in said.inner_text()
    page.mouse.move(5, 5)
    assert "Nonfarm Payrolls" not in said.inner_text()
    event.focus()
    page.keyboard.press("Enter")
    assert event.get_attribute("aria-pressed") == "true"


def test_events_are_also_a_table(world: World, page: Page) -> None:
    open_trade(page, world)
    count = page.locator("#timeline > li").count()
    assert not page.locator("#timeline-table").is_visible()
    page.click("#timeline-toggle")
    assert not page.locator("#timeline").is_visible()
    rows = page.locator("#timeline-table tbody tr")
    assert rows.count() == count
    assert rows.filter(has_text="Nonfarm Payrolls").filter(has_text="high impact").count() == 1


def test_hovering_the_chart_reads_its_bar_in_the_readers_zone(world: World, page: Page) -> None:
    open_trade(page, world)
    box = page.locator("#chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 150)
    page.locator("#chart-said", has_text="O 1.38").wait_for()
    # 12:06 UTC is 13:06 in London in May: no bar on screen lies in the morning.
    said = page.locator("#chart-said").inner_text()
    assert re.match(r"2 May 1[23]:\d\d · O 1\.38\d{3} H 1\.38\d{3} L 1\.38\d{3} C 1\.38\d{3}", said)


def test_the_chart_is_also_a_table(world: World, page: Page) -> None:
    open_trade(page, world)
    page.click("#chart-toggle")
    assert not page.locator("#chart").is_visible()
    rows = page.locator("#chart-table tbody tr")
    assert rows.count() > 100
    assert rows.filter(has_text="E10").count() == 1
    assert rows.filter(has_text=re.compile(r"\bin$")).count() == 1
    page.click("#chart-toggle")
    assert page.locator("#chart").is_visible()


# --- on a phone -----------------------------------------------------------------------------------
@pytest.fixture
def phone(opened: Opened, world: World) -> Page:
    page = opened(viewport=PHONE, has_touch=True).new_page()
    open_trade(page, world)
    return page


def test_a_phone_reads_the_parts_in_order(phone: Page) -> None:
    parts = [
        *("h1.verdict", ".result", "#chart", "#strip", ".timeline", ".causes", ".unchecked"),
        *(".changed-part", ".advice-part", ".narrative", ".coverage-part", ".rest", ".replay"),
    ]
    tops = [
        phone.locator(part).first.evaluate("(e) => e.getBoundingClientRect().top") for part in parts
    ]
    assert tops == sorted(tops)
    assert len(set(tops)) == len(tops)
    assert phone.locator("#chart").evaluate("(e) => e.clientHeight") == 300
    assert phone.locator("details.rest[open]").count() == 0


def test_the_chart_stays_in_sight_until_a_form_is_opened(phone: Page) -> None:
    top = "document.querySelector('#chart').getBoundingClientRect().top"
    phone.locator(".narrative").evaluate("(e) => e.scrollIntoView()")
    assert phone.evaluate(top) == 0
    phone.locator("summary", has_text="Tags and notes").click()
    assert phone.evaluate(top) < -300


def test_the_chip_that_was_swiped_to_lights_its_bar(phone: Page) -> None:
    strip, chart = phone.locator("#strip"), phone.locator("#chart")
    assert chart.get_attribute("data-lit") == ""
    last = strip.locator("button").last
    strip.evaluate("(e) => { e.scrollLeft = e.scrollWidth; }")
    phone.wait_for_selector("#strip button:last-child[aria-pressed=true]")
    assert chart.get_attribute("data-lit") == last.get_attribute("data-fact")


def test_events_are_a_list_on_a_phone(phone: Page) -> None:
    assert not phone.locator("#timeline").is_visible()
    phone.locator(".timeline > summary").tap()
    sizes = phone.locator("#timeline button").evaluate_all(
        "(all) => all.map((e) => [e.getBoundingClientRect().top, e.getBoundingClientRect().height])"
    )
    tops = [top for top, _ in sizes]
    assert len(tops) >= 4
    assert tops == sorted(set(tops))
    assert min(height for _, height in sizes) >= 44
    event = phone.locator("#timeline button", has_text="Jump")
    event.tap()
    phone.wait_for_timeout(400)
    assert event.get_attribute("aria-pressed") == "true"
    assert phone.locator("#chart").get_attribute("data-lit") == event.get_attribute("data-fact")


def test_the_bar_of_a_phone_walks_and_marks(world: World, phone: Page) -> None:
    bar = phone.locator(".bottom")
    assert bar.locator("> *").count() == 3
    assert "Home" not in bar.inner_text()
    bar.get_by_role("button", name="Reviewed").click()
    phone.wait_for_selector('.bottom [aria-pressed="true"]')
    world.news_trade.refresh_from_db()
    assert world.news_trade.reviewed_at is not None
    first = phone.url
    bar.get_by_label("Older trade").click()
    phone.wait_for_url(lambda url: url != first)
    phone.goto("/trades/")
    assert "Home" in phone.locator(".bottom").inner_text()
