"""Cases that the stored bars speak against: a market entry that was never to be had."""

from __future__ import annotations

import numpy as np

from trading.core.candles import I64, Candles

from .types import I8, Bool, CaseBatch


def exit_side(candles: Candles, column: str, bars: I64, side: I8) -> I64:
    """Half-points of a column on the side of the book on which each case exits (given -side: is
    entered); bars < 0 give any value."""
    at = np.maximum(bars, 0)
    if candles.quotes is None:
        plain: I64 = getattr(candles, column)[at]
        return plain
    bid: I64 = getattr(candles.quotes, f"bid_{column}")
    ask: I64 = getattr(candles.quotes, f"ask_{column}")
    return np.where(side > 0, bid[at], ask[at])


def off_market(batch: CaseBatch, barriers: tuple[I64, I64], first: I64, inside: I64) -> Bool:
    """Signals whose market entry lay on the other side of a barrier from where the market was.

    `barriers` as in `turned_barriers`; `first` the first bar of the window, `inside` the bar inside
    which the entry lies, -1 none. The bar that opens at the entry has to open between the barriers,
    a bar around the entry has to reach between them, on the side of the book of the entry.
    """
    candles, (stop, target) = batch.market.candles, barriers
    n = len(candles)
    if not n:
        return np.zeros(len(batch), np.bool_)

    def entered(column: str, bars: I64) -> I64:
        turned: I64 = batch.side * exit_side(candles, column, bars, -batch.side)
        return turned

    at_open = np.minimum(first, n - 1)
    opens_there = (first < n) & (candles.time[at_open] == batch.entry_time)
    opened = entered("open", at_open)
    high, low = entered("high", inside), entered("low", inside)
    best, worst = np.maximum(high, low), np.minimum(high, low)
    away = opens_there & ((opened <= stop) | (opened >= target))
    away |= (inside >= 0) & ((best <= stop) | (worst >= target))
    result: Bool = away & (batch.entry_kind == 0) & ~batch.is_trade
    return result
