"""Verdicts come where they should, stay away where they should, and say why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.impact.worlds import WORLDS, history_of, make_batch
from post_mortem.core.impact import (
    DECIDED,
    VERDICTS,
    Impact,
    judge,
    judge_many,
    trades_needed,
)
from post_mortem.core.measurement import History, MeasurementPlan, make_history
from trading.core.errors import UserError
from trading.core.types import NS_PER_DAY

CHANGE = 200 * NS_PER_DAY
PLAN = MeasurementPlan("x", CHANGE)


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


def test_the_plain_comparison_is_told_and_not_used():
    found = judged(1, cells=0, effect=5.0)
    assert found.raw_p is not None
    assert found.raw_p < 1e-6
    assert found.verdict == "not_evidence"
    assert judged(1, after=1).raw_p is None


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


# --- guarantees, each with what breaks it --------------------------------------------------------


def test_trades_that_wander_by_themselves_are_no_evidence():
    """Every cell has an edge of its own that stays away for months."""
    batch = make_batch(WORLDS["hard"], 40, seed=9)
    found = [judge(*history_of(batch, i, 0.0)) for i in range(40)]
    assert sum(f.reason == "drift" for f in found) >= 20
    assert sum(f.verdict.startswith("likely") for f in found) <= 6
    # The same trades in another order wander no more, and the guard is silent.
    rng = np.random.default_rng(1)
    calm = []
    for i in range(40):
        still, plan = history_of(batch, i, 0.0)
        r = still.r.copy()
        for cell in range(len(still.cells)):
            mine = still.cell == cell
            r[mine] = rng.permutation(r[mine])
        calm.append(judge(replace(still, r=r), plan))
    assert sum(f.reason == "drift" for f in calm) <= 2


def test_a_market_that_turns_for_everybody_is_no_effect():
    late = history(2).time >= CHANGE
    turned = replace(history(2), r=history(2).r + 1.0 * late)
    found = judge(turned, MeasurementPlan("x", CHANGE))
    assert not found.verdict.startswith("likely")
    assert found.raw_before_after_r == pytest.approx(1.0, abs=0.4)
    assert found.estimate_r == pytest.approx(judge(history(2), PLAN).estimate_r)


def test_nothing_is_found_in_independent_trades():
    verdicts = [judged(seed).verdict for seed in range(200)]
    wrong = sum(v.startswith("likely") for v in verdicts)
    assert wrong <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)
    assert not {"helped", "hurt"} & set(verdicts)


def test_the_verdict_stays_with_the_first_boundary_that_was_crossed():
    """Shown by the 100th trade, it is still shown by the 300th, whatever came in between."""
    helped = history(1, effect=1.2)
    mine = np.flatnonzero(helped.covered & (helped.time >= CHANGE))
    r = helped.r.copy()
    r[mine[150:]] -= 3.0
    found = judge(replace(helped, r=r), PLAN)
    early = judge(replace(helped, r=r), PLAN, int(helped.time[mine[149]]))
    assert early.verdict == "likely_helped"
    assert found.verdict == "likely_helped"
    assert [(k.n, k.crossed) for k in found.looks] == [(k.n, k.crossed) for k in early.looks]
    assert found.estimate_r is not None
    assert found.estimate_r < 0


def test_a_look_reads_no_later_trade():
    whole = history(4, effect=0.4)
    mine = np.flatnonzero(whole.covered & (whole.time >= CHANGE))
    last = judge(whole, PLAN)
    for look in last.looks:
        then = judge(whole, PLAN, int(whole.time[mine[look.n - 1]]))
        assert then.looks[-1].n == look.n
        assert then.looks[-1].z == pytest.approx(look.z, abs=1e-9)


def test_a_comparison_cell_needs_half_as_many_trades():
    assert judged(5, cells=1, effect=1.0).comparison_cells == 1
    third = history(5, cells=1, effect=1.0)
    other = np.flatnonzero(~third.covered)
    keep = third.covered.copy()
    keep[other[::3]] = True
    cut = make_history(
        third.time[keep],
        third.r[keep],
        third.covered[keep],
        [third.cells[c] for c in third.cell[keep]],
    )
    assert judge(cut, PLAN).reason == "no_comparison"


def test_comparison_that_stops_trading_is_no_comparison():
    whole = history(6, cells=1, effect=1.0)
    keep = whole.covered | (whole.time < CHANGE)
    cut = make_history(
        whole.time[keep],
        whole.r[keep],
        whole.covered[keep],
        [whole.cells[c] for c in whole.cell[keep]],
    )
    assert judge(cut, PLAN).reason == "no_comparison"


def test_trades_of_one_moment_do_not_come_worst_first():
    """Files of days carry no hours: a look that cuts through a day must not read its losers."""
    verdicts = []
    for seed in range(20):
        whole = history(seed)
        week = 60 * NS_PER_DAY
        coarse = CHANGE + (whole.time - CHANGE) // week * week
        names = [whole.cells[c] for c in whole.cell]
        verdicts.append(judge(make_history(coarse, whole.r, whole.covered, names), PLAN).verdict)
    assert sum(v.startswith("likely") for v in verdicts) <= 4
    order = np.argsort(-np.arange(100.0))
    r = np.random.default_rng(1).normal(0, 1, 100)
    one = make_history(np.zeros(100), r, np.ones(100, bool), ["a"] * 100)
    other = make_history(np.zeros(100), r[order], np.ones(100, bool), ["a"] * 100)
    assert one.r.tolist() == other.r.tolist()
    assert abs(np.corrcoef(np.arange(100), one.r)[0, 1]) < 0.3


def test_trades_without_any_spread_are_no_evidence():
    flat = replace(history(7), r=np.full(len(history(7)), -1.0))
    assert judge(flat, PLAN).reason == "constant"


@pytest.mark.parametrize("n", [0, 1, 2, 29])
def test_histories_of_almost_nothing_are_too_early(n):
    assert judged(1, before=n, after=n).verdict == "too_early"
    empty = make_history([], [], [], [])
    assert judge(empty, PLAN).verdict == "too_early"


def test_many_pieces_of_advice_are_held_to_more_than_one():
    batch = make_batch(WORLDS["drift"], 60, seed=12)
    items = [history_of(batch, i, 0.5 if i < 12 else 0.0) for i in range(60)]
    alone = [judge(*item) for item in items]
    together = judge_many(items)
    called = [i for i, f in enumerate(together) if f.verdict in DECIDED]
    assert set(called) <= {i for i, f in enumerate(alone) if f.verdict in DECIDED}
    assert sum(i < 12 for i in called) >= 8
    held = [f for f in together if f.reason == "one_of_many"]
    assert all(f.verdict == "no_evidence_yet" for f in held)
    assert judge_many(items[:1]) == (alone[0],)


def test_the_worst_luck_of_many_is_not_called():
    """The best of 200 that were left alone: some cross by themselves, hardly any among all."""
    items = [(history(seed), PLAN) for seed in range(200)]
    assert sum(f.verdict in DECIDED for f in (judge(*item) for item in items)) >= 1
    assert sum(f.verdict in DECIDED for f in judge_many(items)) <= 1


def test_the_rebound_after_a_streak_is_what_chance_gives():
    """Before against after a streak: what is gained is there where nothing was changed, too."""
    batch = make_batch(WORLDS["iid"], 200, seed=13, before=60, after=200)
    found = [judge(*history_of(batch, i, 0.0)) for i in range(200)]
    expected = [f.expected_rebound_r for f in found if f.expected_rebound_r is not None]
    raw = [f.raw_before_after_r for f in found if f.raw_before_after_r is not None]
    assert len(expected) >= 150
    assert np.mean(expected) > 0
    # Standard errors: 0.014 of the raw mean, as much of the expected one.
    assert np.mean(raw) == pytest.approx(np.mean(expected), abs=0.07)
    still, plan = history_of(batch, 0, 0.0)
    assert judge(replace(still, trigger=None), plan).expected_rebound_r is None


# --- properties ----------------------------------------------------------------------------------

SHAPES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "before": st.integers(60, 200),
        "after": st.integers(30, 120),
        "cells": st.integers(1, 4),
    }
)
FEW = settings(max_examples=25, deadline=None)


@FEW
@given(SHAPES, st.floats(-5, 5))
def test_adding_a_constant_to_every_r_changes_no_effect(shape, constant):
    whole = history(**shape)
    moved = replace(whole, r=whole.r + constant)
    a, b = judge(whole, PLAN), judge(moved, PLAN)
    assert b.estimate_r == pytest.approx(a.estimate_r, abs=1e-6)
    assert b.verdict == a.verdict


@FEW
@given(SHAPES, st.floats(0.01, 50))
def test_scaling_every_r_scales_the_effect_and_its_interval(shape, scale):
    whole = history(**shape)
    a, b = judge(whole, PLAN), judge(replace(whole, r=whole.r * scale), PLAN)
    assert b.estimate_r == pytest.approx(a.estimate_r * scale, rel=1e-6, abs=1e-9)
    assert b.ci == pytest.approx(tuple(x * scale for x in a.ci), rel=1e-5, abs=1e-9)
    assert b.inflation == pytest.approx(a.inflation, rel=1e-6)


@FEW
@given(SHAPES, st.randoms(use_true_random=False))
def test_names_of_cells_and_order_of_trades_play_no_part(shape, random):
    whole = history(**shape)
    names = [whole.cells[c] for c in whole.cell]
    others = sorted(set(names))
    random.shuffle(others)
    renamed = dict(zip(sorted(set(names)), others, strict=True))
    order = list(range(len(whole)))
    random.shuffle(order)
    mixed = make_history(
        whole.time[order], whole.r[order], whole.covered[order], [renamed[names[i]] for i in order]
    )
    a, b = judge(whole, PLAN), judge(mixed, PLAN)
    assert b.estimate_r == pytest.approx(a.estimate_r, abs=1e-9)
    assert (b.verdict, b.more_trades_needed) == (a.verdict, a.more_trades_needed)


@FEW
@given(SHAPES)
def test_swapping_better_for_worse_swaps_the_verdict(shape):
    whole = history(**shape, effect=0.8)
    a, b = judge(whole, PLAN), judge(replace(whole, r=-whole.r), PLAN)
    assert b.verdict == a.verdict.translate({}).replace("helped", "hurt")
    assert b.estimate_r == pytest.approx(-a.estimate_r, abs=1e-9)


def test_trades_needed_are_those_of_the_formula():
    """Independent trades: 7.85 / d^2 on each side for an endless baseline, twice that for equal."""
    factor = 1.0
    n, before, sd = 100, 10**9, 1.5
    variance = factor * sd**2 * (1 / n + 1 / before)
    assert trades_needed(0.25, before, variance, sd, n) == 126
    short = sd**2 * (1 / n + 1 / 100)
    assert trades_needed(0.25, 100, short, sd, n) is None
