"""An experiment in a real browser: started, noted by key, read as a table, ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from post_mortem.models import Experiment

from .browsing import PHONE, Opened, blocked, width_of
from .experiments import an_experiment, fill
from .factories import World

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_experiment_from_its_start_to_its_end(world: World, page: Page) -> None:
    page.goto("/experiments/")
    page.keyboard.press("e")
    page.wait_for_url("**/experiments/new/")
    page.fill("input[name=name]", "Two trades a day")
    page.fill("textarea[name=rule]", "No third trade.")
    page.select_option("select[name=symbol]", "EURUSD")
    page.click("button[value=start]")
    page.wait_for_url(re.compile(r"/experiments/\d+/$"))
    assert "Next day" in page.locator("h1").inner_text()
    assert page.locator("text=No third trade.").count() == 1

    # Another one, on another market, whose first day has begun.
    begun = an_experiment(world)
    page.goto(f"/experiments/{begun.pk}/")
    assert re.fullmatch(r"Today: (ON|OFF)", page.locator("h1").inner_text())
    assert page.locator("h1").evaluate("(e) => getComputedStyle(e).fontSize") == "64px"
    page.keyboard.press("y")
    page.wait_for_selector("button[value=yes][aria-pressed=true]")
    page.keyboard.press("n")
    page.wait_for_selector("button[value=no][aria-pressed=true]")
    assert begun.notes.count() == 2

    page.click("summary:has-text('End it')")
    page.fill("input[name=reason]", "Went on holiday")
    page.click("text=End the experiment")
    page.wait_for_selector("h1:has-text('This experiment has stopped.')")
    row = Experiment.objects.get(pk=begun.pk)
    assert (row.status, row.ended_because) == ("stopped", "Went on holiday")
    assert blocked(page) == []


def test_the_drawing_fits_a_phone_and_has_a_table(world: World, opened: Opened) -> None:
    experiment = an_experiment(world, days_ago=60)
    fill(experiment, effect=0.0)
    page = opened(viewport=PHONE).new_page()
    page.goto(f"/experiments/{experiment.pk}/")
    assert width_of(page) <= PHONE["width"]
    outside = page.evaluate(
        "[...document.querySelectorAll('main svg text')].filter((e) => {"
        "  const box = e.getBoundingClientRect();"
        "  return box.right > window.innerWidth || box.left < 0; }).length"
    )
    assert outside == 0
    page.click("summary:has-text('Table')")
    rows = page.locator(".difference ~ details tbody tr").count()
    days = [row for row in experiment.assignments.all() if row.day < timezone.now().date()]
    assert abs(rows - len(days)) <= 1
    assert blocked(page) == []
