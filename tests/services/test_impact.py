"""Verdicts on implemented advice: what is read, what is left out, and when one is written."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from post_mortem import jobs as worker
from post_mortem.core.impact import PRIOR_R
from post_mortem.models import (
    AutopsyJob,
    ImpactVerdict,
    InsightAudit,
    MeasurementPlan,
    RecommendationTracking,
)
from post_mortem.selectors.impact import newest_verdicts, verified
from post_mortem.selectors.impact_report import report
from post_mortem.services import recommendations
from post_mortem.services.impact import IMPACT, judge_recommendations, request_judgement
from tests.services.factories import make_account
from tests.services.impact_data import (
    CHANGE,
    END,
    FIRST,
    HALF,
    add_advice,
    add_change,
    add_trades,
    implement,
    results,
)
from trading.models import Account, Trade

pytestmark = pytest.mark.django_db

EUR = {"symbol": "EURUSD"}


@pytest.fixture
def account(db: None) -> Account:
    return make_account()


def judged(account: Account, now: datetime = END) -> ImpactVerdict:
    judge_recommendations(account=account, now=now)
    return ImpactVerdict.objects.order_by("-pk")[0]


class TestVerdicts:
    @pytest.mark.parametrize(("after", "word"), [(0.9, "likely_helped"), (-0.9, "likely_hurt")])
    def test_a_large_change_against_others_is_likely(
        self, account: Account, after: float, word: str
    ) -> None:
        add_change(account, after)
        row = implement(add_advice(account, "volatility_stop", EUR))
        verdict = judged(account)
        assert verdict.verdict == word
        found = verdict.result
        assert (found["n_before"], found["n_after"]) == (200, 200)
        assert found["raw_before_after_r"] == pytest.approx(after, abs=0.06)
        assert found["comparison_trades"] == 800
        row.refresh_from_db()
        assert row.impact_score == pytest.approx(found["shrunk_r"])
        assert abs(row.impact_score) < abs(found["estimate_r"])

    def test_the_same_change_without_others_is_no_evidence(self, account: Account) -> None:
        add_change(account, 0.9, comparison=False)
        row = implement(add_advice(account, "volatility_stop", EUR))
        verdict = judged(account)
        assert (verdict.verdict, verdict.result["reason"]) == ("not_evidence", "no_comparison")
        row.refresh_from_db()
        assert row.impact_score is None

    def test_no_trade_at_all_is_too_early(self, account: Account) -> None:
        implement(add_advice(account, "volatility_stop", EUR))
        verdict = judged(account)
        assert verdict.verdict == "too_early"
        assert (verdict.result["n_before"], verdict.result["n_after"]) == (0, 0)

    def test_few_trades_after_are_counted(self, account: Account) -> None:
        add_change(account, 0.9, n=12)
        implement(add_advice(account, "volatility_stop", EUR))
        verdict = judged(account)
        assert verdict.verdict == "too_early"
        assert verdict.result["sentence"] == "Too early: 12 of 30 trades."

    def test_pending_and_ignored_advice_is_not_judged(self, account: Account) -> None:
        add_change(account, 0.9)
        add_advice(account, "volatility_stop", EUR)
        implement(add_advice(account, "thin_market", EUR), status="IGNORED")
        assert judge_recommendations(account=account, now=END).judged == 0

    def test_later_trades_are_not_read(self, account: Account) -> None:
        add_change(account, 0.9)
        implement(add_advice(account, "volatility_stop", EUR))
        assert judged(account, CHANGE + 20 * HALF).result["n_after"] == 20


class TestWhatCounts:
    def test_open_straddling_and_unmeasured_trades_are_left_out(self, account: Account) -> None:
        add_change(account, 0.0)
        mine = Trade.objects.filter(instrument__symbol="EURUSD").order_by("opened_at")
        Trade.objects.filter(pk=mine[199].pk).update(closed_at=CHANGE + timedelta(days=9))
        Trade.objects.filter(pk=mine[399].pk).update(closed_at=None, exit_price=None)
        InsightAudit.objects.filter(trade=mine[300]).update(r_multiple=None)
        implement(add_advice(account, "volatility_stop", EUR))
        found = judged(account).result
        assert (found["n_before"], found["n_after"]) == (199, 198)
        assert (found["straddling"], found["without_r"]) == (1, 1)

    def test_what_other_advice_changed_is_no_comparison(self, account: Account) -> None:
        add_change(account, 0.9)
        implement(add_advice(account, "thin_market", {"symbol": "GBPUSD"}))
        row = implement(add_advice(account, "volatility_stop", EUR))
        judge_recommendations(account=account, now=END)
        found = newest_verdicts([row.pk])[row.pk].result
        assert (found["excluded"], found["comparison_trades"]) == (400, 400)
        assert found["overlaps"] == []

    def test_two_rules_on_the_same_trades_cannot_be_told_apart(self, account: Account) -> None:
        add_change(account, 0.9)
        one = implement(add_advice(account, "volatility_stop", EUR))
        other = implement(add_advice(account, "thin_market", EUR), CHANGE + 10 * HALF)
        judge_recommendations(account=account, now=END)
        for row, known in ((one, other), (other, one)):
            verdict = newest_verdicts([row.pk])[row.pk]
            assert (verdict.verdict, verdict.result["reason"]) == ("not_evidence", "overlap")
            assert verdict.result["overlaps"] == [known.pk]

    def test_ones_own_earlier_time_under_the_advice_is_an_overlap(self, account: Account) -> None:
        add_change(account, 0.9)
        row = implement(add_advice(account, "volatility_stop", EUR), CHANGE - 100 * HALF)
        implement(row, CHANGE - 50 * HALF, status="PENDING")
        implement(row)
        verdict = judged(account)
        assert verdict.plan.number == 2
        assert (verdict.verdict, verdict.result["reason"]) == ("not_evidence", "overlap")
        assert verdict.result["overlaps"] == [row.pk]

    def test_a_rule_that_was_taken_back_overlaps_nothing(self, account: Account) -> None:
        add_trades(account, "EURUSD", results(200, 0.0, seed=5))
        row = implement(add_advice(account, "volatility_stop", EUR))
        other = implement(add_advice(account, "thin_market", EUR), CHANGE)
        implement(other, CHANGE + timedelta(seconds=5), status="PENDING")
        add_trades(account, "EURUSD", results(200, 0.9, seed=55), first=CHANGE + HALF)
        for k, symbol in enumerate(("GBPUSD", "USDJPY")):
            add_trades(account, symbol, results(401, 0.0, seed=12 + k))
        judge_recommendations(account=account, now=END + HALF)
        assert newest_verdicts([row.pk])[row.pk].verdict == "likely_helped"

    def test_a_rule_kept_all_along_changes_nothing(self, account: Account) -> None:
        add_change(account, 0.9)
        implement(add_advice(account, "thin_market", EUR), FIRST - timedelta(days=9))
        row = implement(add_advice(account, "volatility_stop", EUR))
        judge_recommendations(account=account, now=END)
        assert newest_verdicts([row.pk])[row.pk].verdict == "likely_helped"

    def test_nothing_of_another_account_is_read(self, account: Account) -> None:
        add_change(account, 0.9)
        other = make_account()
        add_trades(other, "EURUSD", results(400, 3.0, seed=5))
        row = implement(add_advice(account, "volatility_stop", EUR))
        verdict = judged(account)
        assert verdict.result["comparison_trades"] == 800
        assert judge_recommendations(account=other, now=END).judged == 0
        assert [v.effect_r for v in verified([account.pk])] == [verdict.result["estimate_r"]]
        assert verified([other.pk]) == []
        assert row.account_id == account.pk


class TestReturn:
    @pytest.mark.parametrize("after", [0.9, -0.9])
    def test_its_interval_is_that_of_the_shrunk_effect(
        self, account: Account, after: float
    ) -> None:
        add_change(account, after)
        row = implement(add_advice(account, "volatility_stop", EUR))
        result = judged(account).result
        row.refresh_from_db()
        found = report(row).roi
        assert found is not None
        assert row.covered_a_month is not None
        low, high = (bound / row.covered_a_month for bound in found.r_interval)
        assert low < found.r_a_month / row.covered_a_month < high
        # Worked out apart: precisions of the prior and of the estimate add up.
        error = (PRIOR_R**-2 + result["se_r"] ** -2) ** -0.5
        assert (low + high) / 2 == pytest.approx(result["shrunk_r"])
        assert (high - low) / 2 == pytest.approx(1.96 * error, rel=1e-3)
        # The raw one is wider and lies elsewhere.
        assert not result["ci"][0] <= result["shrunk_r"] <= result["ci"][1]


class TestAgain:
    def test_judging_again_adds_nothing(self, account: Account) -> None:
        add_change(account, 0.9)
        implement(add_advice(account, "volatility_stop", EUR))
        first = judge_recommendations(account=account, now=END)
        again = judge_recommendations(account=account, now=END + timedelta(days=30))
        assert (first.written, again.written) == (1, 0)
        assert ImpactVerdict.objects.count() == 1

    def test_a_new_trade_adds_one_and_its_removal_another(self, account: Account) -> None:
        add_change(account, 0.9)
        implement(add_advice(account, "volatility_stop", EUR))
        judge_recommendations(account=account, now=END)
        (trade,) = add_trades(account, "EURUSD", [1.0], first=END)
        judge_recommendations(account=account, now=END + HALF)
        trade.delete()
        judge_recommendations(account=account, now=END + HALF)
        numbers = ImpactVerdict.objects.order_by("number").values_list("number", "input_hash")
        assert [number for number, _ in numbers] == [1, 2, 3]
        assert numbers[0][1] == numbers[2][1] != numbers[1][1]

    def test_another_scope_is_another_plan_with_its_own_verdict(self, account: Account) -> None:
        add_change(account, 0.9)
        row = implement(add_advice(account, "volatility_stop", EUR))
        judge_recommendations(account=account, now=END)
        recommendations.change(
            recommendation_id=row.pk,
            changes={"scope": {"symbol": "GBPUSD"}},
            version=row.version,
            user=account.owner,
            now=END,
        )
        row.refresh_from_db()
        assert row.impact_score is None
        judge_recommendations(account=account, now=END)
        newest = newest_verdicts([row.pk])[row.pk]
        assert (newest.plan.number, newest.verdict) == (2, "too_early")
        assert newest.result["n_before"] == 360
        assert ImpactVerdict.objects.count() == 2

    def test_a_changed_plan_is_reported_and_not_judged(self, account: Account) -> None:
        add_change(account, 0.9)
        row = implement(add_advice(account, "volatility_stop", EUR))
        plan = MeasurementPlan.objects.get()
        plan.data["scope"] = {"symbol": "GBPUSD"}
        plan.save()
        done = judge_recommendations(account=account, now=END)
        assert (done.judged, done.written) == (0, 0)
        assert done.faults == {row.pk: "its data do not carry its hash"}

    def test_what_was_implemented_without_a_plan_starts_today(self, account: Account) -> None:
        add_change(account, 0.9)
        row = add_advice(account, "volatility_stop", EUR)
        RecommendationTracking.objects.filter(pk=row.pk).update(
            implementation_status="IMPLEMENTED", implementation_date=CHANGE
        )
        verdict = judged(account)
        assert verdict.plan.implemented_at == END
        assert (verdict.verdict, verdict.result["n_after"]) == ("too_early", 0)

    def test_trades_a_month_are_counted(self, account: Account) -> None:
        add_change(account, 0.9)
        row = add_advice(account, "volatility_stop", EUR)
        judge_recommendations(account=account, now=END)
        row.refresh_from_db()
        assert row.covered_a_month == pytest.approx(60.9, abs=1.0)
        assert row.version == 1


class TestHypothetical:
    def test_leaving_out_what_the_rule_forbids(self, account: Account) -> None:
        # Two of three follow a loss within half an hour; half of those lose, half gain.
        r = np.tile([-1.0, -0.5, 2.0], 40)
        add_trades(account, "EURUSD", r, step=timedelta(minutes=80))
        row = implement(add_advice(account, "loss_cooldown", {}), FIRST + timedelta(days=30))
        judge_recommendations(account=account, now=END)
        found = newest_verdicts([row.pk])[row.pk].result["hypothetical"]
        assert found["how"] == "Without the trades opened within 30 min after a loss"
        effect = found["effect"]
        assert (effect["n"], effect["skipped"], effect["winners_forgone"]) == (80, 80, 40)
        assert effect["estimate_r"] == pytest.approx(-(2.0 - 0.5) / 2)

    def test_a_rule_nobody_can_replay_has_none(self, account: Account) -> None:
        add_change(account, 0.9)
        row = implement(add_advice(account, "regime_filter", EUR))
        judge_recommendations(account=account, now=END)
        assert newest_verdicts([row.pk])[row.pk].result["hypothetical"] is None


class TestJobs:
    def test_one_waits_at_a_time_and_only_where_there_is_advice(self, account: Account) -> None:
        assert request_judgement(account=account) is None
        row = add_advice(account, "volatility_stop", EUR)
        assert request_judgement(account=account) is not None
        assert request_judgement(account=account) is None
        implement(row)
        assert AutopsyJob.objects.filter(kind=IMPACT).count() == 1

    def test_the_worker_judges(self, account: Account) -> None:
        add_change(account, 0.9)
        row = implement(add_advice(account, "volatility_stop", EUR))
        while worker.work_once(worker="test"):
            pass
        assert AutopsyJob.objects.get(kind=IMPACT).status == "completed"
        assert newest_verdicts([row.pk])[row.pk].verdict == "likely_helped"

    def test_many_at_once_take_the_same_queries(
        self, account: Account, django_assert_max_num_queries: Any
    ) -> None:
        add_change(account, 0.0, n=60)
        for _ in range(12):
            implement(add_advice(account, "volatility_stop", EUR))
        judge_recommendations(account=account, now=END)
        with django_assert_max_num_queries(24):
            judge_recommendations(account=account, now=END)
