"""Walk-forward folds in time order, grouped, purged and embargoed.

Groups (all cases of one signal) are ordered by their first entry and never divided. The earliest
part only trains; the rest is cut into test blocks of equal size. A case trains for a block only if
it entered before the block and its result was known `embargo` before the block's first entry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.core.candles import I64

FOLDS = 4
FIRST_TRAIN = 0.4  # share of the groups that is never tested on


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    train: I64
    test: I64


def walk_forward(
    entry: I64, end: I64, group: I64, *, embargo: int, folds: int = FOLDS
) -> list[Fold]:
    """Row numbers of each fold. All arrays (N,), times in ns; `end` is when the result was known.

    A fold without a row to train or to test on is left out."""
    if not entry.size:
        return []
    _, of_group = np.unique(group, return_inverse=True)
    first = np.full(int(of_group.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, of_group, entry)
    place = np.empty(first.size, np.int64)
    place[np.argsort(first, kind="stable")] = np.arange(first.size)
    cuts = np.linspace(FIRST_TRAIN * first.size, first.size, folds + 1).astype(np.int64)
    block = np.searchsorted(cuts, place, side="right")[of_group] - 1
    result = []
    for number in range(folds):
        test = np.flatnonzero(block == number)
        if not test.size:
            continue
        starts = int(entry[test].min())
        # Equal entry times may lie on both sides of a cut: whatever is not earlier is purged.
        train = np.flatnonzero((block < number) & (np.maximum(end, entry) + embargo <= starts))
        if train.size:
            result.append(Fold(train, test))
    return result
