"""Merging bars into bars, without a database."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.core.candles import Candles, Quotes, from_quotes, pack, unpack
from trading.core.merging import Columns, merge, unite
from trading.core.types import SeriesKind


def bars(values: dict[int, int], volume: float | None = None) -> Columns:
    time = np.array(sorted(values), np.int64)
    price = np.array([values[t] for t in sorted(values)], np.int64) * 2
    volumes = None if volume is None else np.full(time.shape, volume)
    return Columns(time, (price, price, price, price), volumes)


def closes(columns: Columns) -> dict[int, int]:
    return dict(zip(columns.time.tolist(), (columns.prices[3] // 2).tolist(), strict=True))


series = st.dictionaries(st.integers(0, 30), st.integers(1, 3))


@given(old=series, new=series)
def test_the_new_bar_wins_and_every_bar_is_counted_once(
    old: dict[int, int], new: dict[int, int]
) -> None:
    result = merge(bars(old) if old else None, bars(new))
    assert closes(result.bars) == {**old, **new}
    assert result.bars.time.tolist() == sorted({**old, **new})
    assert set(result.inserted.tolist()) == new.keys() - old.keys()
    assert closes(result.revised) == {t: old[t] for t in old if t in new and old[t] != new[t]}
    assert result.unchanged == sum(old.get(t) == price for t, price in new.items())
    assert not merge(result.bars, bars(new)).changed


def test_a_missing_volume_changes_nothing_and_a_known_one_is_taken() -> None:
    assert not merge(bars({1: 5}, volume=2.0), bars({1: 5})).changed
    learnt = merge(bars({1: 5}), bars({1: 5}, volume=2.0))
    assert learnt.bars.volume is not None
    assert learnt.bars.volume.tolist() == [2.0]
    mixed = unite([bars({1: 5}, volume=2.0), bars({2: 5})])
    assert mixed.volume is not None
    assert np.isnan(mixed.volume).tolist() == [False, True]


@pytest.mark.parametrize("kind", list(SeriesKind))
@pytest.mark.parametrize("volume", [None, np.array([1.5, 0.0, 1e12])])
def test_packed_bars_come_back(kind: SeriesKind, volume: np.ndarray | None) -> None:
    time = np.array([0, 60, 120], np.int64) * 10**9
    price = np.array([2, 4, 2**31 - 4], np.int64) * (1 if kind == SeriesKind.MID else 2)
    if kind == SeriesKind.BID_ASK:
        candles = from_quotes(time, Quotes(*[price] * 4, *[price - 2] * 4), volume)
    else:
        candles = Candles(time, price, price + 2, price - 2, price, volume)
    back = unpack(pack(candles, kind), len(candles), kind)
    for name in ("time", "open", "high", "low", "close"):
        assert np.array_equal(getattr(back, name), getattr(candles, name))
    assert (back.volume is None) == (volume is None)
    assert (back.quotes is None) == (kind != SeriesKind.BID_ASK)
