"""Range queries over one array, answered for many ranges at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import I64


def range_argmax(values: NDArray[Any], lo: I64, hi: I64) -> I64:
    """Index of the first largest value in values[lo..hi], both inclusive, one a query.

    Every range must be non-empty and inside the array. Two overlapping blocks of a power of two
    cover a range (the sparse-table idea); levels are built one after the other and dropped, so
    memory stays O(len(values)) whatever the longest range.
    """
    result = lo.astype(np.int64, copy=True)
    if not lo.size:
        return result
    level = np.frexp((hi - lo + 1).astype(np.float64))[1] - 1
    best, where = values, np.arange(values.shape[0], dtype=np.int64)
    for k in range(int(level.max()) + 1):
        here = np.flatnonzero(level == k)
        if here.size:
            left, right = lo[here], hi[here] - (1 << k) + 1
            result[here] = np.where(best[right] > best[left], where[right], where[left])
        step = 1 << k
        if where.shape[0] <= step:
            break
        later = best[step:] > best[:-step]
        where = np.where(later, where[step:], where[:-step])
        best = np.where(later, best[step:], best[:-step])
    return result
