"""How often a market shows a setup anyway: without this number a setup that is there proves little.

A claim counts as found where the setup became known in the last `WINDOW_BARS` + 1 bars, so that is
what a bar drawn at random is asked as well. Every structure counts that was known, whatever became
of it later: nothing is conditioned on what followed.
"""

from __future__ import annotations

import numpy as np

from trading.core.candles import F64
from trading.core.indicators import ATR_BARS

from .setups import WINDOW_BARS, SetupEvents
from .types import SETUPS

WAYS = (1, -1)


def base_rates(events: SetupEvents, bars: int, least_size: float = -np.inf) -> F64:
    """Share of the bars of a series of so many `bars` at which a claim would have been found.

    Shape (len(SETUPS), 2): bullish and bearish. `least_size` in ATR: only structures at least that
    large count (an order block that left a gap may have any size). The first ATR_BARS bars, before
    which nothing can be known, are left out; NaN for a series without others.
    """
    rates = np.full((len(SETUPS), len(WAYS)), np.nan)
    asked = bars - ATR_BARS
    if asked <= 0:
        return rates
    large = events.size_atr >= least_size
    for setup in range(len(SETUPS)):
        for column, way in enumerate(WAYS):
            known = events.known_bar[large & (events.setup == setup) & (events.direction == way)]
            until_next = np.diff(known, append=bars)
            rates[setup, column] = np.minimum(until_next, WINDOW_BARS + 1).sum() / asked
    return rates
