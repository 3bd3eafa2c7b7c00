"""Verdicts come where they should, stay away where they should, and say why."""

from __future__ import annotations

import numpy as np
import pytest

from post_mortem.core.impact import VERDICTS, Impact, judge
from post_mortem.core.measurement import History, MeasurementPlan, make_history
from trading.core.errors import UserError
from trading.core.types import NS_PER_DAY

CHANGE = 200 * NS_PER_DAY


def history(
    seed: int, before: int = 360, after: int = 300, cells: int = 3, effect: float = 0.0
) -> History:
    """Independent trades, two a day in every cell; `effect` R is added to covered ones after."""
    rng = np.random.default_rng(seed)
    days = np.concatenate([-(np.arange(before)[::-1] + 1), np.arange(after)]) / 2
    n = days.size
    time, r, name = [], [], []
    for cell in range(cells + 1):
        time.append(CHANGE + ((days + rng.uniform(0.01, 0.49, n)) * NS_PER_DAY).astype(np.int64))
        r.append(np.where(rng.random(n) < 0.42, 1 + rng.gamma(1.5, 1.0, n) * 0.5, -1.0))
        name += [f"cell {cell}"] * n
    r[0] = r[0] + effect * (days >= 0)
    covered = np.array([each == "cell 0" for each in name])
    return make_history(np.concatenate(time), np.concatenate(r), covered, name)


def judged(seed: int, **shape: float) -> Impact:
    return judge(history(seed, **shape), MeasurementPlan("x", CHANGE))  # type: ignore[arg-type]


def test_a_large_effect_is_likely_helped_and_never_helped():
    found = judged(1, effect=1.0)
    assert found.verdict == "likely_helped"
    assert found.looks[-1].crossed
    assert found.ci is not None
    assert found.ci[0] < 1.0 < found.ci[1]


def test_a_large_harm_is_likely_hurt():
    assert judged(1, effect=-1.0).verdict == "likely_hurt"


def test_few_trades_are_too_early():
    found = judged(1, after=12, effect=5.0)
    assert (found.verdict, found.reason, found.more_trades_needed) == ("too_early", "few_after", 18)
    assert judged(1, before=59, effect=5.0).reason == "short_baseline"


def test_without_comparison_nothing_is_evidence():
    found = judged(1, cells=0, effect=5.0)
    assert (found.verdict, found.reason) == ("not_evidence", "no_comparison")
    assert found.raw_before_after_r == pytest.approx(5.0, abs=0.6)


def test_later_trades_are_not_read():
    whole = history(1, effect=1.0)
    plan = MeasurementPlan("x", CHANGE)
    now = CHANGE + 20 * NS_PER_DAY
    assert judge(whole, plan, now) == judge(whole.until(now), plan)
    assert judge(whole, plan, now).n_after == 40


def test_every_verdict_is_one_of_the_contract():
    assert judged(3).verdict in VERDICTS


def test_a_plan_has_one_hash_and_refuses_nonsense():
    plan = MeasurementPlan("x", CHANGE)
    assert plan.plan_hash == MeasurementPlan("x", CHANGE).plan_hash
    assert plan.plan_hash != MeasurementPlan("x", CHANGE, version=2).plan_hash
    with pytest.raises(UserError, match="looks"):
        MeasurementPlan("x", CHANGE, looks=(10, 60))
