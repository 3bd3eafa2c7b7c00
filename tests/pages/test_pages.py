"""Every page: who gets it, what its first sentence says, and how many queries it takes."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from post_mortem.core.types import Flag, Outcome
from post_mortem.models import CauseReview, InsightAudit, RecommendationTracking
from post_mortem.pages.imports import in_fields
from trading.models import Account, Execution, ImportBatch, Membership, Role, Trade

from .experiments import an_experiment
from .factories import START, World, make_audit, make_trade, make_user, make_world
from .reading import page, text

LISTS = (
    *("/", "/trades/", "/attribution/", "/recommendations/"),
    *("/audits/review/", "/review/", "/review/past/", "/rules/", "/model/", "/import/"),
    *("/patterns/", "/plans/", "/experiments/"),
)
FORM = {"verdict": "confirmed", "action": "flag", "version": "0", "kept": "yes", "reason": "x"}
_INLINE = re.compile(r"<[^>]+\s(?:style|on[a-z]+)\s*=|<style\b|<script(?![^>]*(?:src=|json))", re.I)


def paths_of(world: World) -> list[str]:
    assert world.untraded is not None
    trade = f"/trades/{world.news_trade.pk}/"
    tests = ["/experiments/new/", f"/experiments/{an_experiment(world).pk}/"]
    advice = RecommendationTracking.objects.filter(account=world.account).first()
    assert advice is not None
    one = f"/recommendations/{advice.pk}/"
    return [*LISTS, *tests, one, trade, f"{trade}replay/", f"/audits/{world.untraded.pk}/"]


# --- who gets what --------------------------------------------------------------------------------
def test_strangers_are_asked_to_sign_in(world: World, client: Client) -> None:
    for path in paths_of(world):
        answer = client.get(path)
        assert answer.status_code == 302
        assert answer["Location"] == f"/sign-in/?next={path}"


def test_the_owner_gets_every_page(world: World, anna: Client) -> None:
    for path in paths_of(world):
        page(anna, path)


def test_what_is_foreign_is_not_there(world: World, client: Client) -> None:
    client.force_login(make_user("bob").owner)
    advice = RecommendationTracking.objects.first()
    experiment = an_experiment(world)
    assert world.untraded is not None
    assert advice is not None
    hidden = [
        ("get", f"/trades/{world.news_trade.pk}/"),
        ("get", f"/trades/{world.news_trade.pk}/replay/"),
        ("get", f"/trades/{world.news_trade.pk}/replay/bars/"),
        ("post", f"/trades/{world.news_trade.pk}/reviewed/"),
        ("post", f"/trades/{world.news_trade.pk}/journal/"),
        ("get", f"/audits/{world.untraded.pk}/"),
        ("post", f"/audits/{world.untraded.pk}/verify/"),
        ("post", f"/audits/{world.untraded.pk}/rerun/"),
        ("post", f"/audits/{world.untraded.pk}/causes/news_shock/"),
        ("post", f"/audits/{world.untraded.pk}/named/"),
        ("post", f"/audits/{world.untraded.pk}/review/"),
        ("get", f"/recommendations/{advice.pk}/"),
        ("get", f"/recommendations/{advice.pk}/state/"),
        ("get", f"/experiments/{experiment.pk}/"),
        ("get", f"/experiments/{experiment.pk}/units.csv"),
        ("post", f"/experiments/{experiment.pk}/note/"),
        ("post", f"/experiments/{experiment.pk}/stop/"),
        ("get", "/trades/999999/"),
    ]
    for method, path in hidden:
        assert getattr(client, method)(path, FORM).status_code == 404, path
    assert "EURUSD" not in page(client, "/trades/")
    exported = b"".join(client.get("/trades/export.csv").streaming_content)
    assert exported.count(b"\r\n") == 1


def test_a_reviewer_reviews_but_writes_nothing_else(world: World, client: Client) -> None:
    reader = make_user("rita").owner
    Membership.objects.create(user=reader, desk=world.account.desk, role=Role.REVIEWER)
    client.force_login(reader)
    trade = f"/trades/{world.news_trade.pk}/"
    html = page(client, trade)
    # The causes and the label are a reviewer's business, the trader's journal is not.
    assert "data-review" in html
    assert "Override the label" in html
    assert 'name="stars"' not in html
    assert "Reviewed</button>" not in html
    assert client.post(f"{trade}reviewed/", {"reviewed": "yes"}).status_code == 400
    world.news_trade.refresh_from_db()
    assert world.news_trade.reviewed_at is None


def test_posting_without_the_token_is_refused(world: World) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(world.user)
    answer = strict.post(f"/trades/{world.news_trade.pk}/reviewed/", {"reviewed": "yes"})
    assert answer.status_code == 403
    assert "Not allowed." in answer.content.decode()


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_pages_are_only_read(anna: Client, method: str) -> None:
    assert getattr(anna, method)("/trades/").status_code == 405


def test_every_route_of_the_pages_is_in_this_file() -> None:
    named = {pattern.name for pattern in _patterns()}
    assert named == {
        "dashboard", "trades", "trades-judge", "trades-export", "trade", "trade-reviewed",
        "trade-journal", "trade-replay", "trade-replay-bars", "audit", "audit-verify",
        "audit-rerun", "audits-rerun", "rules", "rule-remove", "rule-undo",
        "attribution", "patterns", "patterns-search", "pattern", "plans", "plan-draft", "plan",
        "review", "review-past", "review-change", "review-report", "review-minutes",
        "cause-review", "review-queue", "audit-review", "audit-named", "recommendations",
        "experiments", "experiments-export", "experiment", "experiment-new",
        "experiment-note", "experiment-stop", "experiment-units", "model",
        "recommendation", "recommendation-state", "import", "import-undo", "demo-remove",
        "sign-in", "sign-out",
    }  # fmt: skip


def _patterns() -> list:
    (pages,) = [p for p in get_resolver().url_patterns if getattr(p, "app_name", "") == "pages"]
    return list(pages.url_patterns)


# --- what every page keeps ------------------------------------------------------------------------
def test_no_page_carries_anything_inline(world: World, anna: Client) -> None:
    for path in [*paths_of(world), "/sign-in/", "/nowhere/"]:
        html = anna.get(path).content.decode()
        assert not _INLINE.search(html), path


def test_every_page_names_its_limits_and_its_zone(world: World, anna: Client) -> None:
    for path in paths_of(world):
        html = text(page(anna, path))
        assert "Looks back only. Not investment advice." in html
        assert "Times in Europe/London." in html
        assert "TradingView" in html


def test_notes_and_tags_are_shown_as_they_were_written(world: World, anna: Client) -> None:
    Trade.objects.filter(pk=world.news_trade.pk).update(
        notes='<img src=x onerror="alert(1)">{{7*7}}', tags=["<script>x</script>"]
    )
    html = page(anna, f"/trades/{world.news_trade.pk}/") + page(anna, "/trades/")
    assert "<img src=x" not in html
    assert "<script>x" not in html
    assert "&lt;img src=x" in html
    assert "{{7*7}}" in html


@pytest.mark.parametrize("path", LISTS)
def test_a_list_takes_the_same_number_of_queries_however_long(
    world: World, anna: Client, path: str
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            page(anna, path)
        return len(captured)

    page(anna, path)
    before = queries()
    for n in range(8):
        trade, found = make_trade(world, START + timedelta(minutes=41 * n + 3), -1)
        make_audit(world, trade, found)
        RecommendationTracking.objects.create(
            account=world.account, advice_key=f"k{n}", kind="k", area="risk", recommendation="x"
        )
        ImportBatch.objects.create(
            kind="trades", account=world.account, file_name=f"{n}.csv", format="csv"
        )
    assert queries() == before
    assert before <= 20


def test_a_trade_takes_the_same_number_of_queries_whatever_its_facts(
    world: World, anna: Client
) -> None:
    counts = set()
    for trade in (world.news_trade, world.trades[1], world.trades[4]):
        with CaptureQueriesContext(connection) as captured:
            page(anna, f"/trades/{trade.pk}/")
        counts.add(len(captured))
    assert max(counts) <= 26
    assert (
        max(counts) - min(counts) <= 3
    )  # recommendations and news are asked for when there are any


# --- the post-mortem ------------------------------------------------------------------------------
def test_the_post_mortem_says_what_happened_and_why(world: World, anna: Client) -> None:
    html = page(anna, f"/trades/{world.news_trade.pk}/")
    said = text(html)
    assert "Stopped out after 24 min: −1.00 R." in said
    assert "A scheduled release moved the market against the trade." in said
    assert "Nonfarm Payrolls" in said
    assert "on this cause’s scale of 50–85; not comparable between causes" in html
    assert "Could not check 3" in said
    assert "Too few earlier scored trades are known." in said
    assert "At mid prices and without costs: −0.91 R, still a loss." in said
    assert "Built-in narrator · every number from facts" in said
    assert "−153.50" in said


def test_evidence_on_a_bar_is_a_button_and_other_evidence_is_not(
    world: World, anna: Client
) -> None:
    html = page(anna, f"/trades/{world.news_trade.pk}/")
    assert re.search(r'<button class="chip evidence"[^>]*data-fact="E1[01]"', html)
    assert re.search(r'<span class="chip"><b>E12</b>', html)


def test_a_trade_that_reached_its_target_has_nothing_to_explain(world: World, anna: Client) -> None:
    won = next(t for t in world.trades if t.net_pnl > 0)
    said = text(page(anna, f"/trades/{won.pk}/"))
    assert "Target reached in" in said
    assert "It reached its aim: nothing to explain." in said
    assert "Confirm" not in said


def test_a_trade_without_an_audit_says_what_it_needs(world: World, anna: Client) -> None:
    said = text(page(anna, f"/trades/{world.trades[-1].pk}/"))
    assert "Not judged yet" in said
    assert "It needs candles of its time." in said


def test_a_trade_without_a_stop_has_no_r_and_says_so(world: World, anna: Client) -> None:
    InsightAudit.objects.filter(trade=world.news_trade).update(r_multiple=None, mae_r=None)
    Trade.objects.filter(pk=world.news_trade.pk).update(
        stop_loss_initial=None, stop_loss_final=None
    )
    html = page(anna, f"/trades/{world.news_trade.pk}/")
    assert 'title="no initial stop"' in html
    assert "0.00 R</span>" not in html


def test_an_untraded_signal_has_the_same_page(world: World, anna: Client) -> None:
    assert world.untraded is not None
    said = text(page(anna, f"/audits/{world.untraded.pk}/"))
    assert "not traded" in said
    assert "Tags and notes" not in said
    assert "Narrative" in said


def test_neighbours_stay_within_the_filter(world: World, anna: Client) -> None:
    longs = [t for t in world.trades if t.side > 0]
    newest = max(longs, key=lambda t: (t.closed_at, t.pk))
    html = page(anna, f"/trades/{newest.pk}/?side=long")
    assert f"1 of {len(longs)} filtered" in text(html)
    following = re.search(r'rel="next" href="/trades/(\d+)/\?side=long"', html)
    assert following
    assert Trade.objects.get(pk=following[1]).side > 0
    assert 'rel="prev"' not in html


def test_neighbours_can_be_those_of_the_account_or_all(world: World, anna: Client) -> None:
    newest = max((t for t in world.trades if t.side > 0), key=lambda t: (t.closed_at, t.pk))
    longs = sum(t.side > 0 for t in world.trades)
    path = f"/trades/{newest.pk}/?side=long"
    assert f"of {longs} filtered" in text(page(anna, path))
    assert 'data-key="f" href="?side=long&amp;scope=all"' in page(anna, path)
    assert f"of {len(world.trades)} all" in text(page(anna, f"{path}&scope=all"))
    # One account: its trades are all, so it is no third scope.
    assert 'href="?side=long&amp;scope=filtered"' in page(anna, f"{path}&scope=all")
    assert anna.get(f"{path}&scope=desk").status_code == 400
    second = Account.objects.create(
        desk=world.account.desk, owner=world.account.owner, name="second"
    )
    Trade.objects.filter(pk__in=[t.pk for t in world.trades if t.side < 0]).update(account=second)
    assert 'href="?side=long&amp;scope=account"' in page(anna, f"{path}&scope=all")
    assert f"of {longs} this account" in text(page(anna, f"{path}&scope=account"))


def test_without_a_filter_or_a_second_account_there_is_one_scope(
    world: World, anna: Client
) -> None:
    html = page(anna, f"/trades/{world.news_trade.pk}/")
    assert f"of {len(world.trades)}" in text(html)
    assert 'data-key="f"' not in html


def test_a_trade_outside_its_filter_offers_the_others(world: World, anna: Client) -> None:
    html = page(anna, f"/trades/{world.news_trade.pk}/?side=short")
    assert "not among filtered" in text(html)
    assert 'data-key="f" href="?side=short&amp;scope=all"' in html


def test_coarser_bars_are_made_of_the_stored_ones(world: World, anna: Client) -> None:
    answer = anna.get(f"/trades/{world.news_trade.pk}/?tf=5m")
    data = answer.context["judged"].chart.data
    assert data["timeframe"] == "5m"
    assert data["barSeconds"] == 300
    assert all(time % 300 == 0 for time in data["bars"]["time"])


def test_a_horizon_that_was_not_judged_is_not_there(world: World, anna: Client) -> None:
    assert anna.get(f"/trades/{world.news_trade.pk}/?h=7D").status_code == 404


def test_reading_marks_and_unmarks(world: World, anna: Client) -> None:
    path = f"/trades/{world.news_trade.pk}/"
    for word, marked in (("yes", True), ("no", False)):
        answer = anna.post(f"{path}reviewed/?side=long", {"reviewed": word})
        assert answer["Location"] == f"{path}?side=long"
        world.news_trade.refresh_from_db()
        assert (world.news_trade.reviewed_at is not None) is marked


def test_the_journal_keeps_what_was_written(world: World, anna: Client) -> None:
    path = f"/trades/{world.news_trade.pk}/journal/"
    anna.post(path, {"tags": "news,  a  b ,news,", "mistakes": "early", "stars": "4", "notes": "x"})
    trade = world.news_trade
    trade.refresh_from_db()
    assert (trade.tags, trade.mistakes, trade.stars, trade.notes) == (
        ["news", "a b"],
        ["early"],
        4,
        "x",
    )


@pytest.mark.parametrize(
    "bad",
    [{"stars": "9"}, {"stars": "x"}, {"notes": "x" * 5001}, {"tags": "y" * 41}, {"tags": "a\x07b"}],
)
def test_a_bad_journal_changes_nothing(world: World, anna: Client, bad: dict[str, str]) -> None:
    answer = anna.post(f"/trades/{world.news_trade.pk}/journal/", {"tags": "new", **bad})
    assert answer.status_code == 400
    world.news_trade.refresh_from_db()
    assert world.news_trade.tags == ["news"]
    assert world.news_trade.stars is None


def test_a_cause_is_confirmed_and_taken_back(world: World, anna: Client) -> None:
    audit = InsightAudit.objects.get(trade=world.news_trade)
    path = f"/audits/{audit.pk}/causes/news_shock/"
    anna.post(path, {"verdict": "confirmed"})
    assert CauseReview.objects.get(audit=audit).verdict == "confirmed"
    assert 'data-review="y" aria-pressed="true"' in page(anna, f"/trades/{world.news_trade.pk}/")
    anna.post(path, {"verdict": "confirmed"})
    assert not CauseReview.objects.filter(audit=audit).exists()


def test_a_form_does_not_send_anybody_elsewhere(world: World, anna: Client) -> None:
    audit = InsightAudit.objects.get(trade=world.news_trade)
    path = f"/audits/{audit.pk}/causes/news_shock/"
    for target in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        answer = anna.post(path, {"verdict": "confirmed", "next": target})
        assert answer["Location"] == f"/audits/{audit.pk}/"


def test_a_sentence_that_no_longer_follows_from_the_evidence_is_withheld(
    world: World, anna: Client
) -> None:
    analysis = world.news_trade.analysis
    analysis.analysis_data["performance_analysis"]["overall_evaluation"] = "It made 9.99 R [E1]."
    analysis.save()
    said = text(page(anna, f"/trades/{world.news_trade.pk}/"))
    assert "9.99" not in said
    assert "1 sentence withheld: no longer supported by the evidence." in said


# --- the demo -------------------------------------------------------------------------------------
def test_the_demo_says_that_it_is_one_and_goes_when_asked(client: Client, db: None) -> None:
    world = make_world("demo", demo=True, trades=3)
    client.force_login(world.user)
    assert "Simulated desk." in page(client, "/")
    assert client.post("/demo/remove/").status_code == 302
    assert not Account.objects.filter(pk=world.account.pk).exists()


def test_a_reader_of_the_demo_does_not_remove_it(client: Client, db: None) -> None:
    world = make_world("demo", demo=True, trades=3)
    reader = make_user("rita").owner
    Membership.objects.create(user=reader, desk=world.account.desk, role=Role.REVIEWER)
    client.force_login(reader)
    answer = client.post("/demo/remove/", follow=True)
    assert "Only who runs the simulated desk may remove it." in answer.content.decode()
    assert Account.objects.filter(pk=world.account.pk).exists()


def test_nobody_elses_desk_is_called_simulated(anna: Client) -> None:
    assert "Simulated desk." not in page(anna, "/")


# --- the board ------------------------------------------------------------------------------------
def test_the_board_lists_by_status_and_area(world: World, anna: Client) -> None:
    advice = RecommendationTracking.objects.get(area="news")
    said = text(page(anna, "/recommendations/"))
    assert "Open no new trade shortly before high-impact USD releases" in said
    assert "came up 1 time" in said
    RecommendationTracking.objects.filter(pk=advice.pk).update(implementation_status="IGNORED")
    assert "Open no new trade" not in page(anna, "/recommendations/")
    assert "Open no new trade" in page(anna, "/recommendations/?status=IGNORED&area=news")
    assert "Open no new trade" not in page(anna, "/recommendations/?status=IGNORED&area=risk")


@pytest.mark.parametrize("query", ["status=DONE", "sort=luck", "overdue=maybe"])
def test_the_board_refuses_what_it_does_not_know(anna: Client, query: str) -> None:
    assert anna.get(f"/recommendations/?{query}").status_code == 400


def test_a_stale_page_can_ask_who_was_faster(world: World, anna: Client) -> None:
    from django.utils import timezone

    from post_mortem.services.recommendations import track

    advice = RecommendationTracking.objects.get(area="news")
    track(
        recommendation_id=advice.pk,
        status="IMPLEMENTED",
        notes="tried",
        version=1,
        user=world.user,
        now=timezone.now(),
    )
    state = anna.get(f"/recommendations/{advice.pk}/state/").json()
    assert (state["status"], state["version"], state["changed_by"]) == ("IMPLEMENTED", 2, "anna")


# --- signing in -----------------------------------------------------------------------------------
@pytest.mark.django_db
def test_an_empty_installation_says_how_to_make_a_login(client: Client, settings: Any) -> None:
    assert "Nobody can sign in yet" in text(page(client, "/sign-in/"))
    settings.PRODUCTION = True
    assert "Nobody" not in text(page(client, "/sign-in/"))
    settings.PRODUCTION = False
    get_user_model().objects.create_user("trader", password=None)
    assert "changepassword" in text(page(client, "/sign-in/"))
    get_user_model().objects.create_user("anna", password="ready-for-4-demo")
    assert "Nobody" not in text(page(client, "/sign-in/"))


def test_signing_in_and_out(world: World, client: Client) -> None:
    said = text(page(client, "/sign-in/"))
    assert "Name Password Sign in" in said
    answer = client.post("/sign-in/", {"username": "anna", "password": "wrong"})
    assert "Name or password is wrong." in answer.content.decode()
    answer = client.post("/sign-in/", {"username": "anna", "password": "a long password"})
    assert answer["Location"] == "/"
    assert client.get("/sign-in/").status_code == 302
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_too_many_wrong_passwords_lock_and_say_so(world: World, client: Client, settings) -> None:
    settings.AXES_ENABLED = True
    for _ in range(settings.AXES_FAILURE_LIMIT):
        answer = client.post("/sign-in/", {"username": "anna", "password": "wrong"})
    assert answer.status_code == 429
    assert "Locked for 15 min." in answer.content.decode()
    right = client.post("/sign-in/", {"username": "anna", "password": "a long password"})
    assert right.status_code == 429


def test_what_breaks_is_a_page_of_ours(world: World, anna: Client, monkeypatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("post_mortem.pages.trades.selectors.counts", broken)
    anna.raise_request_exception = False
    answer = anna.get("/trades/")
    assert answer.status_code == 500
    assert "Something broke on our side." in answer.content.decode()
    assert "boom" not in answer.content.decode()


def test_an_importers_message_names_the_fields_of_the_page() -> None:
    assert in_fields("name it with --symbol, like EURUSD, or --tz") == (
        "name it with “Symbol”, like EURUSD, or “Time zone of the file”"
    )
    assert in_fields("declare --date-order dmy or mdy") == (
        "declare “Dates like 01/02/2024 are” day first or month first"
    )
    assert in_fields("declare a decimal comma with --dialect decimal-comma, or write") == (
        "declare a decimal comma with “1,2345 means 1.2345”, or write"
    )
    assert in_fields("(--map COLUMN=fee)") == "(“Columns of a table” COLUMN=fee)"
    assert in_fields("with --encoding") == "with --encoding on the command line"


def test_the_fields_that_a_refused_file_needs_are_shown(world: World, anna: Client) -> None:
    table = b"entry_time,side,qty,symbol,entry\n01/02/2024 12:00,long,1,EURUSD,1.1\n"
    file = SimpleUploadedFile("t.csv", table)
    answer = anna.post("/import/", {"kind": "trades", "file": file, "do": "preview"})
    said = answer.content.decode()
    assert answer.status_code == 422
    assert "entry_time is &#x27;01/02/2024 12:00&#x27;" in said
    assert 'id="import-options" open' in said
    assert 'id="import-options">' in page(anna, "/import/")


def test_what_a_command_brought_in_for_everybody_is_an_administrators(
    world: World, anna: Client
) -> None:
    shared = ImportBatch.objects.create(kind="news", file_name="fed.csv", format="csv")
    assert "fed.csv" not in page(anna, "/import/")
    undo = f"/import/{shared.pk}/undo/"
    assert anna.post(undo).status_code == 404
    get_user_model().objects.filter(pk=world.user.pk).update(is_superuser=True)
    assert f"{shared.pk} " in text(page(anna, "/import/"))
    assert "fed.csv everybody" in text(page(anna, "/import/"))
    assert anna.post(undo).status_code == 302
    shared.refresh_from_db()
    assert shared.status == "undone"


def test_an_untraded_signal_that_was_not_judged_has_a_stop_and_names_its_missing_bars(
    world: World, anna: Client
) -> None:
    audit = world.untraded
    assert audit is not None
    InsightAudit.objects.filter(pk=audit.pk).update(
        r_multiple=None, mae_r=None, mfe_r=None, outcome=Outcome.NEEDS_REVIEW
    )
    said = text(page(anna, f"/audits/{audit.pk}/"))
    assert "(no initial stop)" not in said
    assert "Result – (not judged)" in said
    assert "MAE – (not judged) · MFE – (not judged)" in said


def test_fees_of_the_whole_trade_are_said_where_executions_have_none(
    world: World, anna: Client
) -> None:
    Execution.objects.update(commission=None)
    said = text(page(anna, f"/trades/{world.news_trade.pk}/"))
    assert "(the file has one for the whole trade)" in said
    assert "Commission of the whole trade: −3.50 USD" in said
    Trade.objects.update(commission=None)
    assert "Commission of the whole" not in text(page(anna, f"/trades/{world.news_trade.pk}/"))


def test_a_price_that_cannot_be_is_no_success_to_leave_alone(world: World, anna: Client) -> None:
    audit = InsightAudit.objects.filter(horizon="TRADE", outcome=Outcome.SUCCEEDED)[0]
    there = f"/trades/{audit.trade_id}/"
    assert "nothing to explain" in text(page(anna, there))
    far = int(Flag.EXIT_OUTSIDE_CANDLE | Flag.FAR_OUTSIDE_CANDLE)
    InsightAudit.objects.filter(pk=audit.pk).update(flags=far)
    said = text(page(anna, there))
    assert "nothing to explain" not in said
    assert "far outside its candle: check it in the file first." in said
