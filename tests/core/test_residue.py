"""Binary prices keep on which side of their decimal they lie, through storage and merging."""

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
