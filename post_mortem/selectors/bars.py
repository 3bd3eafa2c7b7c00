"""Which bars should be there."""

from __future__ import annotations

import numpy as np

from trading.core.candles import I64, Candles
from trading.core.sessions import is_open

MAX_BARS = 1500


def missing_bars(kind: str, candles: Candles, bar: int) -> I64:
    """Opens of bars that should lie between the first and the last and are not stored."""
    offset = int(candles.time[0]) % bar
    n = (int(candles.time[-1]) - int(candles.time[0])) // bar + 1
    if n > 4 * MAX_BARS:
        return np.zeros(0, np.int64)
    due = candles.time[0] // bar * bar + offset + np.arange(n, dtype=np.int64) * bar
    absent = due[~np.isin(due, candles.time)]
    return absent[is_open(kind, absent)] if absent.size else absent
