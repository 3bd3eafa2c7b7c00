"""Indicators on bars. All are causal: the value at bar i uses bars up to and including i.

Two families. The finite-window ones (`true_range`, `atr`, `rolling_*`, `efficiency_ratio`) look
back a fixed number of bars, so a piece cut out of a longer series has the same bytes in it; only
these may enter evidence. The recursive ones (`wilder`, `wilder_atr`, `ema`) remember everything
since the start of the array and are for charts. NaN marks bars without enough history.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .candles import F64, I64, Candles

ATR_BARS = 14


def true_range(candles: Candles) -> I64:
    """max(high, previous close) - min(low, previous close) in half-points, shape (n,).

    The first bar has no previous close; its value is its own range.
    """
    high, low = candles.high.copy(), candles.low.copy()
    np.maximum(high[1:], candles.close[:-1], out=high[1:])
    np.minimum(low[1:], candles.close[:-1], out=low[1:])
    return high - low


def atr(candles: Candles, n: int = ATR_BARS) -> F64:
    """Mean of the last n true ranges in half-points, shape (len,).

    NaN for the first n bars: each of the n ranges needs a bar before it. Sums are of integers, so
    the value does not depend on where the array begins.
    """
    total = np.concatenate([[0], np.cumsum(true_range(candles))])
    result = np.full(len(candles), np.nan)
    if len(candles) > n:
        result[n:] = (total[n + 1 :] - total[1:-n]) / n
    return result


def wilder(values: F64, n: int) -> F64:
    """Wilder's smoothing: the mean of the first n values, then previous + (value - previous) / n.

    Depends on where the array begins. NaN before bar n - 1.
    """
    return _recursive(values, n, 1.0 / n)


def ema(values: F64, n: int) -> F64:
    """Exponential mean with weight 2 / (n + 1), started like `wilder`."""
    return _recursive(values, n, 2.0 / (n + 1))


def _recursive(values: F64, n: int, weight: float) -> F64:
    from scipy.signal import lfilter

    result = np.full(values.shape, np.nan)
    if values.size < n:
        return result
    start = values[:n].mean()
    result[n - 1] = start
    rest, _ = lfilter([weight], [1.0, weight - 1.0], values[n:], zi=[(1.0 - weight) * start])
    result[n:] = rest
    return result


def wilder_atr(candles: Candles, n: int = ATR_BARS) -> F64:
    """Wilder's average true range in half-points, from the second bar on; for display."""
    result = np.full(len(candles), np.nan)
    if len(candles) > 1:
        result[1:] = wilder(true_range(candles)[1:].astype(np.float64), n)
    return result


def rolling_max(values: I64, n: int) -> I64:
    """Largest of the last n values; of all values so far while there are fewer than n.

    Blocks of n: a window spans at most two, so it is the larger of a running maximum from the
    left of one and from the right of the other (van Herk 1992).
    """
    size = values.size
    if size == 0 or n <= 1:
        return values.copy()
    padded = np.pad(values, (n - 1, -(size + n - 1) % n), mode="edge").reshape(-1, n)
    from_left = np.maximum.accumulate(padded, axis=1).ravel()
    from_right = np.maximum.accumulate(padded[:, ::-1], axis=1)[:, ::-1].ravel()
    result: I64 = np.maximum(from_right[:size], from_left[n - 1 : n - 1 + size])
    return result


def rolling_min(values: I64, n: int) -> I64:
    """Smallest of the last n values, like `rolling_max`."""
    return -rolling_max(-values, n)


def log_returns(close: I64) -> F64:
    """ln(close / previous close); NaN at the first bar. Closes must be positive."""
    result = np.full(close.shape, np.nan)
    result[1:] = np.diff(np.log(close.astype(np.float64)))
    return result


def efficiency_ratio(close: I64, n: int) -> F64:
    """|net move| / sum of |moves| over the last n moves, in [0, 1]; 0 where nothing moved."""
    result = np.full(close.shape, np.nan)
    if close.size <= n:
        return result
    path = np.concatenate([[0], np.cumsum(np.abs(np.diff(close)))])
    travelled = path[n:] - path[:-n]
    net = np.abs(close[n:] - close[:-n])
    result[n:] = np.divide(net, travelled, out=np.zeros(net.size), where=travelled > 0)
    return result


def last_closed(time: I64, bar_ns: int, moments: I64) -> NDArray[np.int64]:
    """Index of the last bar that has closed by each moment, -1 for none."""
    return np.searchsorted(time, moments - bar_ns, side="right").astype(np.int64) - 1
