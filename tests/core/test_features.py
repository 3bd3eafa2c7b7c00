"""Features of a market: small known answers, no look-ahead, no trace of where a series begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from post_mortem.core.batches import take
from post_mortem.core.features import (
    SIGMA_BARS,
    market_features,
    required_lookback,
    seasonality,
    usual_of_hour,
    window_start,
)
from post_mortem.core.inputs import lookback_ns
from post_mortem.core.labeler import label
from post_mortem.core.ranges import range_argmax
from post_mortem.core.rca import diagnose
from post_mortem.core.record import COLUMNS, records
from post_mortem.core.replay import replay
from post_mortem.core.types import CaseBatch, Market, Peer, SetupView
from tests.core import cases, market


def test_range_argmax_agrees_with_looking_at_every_range() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 20, 300)
    lo = rng.integers(0, 300, 500)
    hi = np.minimum(lo + rng.integers(0, 300, 500), 299)
    expected = [a + int(np.argmax(values[a : b + 1])) for a, b in zip(lo, hi, strict=True)]
    assert range_argmax(values, lo, hi).tolist() == expected


def test_no_ranges_have_no_answers() -> None:
    nothing = np.zeros(0, np.int64)
    assert range_argmax(np.arange(3), nothing, nothing).size == 0


def walk(returns: np.ndarray, minutes: np.ndarray | None = None) -> Market:
    close = np.rint(2e6 * np.exp(np.cumsum(returns))) / 2
    rows = [(c, c, c, c) for c in close]
    return cases.market(cases.candles(rows, minutes=minutes))


def test_sigma_of_a_steady_market_is_its_step() -> None:
    step = 1e-3
    features = market_features(walk(np.tile([step, -step], 200)))
    # Bipower of constant |d|: sqrt(pi / 2) times the step.
    assert features.sigma[-1] == pytest.approx(np.sqrt(np.pi / 2) * step, rel=1e-2)
    assert np.isnan(features.sigma[:20]).all()


def test_one_jump_hardly_moves_sigma() -> None:
    returns = np.tile([1e-3, -1e-3], 200)
    before = market_features(walk(returns)).sigma[-1]
    returns[300] = 0.05
    after = market_features(walk(returns)).sigma[-1]
    # Two products of 156 hold the jump; a mean of squares would be 17 times as large.
    assert before < after < 1.6 * before


def test_a_hole_of_more_than_a_week_is_no_return() -> None:
    minutes = np.array([0, 1, 2, 3 + 8 * 1440])
    features = market_features(walk(np.array([0, 0.001, 0.001, 0.3]), minutes))
    assert features.r[3] == 0
    assert features.r[2] == pytest.approx(0.001, rel=1e-3)


def test_the_season_of_a_day_is_known_before_it() -> None:
    rng = np.random.default_rng(2)
    where = market.random_market(rng, 40)
    whole = seasonality(where, market_features(where).r)
    assert whole[:500] == pytest.approx(1.0)  # under ten days of data: none
    assert whole[-500:].std() > 0.1
    day_of_last = where.candles.time[-1] // market.DAY
    until = int(np.searchsorted(where.candles.time, day_of_last * market.DAY))
    wild = replace(where.candles, close=where.candles.close.copy())
    wild.close[until:] *= 2
    changed = seasonality(where, market_features(replace(where, candles=wild)).r)
    assert (changed == whole).all()


def test_the_usual_volume_of_an_hour_is_that_of_the_days_before() -> None:
    days = 16
    time = cases.MONDAY + np.arange(days * 24, dtype=np.int64) * 60 * cases.MINUTE
    values = np.tile(np.arange(24.0), days)
    values[-24:] = 1000.0  # today does not count for itself
    usual = usual_of_hour(time, values)
    assert usual[-24:].tolist() == list(range(24))
    assert np.isnan(usual[: 10 * 24]).all()


def test_a_window_does_not_reach_over_a_long_hole() -> None:
    time = np.concatenate([np.arange(100), 100_000 + np.arange(50)]) * cases.MINUTE
    start = window_start(time, np.array([100, 150]), SIGMA_BARS, cases.MINUTE)
    assert start.tolist() == [0, 100]


# --- the same numbers to the last bit -------------------------------------------------------------


def cut(batch: CaseBatch, row: int, last: int) -> CaseBatch:
    """One case on the part of the series it needs, and one bar more to show that time passed."""
    one = take(batch, np.array([row]))
    where, time = one.market, one.market.candles.time
    start = lookback_ns(
        where.bar_ns, one.entry_time, one.setup_bar_ns, one.claimed_setups, one.stop_price
    )
    span = slice(int(np.searchsorted(time, start[0])), last + 2)
    bars = where.candles.rows(span)
    assert where.peers is not None
    peers = tuple(Peer(p.symbol, p.close[span], p.sign) for p in where.peers)
    part = replace(where, candles=bars, peers=peers)
    return replace(one, market=part, setup_views=(SetupView(where.bar_ns, bars),))


@pytest.mark.parametrize("seed", [3, 4])
def test_a_case_cut_out_of_a_long_series_has_the_same_evidence(seed: int) -> None:
    rng = np.random.default_rng(seed)
    where = market.random_market(rng, 120)
    batch = market.random_batch(rng, where, 60, first_day=2)
    paths = replay(batch)
    labels = label(batch, paths)
    together = records(labels, diagnose(batch, paths, labels))
    shorter = 0
    for row in range(len(batch)):
        alone = cut(batch, row, int(paths.last[row]))
        shorter += len(alone.market.candles) < len(where.candles) // 2
        own_paths = replay(alone)
        own_labels = label(alone, own_paths)
        own = records(own_labels, diagnose(alone, own_paths, own_labels))[0]
        differs = [COLUMNS[i] for i in np.flatnonzero(own != together[row])]
        assert differs == [], row
    assert shorter > 20


def test_the_lookback_is_a_day_floor_before_every_window() -> None:
    entry = cases.at(615)
    start = required_lookback(5 * cases.MINUTE, entry)
    assert start % market.DAY == 0
    assert start <= entry - 288 * 5 * cases.MINUTE - 14 * market.DAY
