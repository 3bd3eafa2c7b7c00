"""How often a random bar bears out a claim: counted bar by bar, and against `verify` itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from post_mortem.core.setup_rates import WAYS, base_rates
from post_mortem.core.setups import MIN_BARS_BEFORE, WINDOW_BARS, SetupEvents, detect, verify
from post_mortem.core.types import SETUPS, SetupView
from tests.core.cases import MINUTE, candles
from tests.core.test_replay import random_candles
from tests.examples import examples
from trading.core.indicators import ATR_BARS

FVG = SETUPS.index("fvg")


def events(known: list[int], size: list[float], *, way: int = 1) -> SetupEvents:
    bars = np.array(known, np.int64)
    which = np.full(bars.size, FVG, np.int8)
    ways = np.full(bars.size, way, np.int8)
    return SetupEvents(which, ways, bars, bars, np.array(size, float), bars, bars)


@pytest.mark.parametrize(
    ("known", "covered"),
    [
        ([], 0),
        ([20], 4),
        ([20, 21], 5),
        ([20, 24], 8),
        ([20, 23], 7),
        ([20, 20], 4),
        ([112], 2),  # the series ends two bars later
        ([113], 1),
    ],
)
def test_bars_that_bear_a_claim_out(known: list[int], covered: int) -> None:
    rates = base_rates(events(known, [1.0] * len(known)), 114)
    assert rates[FVG].tolist() == [covered / 100, 0]
    assert np.delete(rates, FVG, axis=0).sum() == 0


def test_bearish_ones_are_the_second_column() -> None:
    assert base_rates(events([20], [1.0], way=-1), 114)[FVG].tolist() == [0, 0.04]


@pytest.mark.parametrize(("least", "rate"), [(0, 0.08), (0.5, 0.08), (0.51, 0.04), (3, 0)])
def test_only_structures_of_the_size_asked_for(least: float, rate: float) -> None:
    assert base_rates(events([20, 60], [0.5, 2.0]), 114, least)[FVG, 0] == rate


@pytest.mark.parametrize("bars", [0, 1, ATR_BARS])
def test_a_series_too_short_has_no_rate(bars: int) -> None:
    assert np.isnan(base_rates(events([], []), bars)).all()


@examples(20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 9]))
def test_the_rate_is_what_verify_finds_on_all_bars(seed: int, step: int) -> None:
    series = random_candles(np.random.default_rng(seed), 420, step=step, quotes=False)
    n = len(series)
    rates = base_rates(detect(series), n)
    for column, way in enumerate(WAYS):
        entry = series.time + MINUTE
        everything = np.full(n, 2 ** len(SETUPS) - 1, np.int32)
        found = verify(SetupView(MINUTE, series), np.full(n, way, np.int8), entry, everything).found
        known = detect(series)
        for setup in range(len(SETUPS)):
            chosen = known.known_bar[(known.setup == setup) & (known.direction == way)]
            bars = np.arange(n)[:, None]
            lag = bars - chosen[None, :]
            there = ((lag >= 0) & (lag <= WINDOW_BARS)).any(axis=1)
            # Claims are looked at with enough bars before them only.
            assert there[MIN_BARS_BEFORE:].tolist() == found[MIN_BARS_BEFORE:, setup].tolist()
            assert rates[setup, column] == pytest.approx(there.sum() / (n - ATR_BARS))


def test_a_flat_market_shows_nothing() -> None:
    flat = candles([(100, 101, 99, 100)] * 200)
    assert base_rates(detect(flat), 200).tolist() == [[0, 0]] * len(SETUPS)
