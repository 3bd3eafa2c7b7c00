"""The pages in a real browser: what the content security policy, a keyboard and a phone make of
them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.utils import timezone

from post_mortem.models import CauseReview, InsightAudit, RecommendationTracking
from post_mortem.services.recommendations import track
from trading.models import Trade

from .experiments import an_experiment
from .factories import World, make_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) =>
  window.violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
"""


@pytest.fixture
def world(transactional_db: None) -> World:
    return make_world(trades=6)


@pytest.fixture
def opened(
    browser: Browser, live_server: Any, world: World
) -> Iterator[Callable[..., BrowserContext]]:
    """Contexts of a browser in which Anna is signed in."""
    contexts: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        client = Client()
        client.force_login(world.user)
        context = browser.new_context(base_url=live_server.url, **({"viewport": DESK} | options))
        cookie = client.cookies["sessionid"].value
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
        context.add_init_script(_WATCH)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(opened: Callable[..., BrowserContext]) -> Page:
    return opened().new_page()


def paths_of(world: World) -> list[str]:
    assert world.untraded is not None
    lists = ["/", "/?unit=money", "/trades/", "/recommendations/", "/audits/review/", "/import/"]
    lists.append("/nowhere/")
    lists += ["/experiments/", "/experiments/new/", f"/experiments/{an_experiment(world).pk}/"]
    trades = [f"/trades/{world.news_trade.pk}/", f"/trades/{world.trades[-1].pk}/"]
    trades.append(f"/trades/{world.news_trade.pk}/replay/")
    return [*lists, *trades, f"/audits/{world.untraded.pk}/"]


def open_trade(page: Page, world: World) -> None:
    page.goto(f"/trades/{world.news_trade.pk}/")
    page.wait_for_selector("#chart[data-drawn=yes] canvas")


# --- what the browser must not see ----------------------------------------------------------------
def test_nothing_is_blocked_and_nothing_comes_from_elsewhere(world: World, page: Page) -> None:
    elsewhere: list[str] = []
    said: list[str] = []
    page.on("request", lambda r: elsewhere.append(r.url) if _is_foreign(r.url) else None)
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    for path in paths_of(world):
        page.goto(path, wait_until="networkidle")
        assert page.evaluate("window.violations") == [], path
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
    assert len(page.evaluate("window.violations")) == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    world: World, opened: Callable[..., BrowserContext], theme: str
) -> None:
    page = opened(color_scheme=theme).new_page()
    found = []
    for path in paths_of(world):
        page.goto(path, wait_until="networkidle")
        for fault in Axe().run(page).response["violations"]:
            if fault["impact"] in ("serious", "critical"):
                where = [node["html"][:120] for node in fault["nodes"][:3]]
                found.append((path, fault["id"], where))
    assert found == []


def test_no_page_scrolls_sideways_on_a_phone(
    world: World, opened: Callable[..., BrowserContext]
) -> None:
    page = opened(viewport=PHONE).new_page()
    for path in paths_of(world):
        page.goto(path, wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        small = page.evaluate(
            "[...document.querySelectorAll('main button, main select, .bottom > *')]"
            ".filter((e) => e.checkVisibility() && !e.matches('.chip, .cite, .cause-name'))"
            ".filter((e) => e.getBoundingClientRect().height < 27).map((e) => e.outerHTML)"
        )
        assert small == [], path


# --- the chart ------------------------------------------------------------------------------------
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


# --- the post-mortem on a phone ------------------------------------------------------------------
@pytest.fixture
def phone(opened: Callable[..., BrowserContext], world: World) -> Page:
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


# --- the keyboard ---------------------------------------------------------------------------------
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


# --- the replay -----------------------------------------------------------------------------------
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


# --- advice ---------------------------------------------------------------------------------------
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


# --- import ---------------------------------------------------------------------------------------
_TABLE = b"""symbol,side,quantity,opened_at,entry_price,closed_at,exit_price
EURUSD,long,1,2014-05-01T10:00:00Z,1.3870,2014-05-01T11:00:00Z,1.3890
EURUSD,short,2,2014-05-01T12:00:00Z,1.3880,2014-05-01T13:00:00Z,1.3870
"""


def test_a_file_is_previewed_imported_and_taken_back(world: World, page: Page) -> None:
    before = Trade.objects.count()
    page.goto("/import/")
    page.set_input_files(
        "input[name=file]", {"name": "t.csv", "mimeType": "text/csv", "buffer": _TABLE}
    )
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Would import: 2 trades new").wait_for()
    assert Trade.objects.count() == before
    page.get_by_role("button", name="Import 2 trades").click()
    page.get_by_text("Imported: 2 trades new").wait_for()
    assert Trade.objects.count() == before + 2
    page.goto("/import/")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Taken back.").wait_for()
    assert Trade.objects.count() == before


def test_a_bad_file_says_which_line_and_saves_nothing(world: World, page: Page) -> None:
    before = Trade.objects.count()
    page.goto("/import/")
    bad = _TABLE.replace(b"2014-05-01T13:00:00Z", b"2014-05-01T11:30:00Z")
    page.set_input_files(
        "input[name=file]", {"name": "t.csv", "mimeType": "text/csv", "buffer": bad}
    )
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Nothing was saved.").wait_for()
    assert "line 3" in page.locator("#import-result").inner_text()
    assert Trade.objects.count() == before


# --- a person's word ------------------------------------------------------------------------------
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
    assert page.evaluate("window.violations") == []


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
def test_the_queue_fits_its_screen(
    world: World, opened: Callable[..., BrowserContext], viewport: dict[str, int]
) -> None:
    InsightAudit.objects.update(is_flagged=True)
    page = opened(viewport=viewport).new_page()
    page.goto("/audits/review/")
    assert page.locator("[data-row]").count() > 3
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
