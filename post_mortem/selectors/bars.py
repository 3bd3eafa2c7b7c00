"""Which bars should be there."""

from __future__ import annotations

import numpy as np

from trading.core.candles import I64, Candles
from trading.core.sessions import is_open

MAX_BARS = 1500


def missing_bars(kind: str, candles: Candles, bar: int) -> I64:
    """Opens of bars that should lie between the first and the last and are not stored."""
    time = candles.time
    if (int(time[-1]) - int(time[0])) // bar >= 4 * MAX_BARS:
        return np.zeros(0, np.int64)
    # Counted on from the bar before each hole: clocks may have been changed since the first.
    holes = (np.diff(time) - 1) // bar
    place = np.arange(int(holes.sum()), dtype=np.int64) - np.repeat(np.cumsum(holes) - holes, holes)
    absent: I64 = np.repeat(time[:-1], holes) + (place + 1) * bar
    return absent[is_open(kind, absent)] if absent.size else absent
