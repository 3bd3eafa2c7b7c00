"""Which chart structures a market showed at an entry: the benchmark's own reading of the rules.

Only bars before the entry are read. A structure counts as there when it formed clearly in the last
three bars, and as absent when nothing like it did in the last six; whatever lies between is
neither claimed nor denied by any case, so that no truth hangs on a tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .market import Candles

NAMES = ("breakout", "fvg", "bos")
_RECENT, _WIDE = 3, 6
_PIVOT, _RANGE, _MEMORY = 3, 20, 150
_CLEAR, _NEAR = 0.25, -0.3  # in average true ranges


@dataclass(frozen=True)
class Seen:
    """Structures on one side: clearly there, and clearly not."""

    present: tuple[str, ...]
    absent: tuple[str, ...]


def look(candles: Candles, at: int, side: int) -> Seen:
    """What was there at the open of bar `at` for a trade on `side`."""
    first = max(at - _MEMORY - 50, 0)
    part = slice(first, at)
    high, low = (candles.high, candles.low) if side == 1 else (-candles.low, -candles.high)
    close, opened = side * candles.close[part], side * candles.open[part]
    high, low = high[part], low[part]
    average = float(np.mean((high - low)[-14:])) + 1e-9
    excess = {
        "breakout": _breakout(high, close),
        "fvg": _gaps(opened, high, low, close),
        "bos": _breaks(high, low, close),
    }
    present, absent = [], []
    for name in NAMES:
        size = excess[name] / average
        if size[-_RECENT:].max() >= _CLEAR:
            present.append(name)
        elif size[-_WIDE:].max() <= _NEAR:
            absent.append(name)
    return Seen(tuple(present), tuple(absent))


def _breakout(high: np.ndarray, close: np.ndarray) -> np.ndarray:
    """How far each of the last closes lies beyond the bars before it; a later one of a row is no
    new breakout but no proof of absence either."""
    result = np.full(close.size, -np.inf)
    for i in range(close.size - _WIDE, close.size):
        beyond = close[i] - high[i - _RANGE : i].max()
        before = close[i - 1] - high[i - 1 - _RANGE : i - 1].max()
        result[i] = min(beyond, 0.0) if before > 0 else beyond
    return result


def _gaps(opened: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """The room that three candles left between the first and the third."""
    result = np.full(close.size, -np.inf)
    result[2:] = low[2:] - high[:-2]
    falling = close[1:-1] <= opened[1:-1]
    result[2:] = np.where(falling, np.minimum(result[2:], 0.0), result[2:])
    return result


def _breaks(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """How far closes broke the last swing high, where the break before it went the same way."""
    n = close.size
    top = _swings(high)
    bottom = -_swings(-low)
    result = np.full(n, -np.inf)
    trend, broken_top, broken_bottom = 0, np.nan, np.nan
    for i in range(1, n):
        if np.isfinite(top[i - 1]):
            beyond = close[i] - top[i - 1]
            fresh = top[i - 1] != broken_top and close[i - 1] <= top[i - 1]
            result[i] = min(beyond, 0.0)
            if beyond > 0 and fresh:
                result[i] = beyond if trend == 1 else 0.0
                trend, broken_top = 1, top[i - 1]
        fallen = np.isfinite(bottom[i - 1]) and close[i] < bottom[i - 1] <= close[i - 1]
        if fallen and bottom[i - 1] != broken_bottom:
            trend, broken_bottom = -1, bottom[i - 1]
    return result


def _swings(high: np.ndarray) -> np.ndarray:
    """The last swing high known at each bar's close: confirmed by the three bars after it."""
    result = np.full(high.size, np.nan)
    level = np.nan
    for i in range(2 * _PIVOT, high.size):
        j = i - _PIVOT
        before, after = high[j - _PIVOT : j], high[j + 1 : i + 1]
        if high[j] > before.max() and high[j] >= after.max():
            level = high[j]
        result[i] = level
    return result
