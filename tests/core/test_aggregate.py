"""Coarser bars: by hand, whole bars only, and never a look at what comes later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.cases import MINUTE, Bar, at, candles, quote_candles
from tests.core.test_replay import random_candles
from trading.core.aggregate import aggregate
from trading.core.candles import Candles, empty_candles
from trading.core.errors import UserError

COLUMNS = ("time", "open", "high", "low", "close")
SIX: list[Bar] = [
    (100, 102, 99, 101),
    (101, 105, 100, 104),
    (104, 104, 95, 96),
    (96, 97, 96, 97),
    (97, 99, 90, 98),
    (98, 98, 97, 97),
]


def rows(bars: Candles) -> list[tuple[float, ...]]:
    table = zip(*(getattr(bars, name).tolist() for name in COLUMNS), strict=True)
    return [((t - at(0)) / MINUTE, o / 2, h / 2, low / 2, c / 2) for t, o, h, low, c in table]


def test_three_minutes() -> None:
    fine = replace(candles(SIX), volume=np.arange(6.0), spread=np.arange(6))
    coarse = aggregate(fine, 3 * MINUTE)
    assert rows(coarse) == [(0, 100, 105, 95, 96), (3, 96, 99, 90, 97)]
    assert coarse.volume is not None
    assert coarse.volume.tolist() == [3.0, 12.0]
    assert coarse.spread is not None
    assert coarse.spread.tolist() == [2, 5]


def test_a_beginning_inside_a_bar_and_an_end_inside_one_are_dropped() -> None:
    assert rows(aggregate(candles(SIX[1:5], minutes=[1, 2, 3, 4]), 3 * MINUTE, MINUTE)) == []
    assert [row[0] for row in rows(aggregate(candles(SIX[:5]), 3 * MINUTE))] == [0]
    assert [
        row[0] for row in rows(aggregate(candles(SIX[1:], minutes=range(1, 6)), 3 * MINUTE))
    ] == [3]


def test_holes() -> None:
    holed = candles([SIX[0], SIX[2], SIX[5]], minutes=[0, 2, 11])
    assert rows(aggregate(holed, 3 * MINUTE, MINUTE)) == [
        (0, 100, 104, 95, 96),
        (9, 98, 98, 97, 97),
    ]


def test_both_sides_of_the_book() -> None:
    bid: list[Bar] = SIX[:2]
    ask: list[Bar] = [tuple(p + 2 for p in bar) for bar in bid]  # type: ignore[misc]
    coarse = aggregate(quote_candles(bid, ask), 2 * MINUTE)
    assert coarse.quotes is not None
    assert [c[0] / 2 for c in (coarse.quotes.bid_high, coarse.quotes.ask_low)] == [105, 101]


def test_nothing_and_the_same() -> None:
    assert len(aggregate(empty_candles(), MINUTE)) == 0
    bars = candles(SIX)
    assert aggregate(bars, MINUTE) is bars


@pytest.mark.parametrize("minutes", [0.5, 1.5])
def test_bars_that_do_not_fit(minutes: float) -> None:
    with pytest.raises(UserError) as error:
        aggregate(candles(SIX), int(minutes * MINUTE))
    assert error.value.code == "timeframe"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 15]), st.integers(1, 200))
def test_a_piece_gives_the_same_bars(seed: int, minutes: int, end: int) -> None:
    """Cutting the end off removes bars and changes none."""
    fine = random_candles(np.random.default_rng(seed), 200, step=3, quotes=False)
    whole = rows(aggregate(fine, minutes * MINUTE, MINUTE))
    piece = rows(aggregate(fine.rows(slice(0, end)), minutes * MINUTE, MINUTE))
    holes_at_the_end = len(piece) < len(whole)
    assert piece == whole[: len(piece)]
    assert holes_at_the_end or piece == whole
