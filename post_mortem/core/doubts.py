"""Cases that the stored bars leave nothing to judge by: a market entry that was never to be had, a
level that was passed while bars are missing."""

from __future__ import annotations

import numpy as np

from trading.core.candles import I64, Candles
from trading.core.sessions import expected_bars

from .batches import take
from .trade_exits import left_inside
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


def after_hole(batch: CaseBatch, barriers: tuple[I64, I64], bar: I64, hit: I8) -> Bool:
    """Touches by a bar that opened at or beyond the level while bars right before it are missing:
    what was touched in there, and in which order, is not known.

    `bar`, `hit` as `Paths.exit` and `Paths.hit`. A touch in the bar of a trade's exit is borne out
    by the fill, and bars missing before the entry are no matter.
    """
    result = np.zeros(len(batch), np.bool_)
    rows = np.flatnonzero((hit > 0) & (bar > 0))
    market = batch.market
    time, at = market.candles.time, bar[rows]
    opened = batch.side[rows] * exit_side(market.candles, "open", at, batch.side[rows])
    stop, target = (levels[rows] for levels in barriers)
    jumped = ((hit[rows] & 1) > 0) & (opened <= stop)
    jumped |= ((hit[rows] & 2) > 0) & (opened >= target)
    jumped &= time[at] > batch.entry_time[rows]
    rows, at = rows[jumped], at[jumped]
    before = time[at - 1] + market.bar_ns
    there = expected_bars(market.kind, market.bar_ns, before, time[at], time[at])
    rows, at = rows[there > 0], at[there > 0]
    result[rows] = ~left_inside(take(batch, rows), time[at], market.bar_ns)
    return result
