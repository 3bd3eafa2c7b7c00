"""The benchmark of verdicts runs, and what it calls naive is as wrong as it is said to be."""

from __future__ import annotations

import pytest

from benchmarks.impact import naive, run
from benchmarks.impact.second import second_history
from benchmarks.impact.worlds import WORLDS, history_of, make_batch
from post_mortem.core.impact import judge

KEYS = {
    "benchmark",
    "ab_false_helped",
    "ab_power_025",
    "observational_false",
    "coverage",
    "fdr",
    "naive",
    "judge_seconds_per_1000",
}


@pytest.mark.slow
def test_the_figures_have_the_names_of_the_contract(capsys):
    result = run.main(["--quick"])
    assert result.keys() >= KEYS
    assert all(world["bare_helped"] == 0 for world in result["observed"].values())


def test_where_the_market_breaks_the_naive_way_is_often_wrong_and_ours_is_not():
    batch = make_batch(WORLDS["break"], 60, seed=3)
    items = [history_of(batch, i, 0.0) for i in range(60)]
    wrong = sum(naive.before_after(*item, 300) != 0 for item in items)
    ours = sum(judge(*item).verdict.startswith("likely") for item in items)
    assert wrong >= 15
    # Nominal 5 %: ten of sixty happen once in five thousand runs.
    assert ours < 10


def test_peeking_every_day_finds_effects_that_are_not_there():
    batch = make_batch(WORLDS["iid"], 60, seed=4, before=60, after=600, cells=0)
    items = [history_of(batch, i, 0.0, salt=f"{i}") for i in range(60)]
    assert sum(naive.arms_daily(*item) != 0 for item in items) >= 12
    assert sum(judge(*item).verdict in ("helped", "hurt") for item in items) < 10


def test_the_second_construction_has_its_own_trigger_and_the_effect_it_says():
    gains = []
    for seed in range(20):
        (still, plan), (helped, _) = (second_history(seed, each) for each in (0.0, 0.5))
        late = still.covered & (still.time >= plan.implemented_at)
        gains.append(float((helped.r.sum() - still.r.sum()) / late.sum()))
        assert still.trigger is None
    assert sum(gains) / 20 == pytest.approx(0.5 * run.SECOND_SD_R, rel=0.1)
