"""Verdicts on advice that was tested: the first experiment that decided on its trades speaks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from post_mortem.models import Experiment, ExperimentAssignment, RecommendationTracking
from post_mortem.selectors.experiment_results import results_of
from post_mortem.selectors.impact import newest_verdicts
from post_mortem.services.experiments import stop_experiment
from post_mortem.services.impact import judge_recommendations
from tests.services.experiment_data import NOW, ON, begun, fill, noise
from tests.services.factories import make_account, make_instrument
from tests.services.impact_data import add_advice, implement

pytestmark = pytest.mark.django_db

EUR = {"symbol": "EURUSD"}
OFF = ExperimentAssignment.Arm.OFF


@pytest.fixture
def advice(db: None) -> RecommendationTracking:
    make_instrument("EURUSD")
    return add_advice(make_account(), "volatility_stop", EUR)


def over(
    advice: RecommendationTracking, effect: float, *, now: datetime = NOW, **changes: Any
) -> tuple[Experiment, datetime]:
    """An experiment on the advice that is over, with when it ended: months of trades that are
    better by `effect` on days that are ON."""
    values = {"scope": EUR} | changes
    made = begun(30, now=now, account=advice.account, recommendation=advice, **values)
    end = fill(made, noise(1, effect))
    word = results_of(made, now=end).verdict.verdict
    assert word == ("helped" if effect > 0 else "hurt")
    stop_experiment(
        experiment_id=made.pk, reason="over", version=1, user=advice.account.owner, now=end
    )
    return made, end


def judged(advice: RecommendationTracking, end: datetime) -> tuple[str, dict[str, Any]]:
    implement(advice, end)
    judge_recommendations(account=advice.account, now=end + timedelta(days=1))
    found = newest_verdicts([advice.pk])[advice.pk]
    return found.verdict, found.result


@pytest.mark.parametrize(("effect", "word"), [(1.5, "helped"), (-1.5, "hurt")])
def test_the_verdict_and_the_effect_are_those_of_its_experiment(
    advice: RecommendationTracking, effect: float, word: str
) -> None:
    made, end = over(advice, effect)
    verdict, result = judged(advice, end)
    arms = results_of(made, now=end)
    assert (verdict, result["experiment"]) == (word, True)
    assert (result["estimate_r"], result["se_r"]) == (arms.verdict.estimate_r, arms.verdict.se_r)
    assert result["a_side"] == min(arms.on.trades, arms.off.trades)
    advice.refresh_from_db()
    assert advice.impact_score == result["shrunk_r"]


def test_an_arm_that_was_changed_afterwards_takes_its_word_away(
    advice: RecommendationTracking,
) -> None:
    made, end = over(advice, 1.5)
    row = made.assignments.order_by("pk")[3]
    row.arm = OFF if row.arm == ON else ON
    row.save(update_fields=["arm"])
    # One day of so many: by its rows it has still helped.
    assert results_of(made, now=end).verdict.verdict == "helped"
    verdict, result = judged(advice, end)
    assert (verdict, result["experiment"]) == ("too_early", False)


@pytest.mark.parametrize("scope", [{}, {"symbol": "EURUSD", "side": "long"}])
def test_an_experiment_on_other_trades_says_nothing_of_these(
    advice: RecommendationTracking, scope: dict[str, str]
) -> None:
    _, end = over(advice, 1.5, scope=scope)
    verdict, result = judged(advice, end)
    assert (verdict, result["experiment"]) == ("too_early", False)


def test_an_experiment_on_other_advice_says_nothing_of_this(advice: RecommendationTracking) -> None:
    other = add_advice(advice.account, "thin_market", EUR)
    _, end = over(other, 1.5)
    verdict, result = judged(advice, end)
    assert (verdict, result["experiment"]) == ("too_early", False)


def test_repeating_it_until_it_helps_does_not_hide_that_it_hurt(
    advice: RecommendationTracking,
) -> None:
    first, end = over(advice, -1.5)
    again, end = over(advice, 1.5, now=end + timedelta(days=1))
    assert again.pk > first.pk
    assert results_of(first, now=end).verdict.verdict == "hurt"
    verdict, result = judged(advice, end)
    assert (verdict, result["experiment"]) == ("hurt", True)


def test_one_that_was_given_up_undecided_is_not_the_first_that_decided(
    advice: RecommendationTracking,
) -> None:
    short = begun(account=advice.account, recommendation=advice, scope=EUR)
    end = NOW + timedelta(days=3)
    stop_experiment(
        experiment_id=short.pk, reason="ill", version=1, user=advice.account.owner, now=end
    )
    _, end = over(advice, 1.5, now=end + timedelta(days=1))
    assert judged(advice, end)[0] == "helped"
