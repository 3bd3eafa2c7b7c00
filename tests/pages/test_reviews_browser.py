"""A person's word on audits in a real browser: causes confirmed, labels overridden, the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from post_mortem.models import CauseReview, InsightAudit

from .browsing import DESK, PHONE, Opened, blocked, open_trade, width_of
from .factories import World

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_cause_is_confirmed_a_label_overridden_and_put_back(world: World, page: Page) -> None:
    audit = InsightAudit.objects.get(trade=world.news_trade)
    open_trade(page, world)
    page.keyboard.press("y")
    page.wait_for_selector("[data-review=y][aria-pressed=true]")
    assert audit.reviews.get().verdict == "confirmed"

    part = page.locator("#review")
    part.get_by_label("The label should be").select_option("neutral")
    part.get_by_role("button", name="Override the label").click()
    # The browser itself asks for the reason.
    assert not audit.history.filter(action="overridden").exists()
    part.get_by_label("Because").fill("The feed spiked.")
    part.get_by_role("button", name="Override the label").click()
    page.wait_for_selector(".overridden")
    assert "Label overridden by anna: neutral." in page.locator(".overridden").inner_text()
    audit.refresh_from_db()
    assert (audit.outcome, audit.override_outcome) == (2, 3)

    page.locator("#review").get_by_role("button", name="Undo").click()
    page.wait_for_selector(".overridden", state="detached")
    audit.refresh_from_db()
    assert audit.override_outcome is None
    assert blocked(page) == []


def test_the_queue_goes_by_keys(world: World, page: Page) -> None:
    audits = InsightAudit.objects.filter(top_cause="news_shock") | InsightAudit.objects.filter(
        top_cause="unknown"
    )
    waiting = list(audits.order_by("r_multiple", "-entry_time", "-pk")[:2])
    InsightAudit.objects.filter(pk__in=[a.pk for a in waiting]).update(is_flagged=True)
    page.goto("/")
    page.get_by_role("link", name="2 audits to review").click()
    page.wait_for_url("**/audits/review/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("n")
    page.wait_for_selector("[data-row]:nth-child(2) [value=rejected][aria-pressed=true]")
    assert [r.audit_id for r in CauseReview.objects.all()] == [waiting[1].pk]
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.wait_for_function("document.querySelectorAll('[data-row]').length === 1")
    waiting[0].refresh_from_db()
    assert waiting[0].settled_hash == waiting[0].evidence_hash
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/audits/{waiting[1].pk}/")


@pytest.mark.parametrize("viewport", [DESK, PHONE])
def test_the_queue_fits_its_screen(world: World, opened: Opened, viewport: dict[str, int]) -> None:
    InsightAudit.objects.update(is_flagged=True)
    page = opened(viewport=viewport).new_page()
    page.goto("/audits/review/")
    assert page.locator("[data-row]").count() > 3
    assert width_of(page) <= viewport["width"]
