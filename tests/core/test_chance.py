"""Chance is counted: what a kind of trades differs by, and how often dealing anew gives as much."""

from __future__ import annotations

import numpy as np
import pytest

from post_mortem.core.chance import chances
from post_mortem.core.strength import halves, periods, recent_mean, trend
from trading.core.types import NS_PER_DAY, NS_PER_HOUR


def desk(seed: int, n: int = 300, days: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    entry = np.sort(rng.integers(0, days * 24, n)) * NS_PER_HOUR
    return np.where(rng.random(n) < 0.45, 1.4, -1.0), entry


def kinds(seed: int, n: int, count: int, share: float) -> list[np.ndarray]:
    rng = np.random.default_rng(1000 + seed)
    return [rng.random(n) < share for _ in range(count)]


def test_the_effect_is_the_difference_of_means_and_its_error_that_of_random_halves():
    r, entry = desk(1)
    (mask,) = kinds(1, r.size, 1, 0.5)
    found = chances([mask], r, entry, seed=3)
    assert found.effect[0] == pytest.approx(r[mask].mean() - r[~mask].mean(), abs=1e-5)
    expected = r.std(ddof=1) * np.sqrt(1 / mask.sum() + 1 / (~mask).sum())
    assert found.error[0] == pytest.approx(expected, rel=0.15)


def test_a_strong_kind_is_rarer_than_any_deal_and_chance_counts_all_that_were_tried():
    r, entry = desk(2)
    mask = np.random.default_rng(7).random(r.size) < 0.2
    r = r - 1.2 * mask
    alone = chances([mask], r, entry, seed=1)
    among = chances([mask, *kinds(2, r.size, 400, 0.05)], r, entry, seed=1)
    assert alone.chance[0] == pytest.approx(1 / 500)
    assert among.chance[0] >= alone.chance[0]
    # Of kinds that say nothing, hardly any is told, however many were tried.
    assert (among.chance[1:] <= 0.1).mean() < 0.01


def test_small_kinds_of_equal_results_do_not_look_sure():
    """Ten trades that all ended at -1 R have no scatter of their own: a formula for their error
    would make them certain. Of 600 such small kinds some are all losers by chance alone."""
    alarms = 0
    for seed in range(20):
        r, entry = desk(seed, n=250)
        alarms += bool(
            (chances(kinds(seed, 250, 600, 0.045), r, entry, seed=seed).chance <= 0.1).any()
        )
    assert alarms <= 20 * 0.1 + 3 * np.sqrt(20 * 0.09)


def test_results_of_one_day_stay_together():
    """Twenty days of ten equal trades each: a kind of whole days scatters as days do."""
    day = np.repeat(np.arange(20), 10)
    r = np.repeat(np.random.default_rng(3).choice([1.0, -1.0], 20), 10)
    mask = day % 2 == 0
    found = chances([mask], r, day * NS_PER_DAY, seed=1)
    of_days = r[::10].std(ddof=1) * np.sqrt(2 / 10)
    of_trades = r.std(ddof=1) * np.sqrt(2 / 100)
    assert found.error[0] == pytest.approx(of_days, rel=0.15)
    assert found.error[0] > 2 * of_trades


def test_the_same_seed_gives_the_same_answer_and_nothing_gives_nothing():
    r, entry = desk(5)
    masks = kinds(5, r.size, 30, 0.2)
    one, other = (chances(masks, r, entry, seed=9) for _ in range(2))
    assert (one.chance == other.chance).all()
    assert chances([], r, entry, seed=9).chance.size == 0


# --- over time ------------------------------------------------------------------------------------


def timeline(early: float, late: float, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    entry = np.arange(n, dtype=np.int64) * 12 * NS_PER_HOUR
    inside = np.arange(n) % 2 == 0
    r = rng.normal(0, 0.6, n) + inside * np.where(np.arange(n) < n // 2, early, late)
    return entry, r, inside


@pytest.mark.parametrize(
    ("early", "late", "said"),
    [(-1.0, -0.1, "weaker"), (-0.2, -1.0, "stronger"), (-0.9, -0.9, "steady"), (0.0, 0.0, "")],
)
def test_a_trend_is_told_only_where_the_data_can_tell(early, late, said):
    assert trend(*timeline(early, late)) == said


def test_few_trades_have_no_trend():
    entry, r, inside = timeline(-1.5, 1.5, n=36)
    assert trend(entry, r, inside) == ""


def test_halves_and_quarters_add_up_and_the_recent_count_more():
    entry, r, inside = timeline(-1.0, 0.0)
    won = (r > 0).astype(float)
    earlier, later = halves(entry, r, won, inside)
    assert earlier.n + later.n == inside.sum() == sum(p.n for p in periods(entry, r, won, inside))
    assert earlier.total_r + later.total_r == pytest.approx(r[inside].sum())
    assert earlier.total_r < later.total_r
    assert r[inside].mean() < recent_mean(entry, r, inside) < 0.1
