"""Indicators: by hand, causal, and the same wherever the array begins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.cases import MINUTE, Bar, at, candles
from tests.core.test_replay import random_candles
from trading.core.indicators import (
    atr,
    efficiency_ratio,
    ema,
    last_closed,
    log_returns,
    rolling_max,
    rolling_min,
    true_range,
    wilder,
    wilder_atr,
)


def test_true_range_reaches_to_the_previous_close() -> None:
    bars: list[Bar] = [(100, 102, 99, 101), (105, 106, 104, 105), (98, 99, 97, 98)]
    assert (true_range(candles(bars)) / 2).tolist() == [3, 5, 8]


def test_atr_is_the_mean_of_the_last_fourteen() -> None:
    bars: list[Bar] = [(100, 100 + i, 100, 100) for i in range(20)]
    values = atr(candles(bars)) / 2
    assert np.isnan(values[:14]).all()
    assert values[14] == sum(range(1, 15)) / 14
    assert values[19] == sum(range(6, 20)) / 14


def test_atr_does_not_depend_on_where_the_array_begins() -> None:
    series = random_candles(np.random.default_rng(1), 400, step=5, quotes=False)
    whole, piece = atr(series), atr(series.rows(slice(150, None)))
    assert whole[164:].tobytes() == piece[14:].tobytes()


@pytest.mark.parametrize("n", [0, 1, 13, 14])
def test_too_short_for_an_atr(n: int) -> None:
    series = candles([(100, 101, 99, 100)] * n)
    assert np.isnan(atr(series)).all()
    assert np.isnan(wilder_atr(series)).all()


def test_wilder_and_ema_are_their_recursions() -> None:
    values = np.random.default_rng(2).normal(size=50)
    for function, weight in ((wilder, 1 / 10), (ema, 2 / 11)):
        expected = values[:10].mean()
        got = function(values, 10)
        assert np.isnan(got[:9]).all()
        assert got[9] == pytest.approx(expected)
        for i in range(10, 50):
            expected += weight * (values[i] - expected)
            assert got[i] == pytest.approx(expected)


def test_wilder_atr_skips_the_bar_without_a_previous_close() -> None:
    series = candles([(100, 150, 50, 100), *[(100, 101, 99, 100)] * 20])
    got = wilder_atr(series)
    assert np.isnan(got[:14]).all()
    assert (got[14:] / 2).tolist() == pytest.approx([2.0] * 7)


@given(st.lists(st.integers(-50, 50), max_size=40), st.integers(1, 12))
def test_rolling_extremes(values: list[int], n: int) -> None:
    column = np.array(values, np.int64)
    windows = [values[max(0, i - n + 1) : i + 1] for i in range(len(values))]
    assert rolling_max(column, n).tolist() == [max(w) for w in windows]
    assert rolling_min(column, n).tolist() == [min(w) for w in windows]


def test_efficiency_ratio() -> None:
    straight = np.arange(10, dtype=np.int64)
    assert efficiency_ratio(straight, 4)[4:].tolist() == [1.0] * 6
    zigzag = np.array([0, 1, 0, 1, 0], np.int64)
    assert efficiency_ratio(zigzag, 4)[4] == 0.0
    still = np.zeros(6, np.int64)
    assert efficiency_ratio(still, 4)[4:].tolist() == [0.0, 0.0]
    assert np.isnan(efficiency_ratio(still, 6)).all()


def test_log_returns() -> None:
    got = log_returns(np.array([100, 200, 100], np.int64))
    assert np.isnan(got[0])
    assert got[1:].tolist() == pytest.approx([np.log(2), -np.log(2)])


@pytest.mark.parametrize(("minute", "bar"), [(0, -1), (0.5, -1), (1, 0), (1.5, 0), (2, 1), (9, 4)])
def test_last_closed(minute: float, bar: int) -> None:
    time = candles([(100, 101, 99, 100)] * 5).time
    assert last_closed(time, MINUTE, np.array([at(minute)])).tolist() == [bar]
