"""The board: worth, verdicts with their words and bars, filters, and one recommendation opened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from post_mortem.models import ImpactVerdict, MeasurementPlan, RecommendationTracking
from post_mortem.pages.verdicts import counted, shown
from post_mortem.services import recommendations
from post_mortem.services.impact import judge_recommendations
from post_mortem.services.plans import create_improvement_plan
from post_mortem.templatetags.inquest import signed
from tests.services.factories import make_pattern
from tests.services.impact_data import CHANGE, END, add_advice, add_change, implement
from trading.models import Account

from .factories import World, make_user
from .reading import page, text

pytestmark = pytest.mark.django_db
PLAN = MeasurementPlan(data={"trigger": {"window": 10, "mean_r": -0.6}})
QUIET = MeasurementPlan(data={"trigger": None})


def advice_of(world: World) -> RecommendationTracking:
    row = RecommendationTracking.objects.filter(account=world.account).first()
    assert row is not None
    return row


def change(world: World, row: RecommendationTracking, **changes: Any) -> RecommendationTracking:
    row.refresh_from_db()
    return recommendations.change(
        recommendation_id=row.pk,
        changes=changes,
        version=row.version,
        user=world.user,
        now=changes.pop("now", timezone.now()),
    )


@pytest.fixture
def helped(world: World) -> RecommendationTracking:
    """Advice of a second account whose trades became better than the others."""
    account = Account.objects.create(desk=world.account.desk, owner=world.user, name="second")
    add_change(account, 0.9)
    row = add_advice(account, "volatility_stop", {"symbol": "EURUSD"})
    implement(row, claimed_effect_r=0.5, claimed_by="some model")
    judge_recommendations(account=account, now=END)
    return row


# --- words ----------------------------------------------------------------------------------------
def verdict(word: str, **result: Any) -> ImpactVerdict:
    plain: dict[str, Any] = {
        "reason": "boundary",
        "sentence": "A sentence.",
        "n_before": 200,
        "n_after": 120,
        "raw_before_after_r": 0.70,
        "expected_rebound_r": 0.11,
        "estimate_r": 0.55,
        "ci": [0.19, 0.91],
        "shrunk_r": 0.22,
        "look": [3, 6],
        "looks": [{"n": 100}],
        "comparison_trades": 312,
        "sd_r": 1.55,
        "more_trades_needed": None,
    }
    return ImpactVerdict(verdict=word, result=plain | result)


@pytest.mark.parametrize(
    ("word", "result", "chip"),
    [
        ("too_early", {"reason": "few_after", "n_after": 12, "more_trades_needed": 18},
         "Too early · 12 of 30 trades"),
        ("too_early", {"reason": "short_baseline", "n_before": 7},
         "Too early · 7 of 60 trades before it"),
        ("no_evidence_yet", {"reason": "not_crossed", "more_trades_needed": 580},
         "No evidence yet · about 580 more trades"),
        ("no_evidence_yet", {"reason": "one_of_many"},
         "No evidence yet · of so many, one looks this good by chance"),
        ("likely_helped", {}, "Likely helped"),
        ("likely_hurt", {}, "Likely hurt"),
        ("helped", {"a_side": 200}, "Helped · A/B, 200 a side"),
        ("hurt", {"a_side": None}, "Hurt · A/B"),
        ("no_meaningful_effect", {}, "No meaningful effect · within ±0.23 R"),
        ("unresolvable", {}, "This history cannot tell · start an A/B"),
        ("not_evidence", {"reason": "no_comparison"}, "Not evidence · no comparison trades"),
        ("not_evidence", {"reason": "drift"}, "Not evidence · results wandered too much"),
        ("not_evidence", {"reason": "overlap"}, "Not evidence · overlaps “Wider stop”"),
    ],
)  # fmt: skip
def test_every_verdict_has_its_chip(word: str, result: dict[str, Any], chip: str) -> None:
    found = shown(verdict(word, **result), PLAN, ("Wider stop",))
    assert found is not None
    assert found.chip == chip


def test_a_raw_improvement_never_stands_without_its_rebound() -> None:
    found = shown(verdict("likely_helped"), PLAN)
    assert found is not None
    assert [bar.kind for bar in found.bars] == ["raw", "rebound", "adjusted"]
    assert [bar.text for bar in found.bars] == [
        "+0.70 R", "+0.11 R expected anyway", "+0.55 R, 95 % +0.19 to +0.91",
    ]  # fmt: skip
    assert found.sentence == "Against 312 trades it did not cover. Only an A/B can say more."
    assert found.best == "best guess +0.22 R a trade"
    assert found.live == "Live band, not a test."
    at_look = shown(verdict("likely_helped", n_after=100), PLAN)
    assert at_look is not None
    assert at_look.live == ""
    for plan, why in (
        (PLAN, "Rebound: no comparable losing runs."),
        (QUIET, "Rebound: no losing run came before it."),
    ):
        unknown = shown(verdict("likely_helped", expected_rebound_r=None), plan)
        assert unknown is not None
        assert ([bar.kind for bar in unknown.bars], unknown.why_no_rebound) == (
            ["raw", "adjusted"],
            why,
        )


@pytest.mark.parametrize("sign", [1, -1])
def test_bars_begin_at_zero_and_stay_inside(sign: int) -> None:
    result = {
        "raw_before_after_r": 0.7 * sign,
        "expected_rebound_r": 0.1 * sign,
        "estimate_r": 0.55 * sign,
        "ci": sorted((0.19 * sign, 0.91 * sign)),
    }
    found = shown(verdict("no_evidence_yet", **result), PLAN)
    assert found is not None
    raw, rebound, adjusted = found.bars
    for bar in found.bars:
        assert 0 <= bar.x <= bar.x + bar.width <= 320
    for bar in (raw, rebound):
        assert found.zero == pytest.approx(bar.x if sign > 0 else bar.x + bar.width, abs=0.2)
    assert raw.width == pytest.approx(7 * rebound.width, rel=0.02)
    assert adjusted.dot is not None
    assert (adjusted.dot > found.zero) == (sign > 0)


def test_nothing_measured_draws_nothing() -> None:
    found = shown(verdict("too_early", reason="few_after", raw_before_after_r=None), PLAN)
    assert found is not None
    assert (found.bars, found.sentence) == ((), "Nothing to compare yet.")
    assert shown(None, None) is None
    taken = MeasurementPlan(data={}, end_reason="taken_back")
    assert shown(None, taken) is None


def test_only_what_is_decided_is_counted_in_the_sentence() -> None:
    assert counted({"too_early": 4, "": 2}) == ""
    assert counted({"likely_helped": 2, "hurt": 1, "too_early": 3}) == "2 likely helped, 1 hurt"


# --- the page -------------------------------------------------------------------------------------
def test_a_verdict_is_on_the_board_with_its_bars(
    world: World, anna: Client, helped: RecommendationTracking
) -> None:
    html = page(anna, "/recommendations/?status=IMPLEMENTED")
    said = text(html)
    assert "1 likely helped, the rest open." in said
    assert "Likely helped" in said
    assert "Against 800 trades it did not cover." in said
    assert 'class="raw"' in html
    assert 'aria-label="Adjusted' in html
    assert "p =" not in said


def test_worth_is_shown_with_its_parts(world: World, anna: Client) -> None:
    assert "R a month: no advice of its kind was measured yet" in text(
        page(anna, "/recommendations/")
    )
    RecommendationTracking.objects.update(claimed_effect_r=0.5)
    assert "counted with the next autopsy" in text(page(anna, "/recommendations/"))
    RecommendationTracking.objects.update(
        covered_a_month=20.0, claimed_effect_r=0.5, effort_hours=1.0
    )
    said = text(page(anna, "/recommendations/"))
    assert "+3.0 R a month" in said
    assert "of 100 it helps" in said
    assert "ease 0.25" in said
    assert "1 h" in said


def test_where_nobody_knows_there_is_no_figure(world: World, anna: Client) -> None:
    RecommendationTracking.objects.update(covered_a_month=20.0)
    for path in ("/recommendations/", f"/recommendations/{advice_of(world).pk}/"):
        said = text(page(anna, path))
        assert "– R a month: no advice of its kind was measured yet" in said
        assert "0.0 R a month" not in said
        assert "of 100 it helps" not in said


def test_board_detail_and_plan_tell_the_same_worth_in_the_same_order(
    world: World, anna: Client
) -> None:
    RecommendationTracking.objects.update(covered_a_month=20.0)
    small, large = (
        make_pattern(world.account),
        make_pattern(
            world.account,
            parts=[["weekday", "on Fridays"]],
            expected_r=-0.5,
            expected_low=-0.8,
            expected_high=-0.2,
        ),
    )
    size = make_pattern(world.account, parts=[["size", "twice the usual size or more"]])
    plan = create_improvement_plan(patterns=[small, large, size])
    board = page(anna, "/recommendations/")
    told = text(page(anna, f"/plans/{plan.pk}/"))
    places = []
    for step in plan.improvements[:2]:
        worth = f"{signed(step['r_month'], 1)} R a month"
        span = f"{signed(step['r_month_low'], 1)} to {signed(step['r_month_high'], 1)}"
        detail = text(page(anna, f"/recommendations/{step['recommendation_id']}/"))
        for said in (text(board), detail):
            assert worth in said
            assert f"({span})" in said
            assert f"{step['helps']} of 100 it helps" in said
        assert span in told
        places.append(board.index(f'href="/recommendations/{step["recommendation_id"]}/"'))
    # What is known comes before everything of which nobody knows, however often that came up.
    assert places == sorted(places)
    others = RecommendationTracking.objects.exclude(
        pk__in=[step["recommendation_id"] for step in plan.improvements[:2]]
    )
    assert max(places) < min(board.index(f'href="/recommendations/{o.pk}/"') for o in others)
    why = plan.improvements[2]["unknown_because"]
    assert why in told
    assert f"{why}; no advice of its kind was measured yet" in text(board)


def test_a_plan_tells_nothing_of_advice_that_covers_other_trades_now(
    world: World, anna: Client
) -> None:
    plan = create_improvement_plan(patterns=[make_pattern(world.account)])
    pk = plan.improvements[0]["recommendation_id"]
    assert "of 100 it helps" in text(page(anna, f"/recommendations/{pk}/"))
    RecommendationTracking.objects.filter(pk=pk).update(scope={"symbol": "EURUSD"})
    assert "of 100 it helps" not in text(page(anna, f"/recommendations/{pk}/"))


def test_filters_by_owner_and_what_is_overdue(world: World, anna: Client) -> None:
    row = advice_of(world)
    words = row.recommendation[:30]
    late = timezone.localdate() - timedelta(days=3)
    change(world, row, owner=world.user, due_date=late)
    html = page(anna, "/recommendations/")
    assert "overdue" in html
    assert words in page(anna, "/recommendations/?owner=anna&overdue=yes")
    assert words not in page(anna, "/recommendations/?owner=none")
    change(world, row, due_date=timezone.localdate() + timedelta(days=3))
    assert words not in page(anna, "/recommendations/?overdue=yes")


def test_what_was_merged_is_not_on_the_board(world: World, anna: Client) -> None:
    row = advice_of(world)
    other = add_advice(world.account, "thin_market", {"symbol": "EURUSD"})
    recommendations.merge_into(
        recommendation_id=other.pk, into_id=row.pk, version=1, user=world.user, now=END
    )
    html = page(anna, "/recommendations/")
    assert other.recommendation not in text(html)
    assert "1 duplicate merged" in text(html)
    assert "It goes on as" in text(page(anna, f"/recommendations/{other.pk}/"))


def test_one_recommendation_tells_everything(
    world: World, anna: Client, helped: RecommendationTracking
) -> None:
    html = page(anna, f"/recommendations/{helped.pk}/")
    said = text(html)
    plan = MeasurementPlan.objects.get(recommendation=helped)
    assert plan.sha256 in said
    assert "Trades in EURUSD." in said
    assert "after 30, 60, 100, 150, 200, 300 trades" in said
    assert "some model claimed +0.50 R; 1 claim checked so far" in said
    assert "Before: 200, the last 30" in said
    assert html.count('class="ribbon"') == 90
    assert "pending to implemented, claim" in said
    assert "Whether it was kept cannot be told from the records." in said


def test_a_changed_plan_is_said_not_hidden(
    world: World, anna: Client, helped: RecommendationTracking
) -> None:
    plan = MeasurementPlan.objects.get(recommendation=helped)
    plan.data["measurement"]["alpha"] = 0.2
    plan.save()
    for path in (f"/recommendations/{helped.pk}/", "/recommendations/?status=IMPLEMENTED"):
        said = text(page(anna, path))
        assert "its plan was changed after it was frozen" in said
        assert "Likely helped" not in said.replace("likely helped", "")


def test_the_dashboard_says_whether_it_worked(
    world: World, anna: Client, helped: RecommendationTracking
) -> None:
    html = page(anna, "/")
    assert "1 likely helped" in text(html)
    assert f'href="/recommendations/{helped.pk}/"' in html


def test_implemented_rows_cost_no_query_each(
    world: World, anna: Client, helped: RecommendationTracking
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(anna, "/recommendations/?status=IMPLEMENTED")
        return len(captured)

    page(anna, "/recommendations/?status=IMPLEMENTED")
    before = queries()
    for _ in range(5):
        row = add_advice(helped.account, "thin_market", {"symbol": "GBPUSD"})
        recommendations.track(
            recommendation_id=row.pk,
            status="IMPLEMENTED",
            notes=None,
            version=1,
            user=world.user,
            now=CHANGE,
        )
    judge_recommendations(account=helped.account, now=END)
    # One more in all: the names of advice that overlaps.
    assert queries() <= before + 1
    assert before <= 23


def test_a_stranger_sees_none_of_it(
    world: World, client: Client, helped: RecommendationTracking
) -> None:
    client.force_login(make_user("bob").owner)
    assert "No advice yet." in text(page(client, "/recommendations/"))
    assert client.get(f"/recommendations/{helped.pk}/").status_code == 404
