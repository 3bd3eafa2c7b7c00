"""Binary prices keep on which side of their decimal they lie, through storage and merging; they and
volumes count in a bar's digest where a bar has them."""

from __future__ import annotations

import numpy as np
import pytest

from trading.core.candles import (
    Candles,
    bar_digests,
    concatenate,
    pack,
    pack_residue,
    residue_sign,
    unpack,
)
from trading.core.merging import Columns, merge

SIGNS = [np.array(s, np.int8) for s in ([0, 1], [-1, 0], [1, 1], [0, 0])]


def candles(residue: np.ndarray | None, start: int = 0) -> Candles:
    time = np.array([start, start + 60], np.int64) * 10**9
    price = np.array([200, 202], np.int64)
    return Candles(time, price, price + 2, price - 2, price, residue=residue)


def test_signs_survive_packing_and_storage():
    given = candles(pack_residue(SIGNS))
    back = unpack(pack(given, "trade"), 2, "trade")
    for column, sign in zip(("open", "high", "low", "close"), SIGNS, strict=True):
        assert residue_sign(back, column).tolist() == sign.tolist()


def test_exact_prices_need_no_residue():
    assert pack_residue([np.zeros(2, np.int8)] * 4) is None
    plain = candles(None)
    assert residue_sign(plain, "low").tolist() == [0, 0]
    assert len(pack(plain, "trade")) == len(pack(candles(pack_residue(SIGNS)), "trade")) - 2


@pytest.mark.parametrize("first", [True, False])
def test_joining_and_merging_keep_the_signs_of_each_part(first):
    marked, plain = candles(pack_residue(SIGNS)), candles(None, start=120)
    parts = [marked, plain] if first else [candles(None), candles(pack_residue(SIGNS), start=120)]
    expected = [1, 1, 0, 0] if first else [0, 0, 1, 1]
    assert residue_sign(concatenate(parts), "low").tolist() == expected
    merged = merge(Columns.of(parts[1]), Columns.of(parts[0])).bars.candles()
    assert residue_sign(merged, "low").tolist() == expected


def test_a_changed_sign_changes_the_digest():
    whole = np.array([0]), np.array([2])
    one = bar_digests(candles(pack_residue(SIGNS))).of_ranges(*whole)
    other = bar_digests(candles(None)).of_ranges(*whole)
    assert (one != other).all()


def bars(n: int, start: int = 0, **columns: np.ndarray) -> Candles:
    at = start + np.arange(n, dtype=np.int64)
    price = 200 + 2 * (at % 5)
    return Candles(at * 60 * 10**9, price, price + 2, price - 2, price, **columns)


def digest(candles: Candles, start: int, stop: int) -> str:
    ranges = np.array([start]), np.array([stop])
    return bar_digests(candles).of_ranges(*ranges).astype(">u8").tobytes().hex()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "columns", [{"volume": 1.5 + np.arange(4)}, {"residue": np.array([1, 0, 3, 0], np.int8)}]
)
def test_a_bars_digest_is_not_that_of_the_bars_loaded_with_it(columns, first):
    """One file without volume (or with binary prices) leaves the other weeks alone."""
    whole = bars(4, 0 if first else 4, **columns), bars(4, 4 if first else 0)
    one, other = whole if first else whole[::-1]
    joined = concatenate([one, other])
    assert digest(joined, 0, 4) == digest(one, 0, 4)
    assert digest(joined, 4, 8) == digest(other, 0, 4)
    assert digest(joined, 0, 8) != digest(bars(8), 0, 8)


def test_a_volume_that_is_known_counts_and_none_is_not_zero():
    known = np.array([1.0, np.nan, 0.0])
    with_volume, without = bars(3, volume=known), bars(3)
    differs = [digest(with_volume, i, i + 1) != digest(without, i, i + 1) for i in range(3)]
    assert differs == [True, False, True]


def test_digests_of_volumes_everywhere_and_nowhere_are_those_that_are_stored():
    everywhere = bars(6, volume=1.5 + np.arange(6))
    assert digest(everywhere, 0, 6) == "19222abb3f3e76de7330b8b90bb703a2"
    assert digest(bars(6), 0, 6) == "dcad42f8d12f0ab247e0ddf3b233e399"
