"""A review held by keyboard in a real browser: decided, agreed, closed, presented and printed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from post_mortem.models import MeetingDecision, ReviewMeeting
from post_mortem.services import recommendations
from post_mortem.services.meetings import Choice, decide, open_meeting
from tests.services.meeting_desk import NOW, WEEK, MeetingDesk, make_desk

from .browsing import DESK, PHONE, Opened, blocked, serious_faults, width_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def desk(db: None) -> MeetingDesk:
    return make_desk()


@pytest.fixture
def reader(desk: MeetingDesk) -> Any:
    return desk.user


def path(desk: MeetingDesk) -> str:
    return f"/review/?account={desk.account.pk}&from={WEEK.first}&to={WEEK.last}"


def visible_steps(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('[data-step]')].filter((e) => e.checkVisibility()"
        " && e.open).map((e) => e.dataset.step)"
    )
    return found


def test_a_meeting_is_held_by_keyboard(desk: MeetingDesk, page: Page) -> None:
    page.goto(path(desk))
    # The first press chooses the proposal, only the second decides on it.
    page.keyboard.press("a")
    page.wait_for_selector("[data-row][data-selected=true]")
    assert not MeetingDecision.objects.exists()
    page.keyboard.press("a")
    page.wait_for_selector("#step-6 .decisions li")
    assert "Accepted: Stay out around USD releases." in page.locator("#step-6").inner_text()
    assert desk.news.implementation_status == "IMPLEMENTED"

    page.keyboard.press("j")
    page.keyboard.press("d")
    page.keyboard.type("Too costly.")
    page.keyboard.press("Enter")
    page.wait_for_selector("#step-6 .decisions li:nth-child(2)")
    assert desk.stop.implementation_status == "IGNORED"

    page.get_by_role("button", name="Close", exact=True).first.click()
    page.locator("#review-said .note.error").wait_for()
    assert "Choose exactly one action." in page.locator("#review-said").inner_text()

    page.get_by_role("textbox", name="Action").fill("No USD-news entries")
    page.get_by_role("textbox", name="Measure").fill("Times kept")
    page.get_by_role("textbox", name="Target").fill("5 of 5")
    page.keyboard.press("Enter")
    page.wait_for_selector("#step-7 .agreed")
    page.get_by_role("button", name="Close", exact=True).first.click()
    page.wait_for_selector(".review-closed")
    meeting = ReviewMeeting.objects.get()
    assert meeting.minutes_sha256[:12] in page.locator(".review-closed").inner_text()
    assert page.locator("#review form[data-save]").count() == 0
    assert blocked(page) == []


def test_a_decision_is_taken_back(desk: MeetingDesk, page: Page) -> None:
    page.goto(path(desk))
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.wait_for_selector("#step-6 .decisions li")
    page.get_by_role("button", name="Take back").click()
    page.wait_for_selector("#step-6 .undone")
    assert desk.news.implementation_status == "PENDING"
    assert page.locator("#step-5 [data-row]").count() == 2


def test_presenting_shows_a_step_a_screen_and_hides_money(desk: MeetingDesk, page: Page) -> None:
    page.goto(path(desk))
    assert visible_steps(page) == list("1234567")
    money = page.locator("#step-1 .money-value")
    page.keyboard.press("Shift+F")
    page.wait_for_selector("[data-presenting=on]")
    assert visible_steps(page) == ["1"]
    assert money.evaluate("(e) => getComputedStyle(e).visibility") == "hidden"
    assert page.locator("nav.nav").is_hidden()
    page.keyboard.press("ArrowRight")
    assert visible_steps(page) == ["2"]
    page.keyboard.press("4")
    assert visible_steps(page) == ["4"]
    size = page.locator("#step-4 .step-body p span").first
    assert size.evaluate("(e) => getComputedStyle(e).fontSize") == "32px"
    page.keyboard.press("7")
    page.keyboard.press("ArrowRight")
    assert visible_steps(page) == ["7"]
    # What is decided on the wall stays on the wall.
    page.keyboard.press("5")
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.wait_for_selector("#step-5 [data-row]:only-child")
    assert visible_steps(page) == ["5"]
    page.keyboard.press("Escape")
    page.wait_for_selector("html:not([data-presenting])")
    assert visible_steps(page) == list("1234567")
    assert money.evaluate("(e) => getComputedStyle(e).visibility") == "visible"
    assert MeetingDecision.objects.count() == 1


def test_a_phone_has_one_fold_open(desk: MeetingDesk, opened: Opened) -> None:
    page = opened(viewport=PHONE).new_page()
    page.goto(path(desk))
    assert visible_steps(page) == ["1"]
    bar = page.locator(".step-bar")
    assert "Step 1 of 7" in bar.inner_text()
    bar.get_by_role("button", name="Next step").click()
    assert visible_steps(page) == ["2"]
    page.locator("#step-5 > summary").click()
    page.wait_for_selector("#step-5[data-current]")
    assert visible_steps(page) == ["5"]
    assert "Step 5 of 7" in bar.inner_text()
    for step in range(1, 8):
        page.evaluate(f"document.querySelector('#step-{step}').open = true")
        page.wait_for_timeout(50)
        assert width_of(page) <= PHONE["width"], step
    small = page.evaluate(
        "[...document.querySelectorAll('main button, main select, main input')]"
        ".filter((e) => e.checkVisibility() && e.type !== 'hidden')"
        ".filter((e) => e.getBoundingClientRect().height < 40).map((e) => e.outerHTML)"
    )
    assert small == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(
    desk: MeetingDesk,
    opened: Opened,
    viewport: dict[str, int],
    theme: str,
) -> None:
    page = opened(viewport=viewport, color_scheme=theme).new_page()
    page.goto(path(desk), wait_until="networkidle")
    found = serious_faults(page)
    if viewport == DESK:
        page.keyboard.press("Shift+F")
        page.keyboard.press("5")
        found += serious_faults(page)
    assert found == []


def test_it_prints_everything_but_the_controls(desk: MeetingDesk, page: Page) -> None:
    page.goto(path(desk))
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.wait_for_selector("#step-6 .decisions li")
    for box in page.query_selector_all("[data-step]"):
        box.evaluate("(e) => { e.open = false; }")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 30, 36)"
    shown = " ".join(page.locator("main").inner_text().split())
    for words in (
        "+1.1 R in 5 trades, 2 won.",
        "Review · Mon 2 – Sun 8 Jun 2014 · Europe/London",
        "Accepted: Stay out around USD releases.",
        "Place the stop outside the noise.",
        "London",
    ):
        assert words in shown, words
    for control in ("Take back", "Ignore, because", "Present", "Step 1 of 7"):
        assert control not in shown, control
    assert page.locator(".review-trades tbody tr").count() == 5
    for form, box in (("A4", b"595"), ("Letter", b"612")):
        pdf = page.pdf(format=form)
        assert pdf.startswith(b"%PDF")
        assert re.search(rb"/MediaBox ?\[ ?0 0 " + box, pdf), form
        assert len(re.findall(rb"/Type ?/Page\b", pdf)) <= 3


@pytest.mark.parametrize(("button", "decided"), [("Keep theirs", 1), ("Apply mine", 2)])
def test_who_was_slower_chooses(desk: MeetingDesk, page: Page, button: str, decided: int) -> None:
    meeting = open_meeting(account_id=desk.account.pk, period=WEEK, user=desk.user, now=NOW)
    page.goto(path(desk))
    theirs = Choice("ignore", desk.stop.pk, 1, reason="Not for us.")
    decide(meeting_id=meeting.pk, version=1, choice=theirs, user=desk.user, now=NOW)
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.locator("#review-said [data-stale]").wait_for()
    said = page.locator("#review-said").inner_text()
    assert "Yours was not saved." in said
    assert "ignored “Place the stop outside the noise.”" in said
    page.locator("#review-said").get_by_text(button).click()
    page.wait_for_selector(f"#step-6 .decisions li:nth-child({decided})")
    assert MeetingDecision.objects.count() == decided


def test_a_server_that_is_gone_is_not_pretended_away(desk: MeetingDesk, page: Page) -> None:
    page.goto(path(desk))
    page.route("**/review/decide/", lambda route: route.abort())
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.locator("#review-said .note.error").wait_for()
    assert "The server did not answer" in page.locator("#review-said").inner_text()
    assert not MeetingDecision.objects.exists()


def test_without_scripts_the_forms_do_it(desk: MeetingDesk, opened: Opened) -> None:
    page = opened(java_script_enabled=False).new_page()
    page.goto(path(desk))
    page.get_by_role("button", name="Accept").first.click()
    page.wait_for_url("**#step-6")
    assert desk.news.implementation_status == "IMPLEMENTED"


def test_advice_changed_on_the_board_since_is_not_overwritten(
    desk: MeetingDesk, page: Page
) -> None:
    page.goto(path(desk))
    recommendations.track(
        recommendation_id=desk.news.pk,
        status="PENDING",
        notes="Wait.",
        version=1,
        user=desk.user,
        now=NOW + timedelta(hours=1),
    )
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.locator("#review-said [data-stale]").wait_for()
    assert desk.news.implementation_status == "PENDING"
    page.locator("#review-said").get_by_text("Apply mine").click()
    page.wait_for_selector("#step-6 .decisions li")
    assert desk.news.implementation_status == "IMPLEMENTED"
