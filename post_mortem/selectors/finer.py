"""Finer bars inside the bars that leave a case open.

A bar in question is read on the finest stored series that fills it completely, among series of the
same instrument that a desk may use, in the desk's order of sources; a series with quotes only on
one with quotes. Which bars are in question follows from each case alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from post_mortem.core.replay import replay
from post_mortem.core.resolution import asked_opens, resolve
from post_mortem.core.types import Bool, CaseBatch, FinerBars, Market
from trading.core.candles import I64, Candles, concatenate
from trading.core.sessions import UNKNOWN_BARS, expected_bars
from trading.core.types import SeriesKind, timeframe_ns
from trading.models import CandleSeries, Desk
from trading.selectors.candles import WEEK_NS, load_candles, series_for

from .columns import utc_ns


def with_finer(batch: CaseBatch, series: CandleSeries | None, desk: Desk) -> CaseBatch:
    """The batch with the finer bars that its cases ask for, where any are stored."""
    candidates = _candidates(batch, series, desk)
    if not candidates:
        return batch
    known = np.zeros(0, np.int64)
    while True:
        # What an entry's bar shows may put another bar in question.
        asked = asked_opens(batch, resolve(batch, replay(batch)))
        new = np.setdiff1d(asked, known)
        if not new.size:
            return batch
        known = np.union1d(known, new)
        found = _finer(batch.market, candidates, known)
        if len(found) == len(batch.market.finer) == 0:
            return batch
        batch = replace(batch, market=replace(batch.market, finer=found))


def _candidates(batch: CaseBatch, series: CandleSeries | None, desk: Desk) -> list[CandleSeries]:
    """Finer series that have bars where the batch has some, the finest first."""
    time, bar_ns = batch.market.candles.time, batch.market.bar_ns
    if series is None or not time.size:
        return []
    quoted = series.kind == SeriesKind.BID_ASK
    found = []
    for other in series_for(series.instrument, desk):
        length = timeframe_ns(other.timeframe)
        finer = length < bar_ns and bar_ns % length == 0
        if not finer or (other.kind == SeriesKind.BID_ASK) != quoted:
            continue
        first, last = (utc_ns(moment) for moment in (other.first_time, other.last_time) if moment)
        if first < int(time[-1]) + bar_ns and last >= int(time[0]):
            found.append(other)
    return found


def _finer(market: Market, candidates: list[CandleSeries], opens: I64) -> tuple[FinerBars, ...]:
    result = []
    for series in candidates:
        length = timeframe_ns(series.timeframe)
        candles = _bars_inside(series, opens, market.bar_ns)
        filled = _filled(market, candles, length, opens)
        if filled.any():
            mine = opens[filled]
            result.append(FinerBars(length, series.point, _only(candles, mine, market), mine))
            opens = opens[~filled]
        if not opens.size:
            break
    return tuple(result)


def _bars_inside(series: CandleSeries, opens: I64, bar_ns: int) -> Candles:
    """All finer bars of the weeks of these bars, and no others: cases may be years apart."""
    parts = []
    for week in np.unique(opens // WEEK_NS).tolist():
        mine = opens[opens // WEEK_NS == week]
        parts.append(load_candles(series, int(mine[0]), int(mine[-1]) + bar_ns))
    # A long bar may reach into the next week, whose part then holds the same bars again.
    whole = concatenate([part for part in parts if len(part)])
    return whole.rows(np.unique(whole.time, return_index=True)[1])


def _filled(market: Market, candles: Candles, length: int, opens: I64) -> Bool:
    """Which bars have every finer bar that the market's hours allow."""
    start, stop = (np.searchsorted(candles.time, t) for t in (opens, opens + market.bar_ns))
    count = stop - start
    expected = expected_bars(market.kind, length, opens, opens + market.bar_ns, opens)
    expected = np.where(expected == UNKNOWN_BARS, market.bar_ns // length, expected)
    first = candles.time[np.minimum(start, max(len(candles) - 1, 0))] if len(candles) else opens
    aligned = (first - opens) % length == 0
    result: Bool = (count > 0) & (count >= expected) & aligned
    return result


def _only(candles: Candles, opens: I64, market: Market) -> Candles:
    at = np.searchsorted(opens, candles.time, side="right") - 1
    inside = (at >= 0) & (candles.time < opens[np.maximum(at, 0)] + market.bar_ns)
    return candles.rows(inside)
