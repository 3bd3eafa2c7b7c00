"""Paired replays, returns, types of advice and its order, by hand where that is possible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from post_mortem.core.paired import paired_effect
from post_mortem.core.priority import (
    CLAIM_SLOPE,
    Verified,
    claim_calibration,
    learn,
    prioritise,
)
from post_mortem.core.roi import Cost, pooled_effect, roi, roi_by_type
from trading.core.errors import UserError

# --- the same trades, replayed -------------------------------------------------------------------


def test_a_paired_difference_is_much_surer_than_two_sets_of_trades():
    rng = np.random.default_rng(1)
    actual = rng.normal(0.1, 1.5, 200)
    found = paired_effect(actual, actual + 0.2 + rng.normal(0, 0.2, 200))
    assert found.ci is not None
    assert found.se_r is not None
    assert found.ci[0] < 0.2 < found.ci[1]
    assert found.se_r < 0.1 * np.sqrt(2 * 1.5**2 / 200) * 2
    assert found.p is not None
    assert found.p < 1e-6


def test_an_interval_holds_the_truth_as_often_as_it_says_also_where_days_are_alike():
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        of_day = np.repeat(rng.normal(0, 0.3, 40), 5)
        found = paired_effect(np.zeros(200), of_day + rng.normal(0, 0.3, 200))
        assert found.ci is not None
        held += found.ci[0] <= 0 <= found.ci[1]
    assert 0.91 <= held / 400 <= 0.985


def test_trades_that_would_have_been_skipped_count_with_what_they_forgo():
    actual = [-1.0] * 8 + [2.0, 1.0, 0.5, 0.5]
    skipped = [True] * 4 + [False] * 4 + [True] + [False] * 3
    found = paired_effect(actual, actual, skipped)
    assert found.estimate_r == pytest.approx((4 * 1.0 - 2.0) / 12)
    assert (found.changed, found.skipped, found.winners_forgone) == (5, 5, 1)
    assert found.r_forgone == pytest.approx(2.0)


def test_a_rule_that_changes_nothing_has_no_effect_and_a_few_pairs_no_interval():
    same = paired_effect([1.0] * 20, [1.0] * 20)
    assert (same.estimate_r, same.ci, same.p, same.changed) == (0.0, (0.0, 0.0), 1.0, 0)
    few = paired_effect([1.0] * 9, [2.0] * 9)
    assert (few.estimate_r, few.ci, few.p) == (1.0, None, None)


@pytest.mark.parametrize("pair", [([], []), ([1.0], [1.0, 2.0]), ([1.0], [float("nan")])])
def test_pairs_that_are_none_are_refused(pair):
    with pytest.raises(UserError, match="actual and replayed"):
        paired_effect(*pair)


# --- what it brings ------------------------------------------------------------------------------


def test_a_return_by_hand():
    found = roi(
        0.1, (-0.05, 0.25), 40, risk_a_trade=50.0, cost=Cost(hours=2, hourly_rate=30, monthly=20)
    )
    assert found.r_a_month == pytest.approx(4.0)
    assert found.money_a_month == pytest.approx(200.0)
    assert found.cost == pytest.approx(120.0)
    assert found.ratio == pytest.approx((600 - 120) / 120)
    assert found.ratio_interval == pytest.approx(((-300 - 120) / 120, (1500 - 120) / 120))


def test_without_a_cost_there_is_no_return_and_without_money_no_money():
    free = roi(0.1, (0.0, 0.2), 40, risk_a_trade=50.0)
    assert (free.cost, free.ratio, free.ratio_interval) == (0.0, None, None)
    assert free.r_a_month == pytest.approx(4.0)
    plain = roi(0.1, (0.0, 0.2), 40, cost=Cost(hours=1, hourly_rate=10))
    assert (plain.money_a_month, plain.cost, plain.ratio) == (None, None, None)


def test_r_that_is_forgone_is_taken_off():
    found = roi(0.1, (0.0, 0.2), 40, cost=Cost(forgone_r_a_month=1.5))
    assert found.r_a_month == pytest.approx(2.5)
    assert found.r_interval == pytest.approx((-1.5, 6.5))


@pytest.mark.parametrize("change", [{"trades_a_month": -1}, {"months": 0}, {"risk_a_trade": 0.0}])
def test_returns_of_nonsense_are_refused(change):
    with pytest.raises(UserError):
        roi(**({"effect_r": 0.1, "ci": (0.0, 0.2), "trades_a_month": 4} | change))


def test_types_are_pooled_by_how_sure_they_are():
    found = roi_by_type({"news": [(0.2, 0.1), (0.2, 0.1)], "stop": [(0.1, 0.2)], "none": []})
    assert set(found) == {"news", "stop"}
    assert found["news"].n == 2
    assert found["news"].mean_r == pytest.approx(0.2)
    assert found["news"].interval[1] - 0.2 == pytest.approx(1.96 * 0.1 / np.sqrt(2), rel=1e-3)
    assert pooled_effect([]) is None


def test_effects_that_differ_by_more_than_their_errors_have_a_spread():
    alike = pooled_effect([(0.1, 0.1), (0.12, 0.1), (0.08, 0.1)])
    apart = pooled_effect([(0.5, 0.1), (-0.3, 0.1), (0.1, 0.1)])
    assert alike is not None
    assert apart is not None
    assert alike.tau == 0.0
    assert apart.tau > 0.2
    assert apart.interval[1] - apart.interval[0] > alike.interval[1] - alike.interval[0]


# --- which first ---------------------------------------------------------------------------------


def verdicts(kind: str, effect: float, n: int, claim: float | None = None) -> list[Verified]:
    return [Verified(kind, "writer", effect, 0.1, claim) for _ in range(n)]


def test_a_type_that_helped_before_comes_first():
    learned = learn(verdicts("news", 0.25, 6) + verdicts("stop", -0.1, 6))
    first, last = (prioritise(learned, kind, trades_a_month=40).score for kind in ("news", "stop"))
    unknown = prioritise(learned, "other", trades_a_month=40)
    assert first > unknown.score > last
    assert prioritise(learned, "news", trades_a_month=40).confidence > 80


def test_few_verdicts_move_a_belief_less_than_many():
    few, many = (learn(verdicts("news", 0.3, n) + verdicts("x", 0.0, 20)) for n in (1, 20))
    assert 0 < few.of("news").mean_r < many.of("news").mean_r < 0.3


def test_a_claim_counts_for_three_tenths_until_it_is_learned():
    nothing = learn([])
    with_claim = prioritise(nothing, "news", trades_a_month=10, claimed_r=0.5)
    assert with_claim.r_a_month == pytest.approx(10 * CLAIM_SLOPE * 0.5)
    assert learn(verdicts("news", 0.1, 9, claim=0.5)).slope == CLAIM_SLOPE
    rng = np.random.default_rng(3)
    claims = rng.uniform(0.1, 2.0, 60)
    true = [Verified("a", "w", float(c), 0.05, float(c)) for c in claims]
    empty = [Verified("a", "w", float(rng.normal(0, 0.1)), 0.05, float(c)) for c in claims]
    assert learn(true).slope > 0.7
    assert learn(empty).slope < 0.1


@given(st.floats(0, 100), st.floats(0, 100))
def test_more_effort_never_ranks_higher(a, b):
    learned = learn(verdicts("news", 0.25, 6))
    low, high = sorted((a, b))
    scores = [
        prioritise(learned, "news", trades_a_month=40, effort_hours=h).score for h in (low, high)
    ]
    assert scores[0] >= scores[1]


def test_what_is_never_done_ranks_lower():
    learned = learn(verdicts("news", 0.25, 6))
    done = prioritise(learned, "news", trades_a_month=40, implemented=(9, 10))
    ignored = prioritise(learned, "news", trades_a_month=40, implemented=(0, 10))
    assert done.score > ignored.score > 0


def test_the_factors_multiply_to_the_score():
    found = prioritise(learn(verdicts("a", 0.2, 3)), "a", trades_a_month=7, effort_hours=3)
    assert found.score == pytest.approx(found.r_a_month * found.chance * found.implemented / 4)


def test_claims_are_held_against_verdicts_by_writer():
    found = claim_calibration(verdicts("news", 0.1, 10, claim=0.5) + verdicts("news", 0.1, 3))
    assert found["writer"].n == 10
    assert found["writer"].ratio == pytest.approx(0.2)
    assert claim_calibration(verdicts("news", 0.1, 4, claim=0.5))["writer"].ratio is None
    assert claim_calibration(verdicts("news", 0.1, 4)) == {}


def test_learned_beliefs_find_better_advice_than_claims_do():
    """Thirty pieces of five types with noisy claims: the true worth of the five ranked first."""
    rng = np.random.default_rng(4)
    ours, by_claim, by_chance = [], [], []
    for _ in range(60):
        means = rng.normal(0.03, 0.12, 5)
        history = [
            Verified(f"{k}", "w", float(means[k] + rng.normal(0, 0.08) + rng.normal(0, 0.1)), 0.1)
            for k in range(5)
            for _ in range(6)
        ]
        learned = learn(history)
        kind = rng.integers(0, 5, 30)
        true = means[kind] + rng.normal(0, 0.08, 30)
        claim = np.abs(0.5 + 1.0 * true + rng.normal(0, 0.3, 30))
        score = [
            prioritise(learned, f"{k}", trades_a_month=30, claimed_r=float(c)).score
            for k, c in zip(kind, claim, strict=True)
        ]
        ours.append(true[np.argsort(score)[-5:]].mean())
        by_claim.append(true[np.argsort(claim)[-5:]].mean())
        by_chance.append(true.mean())
    assert np.mean(ours) > np.mean(by_claim) > np.mean(by_chance)


def test_what_is_expected_to_cost_more_never_ranks_higher():
    def score(claimed: float, hours: float) -> float:
        return prioritise(
            learn([]), "news", trades_a_month=30, claimed_r=claimed, effort_hours=hours
        ).score

    assert score(-1.0, 0) < score(-0.2, 0) < 0
    assert score(-0.2, 9) <= score(-0.2, 0)
