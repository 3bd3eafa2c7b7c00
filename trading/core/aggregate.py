"""Coarser bars from finer ones, aligned to the UTC epoch.

Only whole bars come out: the first is dropped when the data begins inside it, the last when the
data ends before it closes. So a bar depends on nothing outside itself, and whoever reads bars that
have closed reads no future. Bars missing inside are allowed; a coarse bar without any fine one does
not exist.
"""

from __future__ import annotations

import numpy as np

from .candles import I64, QUOTE_COLUMNS, Candles, Quotes
from .errors import UserError

_RULES = {"open": "first", "high": "highest", "low": "lowest", "close": "last"}


def aggregate(candles: Candles, bar_ns: int, source_ns: int | None = None) -> Candles:
    """Bars of `bar_ns` from bars of `source_ns` (by default the smallest step between two bars).

    Prices keep their half-points, volume is added up, spread is that of the last bar.
    """
    if not len(candles):
        return candles
    if source_ns is None:
        source_ns = int(np.diff(candles.time).min()) if len(candles) > 1 else bar_ns
    if bar_ns == source_ns:
        return candles
    if bar_ns % source_ns:
        raise UserError(
            "timeframe", f"bars of {bar_ns} ns cannot be made of bars of {source_ns} ns"
        )
    slot = candles.time // bar_ns
    starts = np.flatnonzero(np.concatenate([[True], slot[1:] != slot[:-1]]))
    ends = np.append(starts[1:], len(candles))
    keep = np.ones(starts.size, np.bool_)
    keep[0] = int(candles.time[0]) % bar_ns == 0
    keep[-1] &= int(candles.time[-1]) + source_ns >= (int(slot[-1]) + 1) * bar_ns
    return _merged(candles, slot[starts] * bar_ns, starts, ends, np.flatnonzero(keep))


def _merged(candles: Candles, time: I64, starts: I64, ends: I64, keep: I64) -> Candles:
    def merged(column: I64, rule: str) -> I64:
        if rule == "first":
            return column[starts[keep]]
        if rule == "last":
            return column[ends[keep] - 1]
        reduce = np.maximum if rule == "highest" else np.minimum
        result: I64 = reduce.reduceat(column, starts)[keep]
        return result

    quotes = candles.quotes
    sides = None
    if quotes is not None:
        names = [(name, _RULES[name.split("_")[1]]) for name in QUOTE_COLUMNS]
        sides = Quotes(*(merged(getattr(quotes, name), rule) for name, rule in names))
    volume, spread = candles.volume, candles.spread
    return Candles(
        time[keep],
        merged(candles.open, "first"),
        merged(candles.high, "highest"),
        merged(candles.low, "lowest"),
        merged(candles.close, "last"),
        None if volume is None else np.add.reduceat(volume, starts)[keep],
        None if spread is None else merged(spread, "last"),
        sides,
    )
