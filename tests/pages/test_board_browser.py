"""The board in a real browser: keys, notes, undo, many at once, and what a row opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from post_mortem.models import MeasurementPlan, RecommendationTracking
from post_mortem.services.recommendations import track
from tests.services.impact_data import add_advice

from .browsing import blocked, open_trade
from .factories import World

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def first(world: World) -> RecommendationTracking:
    found = RecommendationTracking.objects.filter(account=world.account).order_by("pk").first()
    assert found is not None
    return found


def said(page: Page, text: str) -> None:
    page.wait_for_function(
        "(text) => document.getElementById('announce').textContent.includes(text)", arg=text
    )


def test_keys_implement_note_and_undo(world: World, page: Page) -> None:
    row = first(world)
    page.goto("/recommendations/")
    page.keyboard.press("j")
    page.keyboard.press("a")
    said(page, "Set to Implemented")
    row.refresh_from_db()
    assert (row.implementation_status, row.version) == ("IMPLEMENTED", 2)
    assert MeasurementPlan.objects.filter(recommendation=row, ended_at=None).exists()
    page.keyboard.press("n")
    page.keyboard.type("tried it")
    page.locator("form[data-fields] button[type=submit]").first.click()
    said(page, "Saved")
    row.refresh_from_db()
    assert (row.notes, row.implementation_status) == ("tried it", "IMPLEMENTED")
    page.locator("[data-row] a.advice-text").first.focus()
    page.keyboard.press("z")
    said(page, "Taken back")
    row.refresh_from_db()
    assert (row.notes, row.version) == ("", 4)
    page.evaluate("document.getElementById('announce').textContent = ''")
    page.keyboard.press("d")
    said(page, "Set to Ignored")
    row.refresh_from_db()
    assert row.implementation_status == "IGNORED"
    # No trade was covered meanwhile: the measurement was taken back, not left running.
    assert MeasurementPlan.objects.get(recommendation=row).end_reason == "taken_back"


def test_many_are_changed_and_taken_back_together(world: World, page: Page) -> None:
    add_advice(world.account, "thin_market", {"symbol": "EURUSD"})
    page.goto("/recommendations/")
    shown = page.locator("[data-track]").evaluate_all(
        "(all) => all.slice(0, 2).map((box) => Number(box.dataset.recommendation))"
    )
    rows = [RecommendationTracking.objects.get(pk=pk) for pk in shown]
    bar = page.locator("form[data-bulk]")
    assert not bar.is_visible()
    for _ in rows:
        page.keyboard.press("j")
        page.keyboard.press("x")
    assert bar.locator("[data-bulk-count]").inner_text() == "2 chosen"
    bar.locator("select[name=status]").select_option("IGNORED")
    bar.locator("select[name=owner]").select_option("=anna")
    bar.locator("button[type=submit]").click()
    said(page, "Changed 2.")
    for row in rows:
        row.refresh_from_db()
        assert (row.implementation_status, row.owner) == ("IGNORED", world.user)
    with page.expect_navigation():
        bar.locator("[data-bulk-back]").click()
    for row in rows:
        row.refresh_from_db()
        assert (row.implementation_status, row.owner) == ("PENDING", None)


def test_a_row_opens_what_is_behind_it(world: World, page: Page) -> None:
    page.goto("/recommendations/")
    fold = page.locator("details[data-more]").first
    fold.locator("summary").click()
    fold.locator("text=Frozen plan").first.wait_for()
    assert "Never judged." in fold.inner_text()


def test_somebody_faster_is_named_and_nothing_is_overwritten(
    world: World,
    page: Page,
) -> None:
    row = first(world)
    page.goto("/recommendations/")
    RecommendationTracking.objects.filter(pk=row.pk).update(version=5, notes="theirs")
    page.locator("select.status").first.select_option("IGNORED")
    message = page.locator("[data-track-message]")
    message.wait_for()
    assert "Yours was not saved." in message.inner_text()
    row.refresh_from_db()
    assert (row.implementation_status, row.notes) == ("PENDING", "theirs")
    message.locator("text=Apply mine").click()
    said(page, "Set to Ignored")
    row.refresh_from_db()
    assert (row.implementation_status, row.notes, row.version) == ("IGNORED", "theirs", 6)


def test_scope_and_merging_on_the_page_of_one(world: World, page: Page) -> None:
    row, other = first(world), add_advice(world.account, "thin_market", {"symbol": "EURUSD"})
    page.goto(f"/recommendations/{other.pk}/")
    page.locator("text=Another scope").click()
    page.locator("form[data-scope] input[name=side]").fill("long")
    page.locator("form[data-scope] button").click()
    said(page, "Scope saved")
    other.refresh_from_db()
    assert other.scope == {"symbol": "EURUSD", "side": "long"}
    page.locator("text=Merge into other advice").click()
    page.locator("form[data-merge] select").select_option(str(row.pk))
    page.locator("form[data-merge] button").click()
    page.wait_for_url(f"**/recommendations/{row.pk}/")
    other.refresh_from_db()
    assert other.merged_into_id == row.pk


def test_nothing_is_blocked(world: World, page: Page) -> None:
    page.goto(f"/recommendations/{first(world).pk}/", wait_until="networkidle")
    assert blocked(page) == []


# --- statuses -------------------------------------------------------------------------------------
def test_a_status_survives_a_reload(world: World, page: Page) -> None:
    open_trade(page, world)
    with page.expect_response("**/recommendations/track/") as answer:
        page.locator("select.status").first.select_option("IMPLEMENTED")
    assert answer.value.status == 200
    page.reload()
    assert page.locator("select.status").first.input_value() == "IMPLEMENTED"
    page.goto("/recommendations/?status=IMPLEMENTED")
    assert page.locator(".board .advice").count() == 1


def test_two_changes_in_a_row_and_an_undo(world: World, page: Page) -> None:
    page.goto("/recommendations/")
    box = page.locator(".advice").first
    # Faster than the first answer: the second must not fail on its own sibling's version.
    box.locator("select.status").select_option("IMPLEMENTED")
    box.locator("select.status").select_option("IGNORED")
    page.locator('.advice[data-version="3"]').wait_for()
    assert box.locator("select.status").input_value() == "IGNORED"
    with page.expect_response("**/undo/"):
        box.locator("[data-undo]").click()
    page.locator('.advice[data-version="4"]').wait_for()
    assert box.locator("select.status").input_value() == "IMPLEMENTED"


@pytest.mark.parametrize(
    ("button", "status"), [("Keep theirs", "IGNORED"), ("Apply mine", "IMPLEMENTED")]
)
def test_who_was_slower_chooses(world: World, page: Page, button: str, status: str) -> None:
    page.goto("/recommendations/")
    box = page.locator(".advice").first
    pk = int(str(box.get_attribute("data-recommendation")))
    track(
        recommendation_id=pk,
        status="IGNORED",
        notes=None,
        version=1,
        user=world.user,
        now=timezone.now(),
    )
    box.locator("select.status").select_option("IMPLEMENTED")
    box.get_by_text("anna set this to Ignored").wait_for()
    assert "Yours was not saved." in box.inner_text()
    assert RecommendationTracking.objects.get(pk=pk).implementation_status == "IGNORED"
    box.get_by_role("button", name=button).click()
    box.locator("[data-track-message]").wait_for(state="detached")
    assert box.locator("select.status").input_value() == status
    assert RecommendationTracking.objects.get(pk=pk).implementation_status == status


def test_notes_are_kept(world: World, page: Page) -> None:
    page.goto("/recommendations/")
    box = page.locator(".advice").first
    box.get_by_text("Owner, due, notes").click()
    box.locator("textarea").fill("from Monday on")
    with page.expect_response("**/recommendations/track/") as answer:
        box.get_by_role("button", name="Save", exact=True).click()
    assert answer.value.status == 200
    page.reload()
    assert page.locator(".advice textarea").first.input_value() == "from Monday on"


def test_a_change_without_a_server_is_not_pretended(world: World, page: Page) -> None:
    page.goto("/recommendations/")
    page.route("**/recommendations/track/", lambda route: route.abort())
    box = page.locator(".advice").first
    box.locator("select.status").select_option("IMPLEMENTED")
    box.get_by_text("Nothing was saved.").wait_for()
    assert box.locator("select.status").input_value() == "PENDING"
