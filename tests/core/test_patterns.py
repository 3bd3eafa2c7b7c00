"""Patterns are found where they were planted and, mostly, not where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from post_mortem.core.attribution.matrix import FeatureColumn, FeatureMatrix
from post_mortem.core.attribution.registry import EntryFeature
from post_mortem.core.patterns import PRIOR_R, Sample, find_patterns, shrunk
from trading.core.types import NS_PER_DAY, NS_PER_HOUR


def category(name: str, group: str, codes: np.ndarray) -> FeatureColumn:
    words = tuple(f"with {name} {i}" for i in range(int(codes.max()) + 1))
    feature = EntryFeature(
        name, group, "kind", name, name, ("x",), lambda known: known, words=words
    )
    return FeatureColumn(feature, codes.astype(float), words)


def sample(seed: int, n: int = 400, effect: float = 0.0, of_day: float = 0.0) -> Sample:
    """Trades with three features; those of session 2 differ by `effect` R, days by `of_day`."""
    rng = np.random.default_rng(seed)
    columns = [
        category("session", "time", rng.integers(0, 4, n)),
        category("symbol", "plan", rng.integers(0, 3, n)),
        category("volatility", "market", rng.integers(0, 2, n)),
    ]
    entry = np.sort(rng.integers(0, 200 * 24, n)) * NS_PER_HOUR
    day = entry // NS_PER_DAY
    r = np.where(rng.random(n) < 0.42, 1.5, -1.0) + rng.normal(0, 0.2, n)
    r = r + effect * (columns[0].values == 2) + of_day * rng.normal(0, 1, 201)[day]
    nothing = np.full(n, -1)
    return Sample(
        FeatureMatrix(tuple(columns), "test"),
        (r > 0).astype(float),
        r,
        entry,
        nothing,
        nothing * 0.0,
    )


def test_a_planted_loss_is_found_and_told_with_what_it_cost():
    data = sample(3, effect=-0.9)
    found = find_patterns(data)
    first = found[0]
    assert first.parts == (("session", "with session 2"),)
    assert first.is_leak
    assert first.confidence >= 95
    assert first.chance is not None
    assert first.chance <= 0.10
    inside = data.matrix.column("session").values == 2
    assert set(first.rows.tolist()) == set(np.flatnonzero(inside).tolist())
    assert first.total_r == pytest.approx(data.r[inside].sum())
    assert first.n == sum(period.n for period in first.periods) == sum(g.n for g in first.regimes)
    assert first.mean_r - first.others.mean_r < first.effect_r < 0


@pytest.mark.parametrize("of_day", [0.0, 0.8])
def test_no_pattern_is_found_where_there_is_none_nor_where_days_differ(of_day):
    alarms = sum(bool(find_patterns(sample(seed, of_day=of_day))) for seed in range(40))
    # Nominal 10 %; three standard errors above it.
    assert alarms <= 40 * 0.10 + 3 * np.sqrt(40 * 0.1 * 0.9)


def test_nearly_the_same_trades_are_told_of_once():
    data = sample(3, effect=-0.9)
    twin = category("hour", "clock", data.matrix.column("session").values.astype(int))
    doubled = FeatureMatrix((*data.matrix.columns, twin), "test")
    found = find_patterns(Sample(doubled, data.won, data.r, data.entry, data.cause, data.posterior))
    assert len([f for f in found if f.is_leak and f.n > 80]) == 1


def test_the_answer_does_not_depend_on_the_order_of_the_trades():
    data = sample(5, effect=-0.9)
    order = np.random.default_rng(1).permutation(data.r.size)
    shuffled = Sample(
        data.matrix.rows(order), data.won[order], data.r[order], data.entry[order],
        data.cause[order], data.posterior[order],
    )  # fmt: skip
    one, other = find_patterns(data), find_patterns(shuffled)
    assert [(f.key, f.n, f.confidence) for f in one] == [(f.key, f.n, f.confidence) for f in other]
    assert set(order[other[0].rows].tolist()) == set(one[0].rows.tolist())


def test_causes_that_came_first_are_counted():
    data = sample(5)
    cause = np.where(np.arange(data.r.size) < 6, 0, -1)
    r = np.where(cause == 0, -1.2, data.r)
    found = find_patterns(
        Sample(data.matrix, data.won, r, data.entry, cause, np.full(r.size, 0.8), ("news_shock",))
    )
    leak = next(f for f in found if f.kind == "cause")
    assert (leak.n, leak.chance, leak.confidence) == (6, None, 80)
    assert leak.total_r == pytest.approx(-7.2)


def test_few_trades_and_trades_without_r_tell_nothing():
    data = sample(3, n=15, effect=-2)
    assert find_patterns(data) == ()
    data = sample(3, effect=-0.9)
    unknown = np.full(data.r.size, np.nan)
    assert (
        find_patterns(
            Sample(data.matrix, data.won, unknown, data.entry, data.cause, data.posterior)
        )
        == ()
    )


def test_shrinking_draws_the_uncertain_further():
    assert shrunk(0.5, 0.05)[0] > 0.4
    assert shrunk(0.5, PRIOR_R)[0] == pytest.approx(0.25)
    assert shrunk(-0.5, 1.0)[0] > -0.02
    assert shrunk(-0.5, 1.0)[1] == pytest.approx(PRIOR_R, rel=0.02)
    assert shrunk(-0.5, 1.0)[2] < 60


def breakout_desk(seed: int, effect: float, only_in: int | None = None) -> Sample:
    """Two setups, one of which loses: everywhere, or in one session only."""
    data = sample(seed, n=600)
    setup = category("setup", "plan", np.random.default_rng(900 + seed).integers(0, 2, 600))
    hit = setup.values == 1
    if only_in is not None:
        hit = hit & (data.matrix.column("session").values == only_in)
    matrix = FeatureMatrix((setup, *data.matrix.columns), "test")
    r = data.r + effect * hit
    return Sample(matrix, (r > 0) * 1.0, r, data.entry, data.cause, data.posterior)


def test_of_two_halves_the_losing_one_is_told_and_told_alone():
    found = find_patterns(breakout_desk(1, -0.9))
    assert [(f.parts, f.is_leak) for f in found] == [((("setup", "with setup 1"),), True)]
    compared = [(c.words, c.n) for c in found[0].cohorts]
    assert [words for words, _ in compared] == ["with setup 0", "with setup 1"]
    assert sum(n for _, n in compared) == 600


def test_what_happens_only_together_is_told_together_and_its_parts_are_not():
    found = find_patterns(breakout_desk(4, -1.6, only_in=2))
    assert [f.parts for f in found] == [(("setup", "with setup 1"), ("session", "with session 2"))]
    both, alone, other, neither = found[0].cohorts
    assert both.n == found[0].n
    assert both.n + alone.n + other.n + neither.n == 600
    assert both.mean_r < min(alone.mean_r, other.mean_r, neither.mean_r) - 1
