"""First-touch replay: what prices did between entry and exit, for all cases in one pass.

Conventions (test_boundaries.py and test_label_*.py in tests/core have one worked example each):

- A long touches its stop when a low is at or below it and its target when a high is at or above
  it, on the side of the book on which it exits: bids for a long and asks for a short where the
  series has quotes, the given prices otherwise. A short is a long on the mirrored series.
- The window begins with the bar that opens exactly at the entry, or with the first bar after an
  entry inside one. It ends with the last bar that closes by the horizon's end, or under TRADE with
  the bar of the exit.
- One bar that touches both is the stop.
- What the bar of a trade's exit touches counts where the trade's fill agrees (`trade_exits.py`).
- A limit or stop entry fills in the first bar of the window whose entry side reaches it, at its
  level; a stop entry, in a bar that opened beyond it, at the open, and a target that the open has
  passed is no barrier then. A bar that opens at or beyond the level counts whole; otherwise the
  window begins with the next bar, except that a limit's fill bar that also reaches the stop is a
  stop: the price had to pass the limit first. Nothing filled by the end: `first` and `exit` are -1.
- A stop or target on the wrong side of the entry is no barrier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64, I64, Candles, mirror
from trading.core.sessions import expected_bars, grid_offsets
from trading.core.units import scaled, to_half_points, to_prices

from .batches import take
from .blocks import Bars, Walk, walk
from .doubts import after_hole, off_market
from .trade_exits import believed, left_inside
from .types import NO_STOP, NO_TARGET, NO_TIME, Bool, CaseBatch, Paths

LIMIT, STOP_ENTRY = 1, 2
# Prices nearer than this are the same price, in half-points: averages of fills carry float dirt.
_SAME = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One side's view of the bars in use, turned so that the position is long. Bars are counted
    from `base`, the first of them."""

    base: int
    open: I64
    high: I64
    low: I64
    entry_open: I64
    entry_high: I64
    entry_low: I64
    bars: Bars
    entry_bars: Bars


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    first: I64
    last: I64
    inside: I64  # the bar inside which the entry lies, -1 where it lies on an open or nowhere
    n_bars: I64
    n_expected: I64
    reached_end: Bool


def replay(batch: CaseBatch, *, compiled: bool | None = None) -> Paths:
    """Paths of all cases; arrays of length N, bars are indices into `batch.market.candles`.

    `compiled` as in `blocks.walk`: the answers are the same either way.
    """
    window = _windows(batch)
    stop, target = turned_barriers(batch)
    paths = _empty_paths(batch, window)
    paths.off_market[:] = off_market(batch, (stop, target), window.first, window.inside)
    for side in (1, -1):
        rows = np.flatnonzero(batch.side == side)
        if rows.size and len(batch.market.candles):
            view = _side(batch.market.candles, side, window, rows)
            _replay_side(batch, view, rows, window, stop[rows], target[rows], compiled, paths)
    paths.after_hole[:] = after_hole(batch, (stop, target), paths.exit, paths.hit)
    return paths


def reference_entry(batch: CaseBatch) -> F64:
    """The planned entry: what was requested of a trade where known, else the judged entry."""
    requested = batch.is_trade & np.isfinite(batch.requested_entry)
    result: F64 = np.where(requested, batch.requested_entry, batch.entry_price)
    return result


def judged_entry(batch: CaseBatch, paths: Paths) -> F64:
    """Price of the entry that the result is counted from, as given unless an order was gapped."""
    gapped = entry_gapped(batch, paths)
    price = to_prices(np.where(gapped, paths.entry, 0.0), batch.market.point)
    result: F64 = np.where(gapped, price, batch.entry_price)
    return result


def entry_gapped(batch: CaseBatch, paths: Paths) -> Bool:
    """Stop entries that were filled beyond their level, at an open."""
    result: Bool = paths.entry != scaled(batch.entry_price, batch.market.point)
    return result & np.isfinite(batch.entry_price)


def bad_stop_side(batch: CaseBatch) -> Bool:
    """Stops at or beyond the planned entry on its profit side; no barrier, no risk."""
    return _wrong_side(batch, batch.stop_price, -1)


def _wrong_side(batch: CaseBatch, price: F64, direction: int) -> Bool:
    point = batch.market.point
    distance = scaled(price, point) - scaled(reference_entry(batch), point)
    result: Bool = direction * batch.side * distance <= _SAME
    return result


def entry_bars(candles: Candles, bar_ns: int, time: I64) -> tuple[I64, I64]:
    """(first bar at or after each time, bar that contains it or -1 where none is stored)."""
    after = np.searchsorted(candles.time, time, side="left").astype(np.int64)
    if not len(candles):
        return after, np.full(time.shape, -1, np.int64)
    last = len(candles) - 1
    on_open = (after <= last) & (candles.time[np.minimum(after, last)] == time)
    before = candles.time[np.maximum(after - 1, 0)]
    inside = (after > 0) & (before + bar_ns > time)
    return after, np.where(on_open, after, np.where(inside, after - 1, -1))


def turned_barriers(batch: CaseBatch) -> tuple[I64, I64]:
    """Stop and target turned so that the position is long; those on the wrong side removed."""
    bad_target = _wrong_side(batch, batch.target_price, 1)
    has_stop = (batch.stop != NO_STOP) & np.isfinite(batch.stop_price) & ~bad_stop_side(batch)
    has_target = (batch.target != NO_TARGET) & np.isfinite(batch.target_price) & ~bad_target
    stop = np.where(has_stop, batch.side * np.where(has_stop, batch.stop, 0), NO_STOP)
    target = np.where(has_target, batch.side * np.where(has_target, batch.target, 0), NO_TARGET)
    return stop, target


def _windows(batch: CaseBatch) -> _Window:
    market, trade = batch.market, batch.is_trade
    time, bar_ns = market.candles.time, market.bar_ns
    end = np.where(trade, batch.fill_exit_time, batch.end_time)
    known = end != NO_TIME
    end = np.where(known, end, batch.entry_time)
    last_open = np.where(trade, end, end - bar_ns)
    first, container = entry_bars(market.candles, bar_ns, batch.entry_time)
    last = np.searchsorted(time, last_open, side="right").astype(np.int64) - 1
    last = np.where(known, np.maximum(last, first - 1), first - 1)
    data_end = int(time[-1]) + bar_ns if time.size else NO_TIME
    opens_by = np.where(known, last_open + 1, batch.entry_time)
    grid = grid_offsets(time, bar_ns, batch.entry_time, opens_by)
    return _Window(
        first=first,
        last=last,
        inside=np.where(container == first, -1, container),
        n_bars=last - first + 1,
        n_expected=expected_bars(market.kind, bar_ns, batch.entry_time, opens_by, grid),
        reached_end=known & (np.where(trade, data_end > end, data_end >= end)),
    )


def _empty_paths(batch: CaseBatch, window: _Window) -> Paths:
    n = window.first.size

    def zeros(dtype: type = np.int64) -> NDArray[np.generic]:
        return np.zeros(n, dtype)

    return Paths(
        first=window.first.copy(),
        last=window.last,
        exit=window.last.copy(),
        hit=np.zeros(n, np.int8),
        gap=np.zeros(n, np.bool_),
        mfe=np.zeros(n, np.int64),
        mae=np.zeros(n, np.int64),
        drawdown=np.zeros(n, np.int64),
        mfe_bar=np.full(n, -1, np.int64),
        mae_bar=np.full(n, -1, np.int64),
        n_bars=window.n_bars,
        n_expected=window.n_expected,
        reached_end=window.reached_end,
        skipped_touch=np.zeros(n, np.bool_),
        after_hole=np.zeros(n, np.bool_),
        off_market=np.zeros(n, np.bool_),
        entry=scaled(batch.entry_price, batch.market.point),
        exit_touch=np.zeros(n, np.int8),
    )


def _side(candles: Candles, side: int, window: _Window, rows: I64) -> _Side:
    first, last, inside = window.first[rows], window.last[rows], window.inside[rows]
    base = min(int(np.where(inside >= 0, inside, first).min()), len(candles) - 1)
    used = candles.rows(slice(base, max(int(last.max()), base) + 1))
    turned = used if side > 0 else mirror(used)
    quotes = turned.quotes
    if quotes is None:
        bars = Bars(turned.high, turned.low)
        columns = (turned.open, turned.high, turned.low)
        return _Side(base, *columns, *columns, bars, bars)
    return _Side(
        base,
        quotes.bid_open,
        quotes.bid_high,
        quotes.bid_low,
        quotes.ask_open,
        quotes.ask_high,
        quotes.ask_low,
        Bars(quotes.bid_high, quotes.bid_low),
        Bars(quotes.ask_high, quotes.ask_low),
    )


def _replay_side(
    batch: CaseBatch,
    view: _Side,
    rows: I64,
    window: _Window,
    stop: I64,
    target: I64,
    compiled: bool | None,
    paths: Paths,
) -> None:
    first, last = window.first[rows] - view.base, window.last[rows] - view.base
    skipped = np.maximum(window.inside[rows] - view.base, -1)
    touched = _bar_touches(view, skipped, stop, target)
    stopped_at_fill = np.full(rows.size, -1, np.int64)
    orders = np.flatnonzero((batch.entry_kind[rows] > 0) & ~batch.is_trade[rows])
    if orders.size:
        fills = _fill_orders(
            batch, view, rows[orders], first[orders], last[orders], skipped[orders], compiled
        )
        limit = batch.entry_kind[rows[orders]] == LIMIT
        _enter_orders(view, fills, orders, limit, stop, target, first, touched, stopped_at_fill)
        _fill_gaps(batch, view, rows, fills, orders, limit, target, paths)
    end = np.where(first < 0, -1, last + 1)
    found = walk(view.bars, first, end, stop, target, compiled=compiled)
    _doubt_exit_bars(batch, view, rows, first, stop, target, compiled, found, paths)
    _write(batch, view, rows, first, last, stop, found, paths)
    paths.skipped_touch[rows] = touched
    _write_fill_stops(batch, view, rows, stopped_at_fill, stop, paths)


def _doubt_exit_bars(
    batch: CaseBatch,
    view: _Side,
    rows: I64,
    first: I64,
    stop: I64,
    target: I64,
    compiled: bool | None,
    found: Walk,
    paths: Paths,
) -> None:
    """Take back, in place, what the bars of exits touched where the fills contradict it: such a
    path is that of the bars before, and ends without the touch."""
    at = np.flatnonzero(batch.is_trade[rows] & (found.hit > 0))
    if not at.size:
        return
    cases = take(batch, rows[at])
    opened = batch.market.candles.time[found.bar[at] + view.base]
    inside = left_inside(cases, opened, batch.market.bar_ns)
    hit, doubted = believed(cases, (stop[at], target[at]), found.hit[at], inside)
    open_ = np.flatnonzero(doubted)
    at = at[open_]
    paths.exit_touch[rows[at]] = doubted[open_]
    before = walk(view.bars, first[at], found.bar[at], stop[at], target[at], compiled=compiled)
    for name in ("high", "low", "fall", "high_bar", "low_bar"):
        getattr(found, name)[at] = getattr(before, name)
    found.hit[at] = hit[open_]


def _bar_touches(view: _Side, bar: I64, stop: I64, target: I64) -> Bool:
    at = np.maximum(bar, 0)
    result: Bool = (bar >= 0) & ((view.low[at] <= stop) | (view.high[at] >= target))
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Fills:
    bar: I64  # -1: not filled
    whole: Bool  # the bar opened at or beyond the level, so all of it counts
    skipped: Bool  # the order could have filled in the skipped part of the entry bar


def _fill_orders(
    batch: CaseBatch,
    view: _Side,
    rows: I64,
    first: I64,
    last: I64,
    skipped: I64,
    compiled: bool | None,
) -> _Fills:
    limit = batch.entry_kind[rows] == LIMIT
    level = to_half_points(batch.side[rows] * batch.entry_price[rows], batch.market.point, limit)
    below, above = np.where(limit, level, NO_STOP), np.where(limit, NO_TARGET, level)
    bar = walk(view.entry_bars, first, last + 1, below, above, compiled=compiled).bar
    opened = view.entry_open[np.maximum(bar, 0)]
    at = np.maximum(skipped, 0)
    could = np.where(limit, view.entry_low[at] <= level, view.entry_high[at] >= level)
    return _Fills(
        bar,
        (bar >= 0) & np.where(limit, opened <= level, opened >= level),
        (skipped >= 0) & could,
    )


def _enter_orders(
    view: _Side,
    fills: _Fills,
    orders: I64,
    limit: Bool,
    stop: I64,
    target: I64,
    first: I64,
    touched: Bool,
    stopped_at_fill: I64,
) -> None:
    """Move the windows of orders to their fills, in place."""
    inside = (fills.bar >= 0) & ~fills.whole
    at = np.maximum(fills.bar, 0)
    stopped = inside & limit & (view.low[at] <= stop[orders])
    could = inside & ~stopped & _bar_touches(view, fills.bar, stop[orders], target[orders])
    touched[orders] = could | fills.skipped
    stopped_at_fill[orders] = np.where(stopped, fills.bar, -1)
    first[orders] = np.where(inside, fills.bar + 1, fills.bar)


def _fill_gaps(
    batch: CaseBatch,
    view: _Side,
    rows: I64,
    fills: _Fills,
    orders: I64,
    limit: Bool,
    target: I64,
    paths: Paths,
) -> None:
    """Fill stop entries that a bar opened beyond at its open, in place, in `target` too."""
    opened = view.entry_open[np.maximum(fills.bar, 0)]
    asked = batch.side[rows[orders]] * paths.entry[rows[orders]]
    at = np.flatnonzero(fills.whole & ~limit & (opened > asked))
    mine, price = orders[at], opened[at]
    paths.entry[rows[mine]] = batch.side[rows[mine]] * price
    target[mine] = np.where(price >= target[mine], NO_TARGET, target[mine])


def _write(
    batch: CaseBatch,
    view: _Side,
    rows: I64,
    first: I64,
    last: I64,
    stop: I64,
    found: Walk,
    paths: Paths,
) -> None:
    judged = found.high_bar >= 0
    entry = np.rint(batch.side[rows] * paths.entry[rows]).astype(np.int64)
    left = np.where(found.bar >= 0, found.bar, last)
    paths.first[rows] = np.where(first < 0, -1, first + view.base)
    paths.exit[rows] = np.where(first < 0, -1, left + view.base)
    paths.hit[rows] = found.hit
    paths.gap[rows] = _gap(batch, view, rows, found.bar, (found.hit & 1) > 0, stop)
    paths.mfe[rows] = np.where(judged, np.maximum(found.high - entry, 0), 0)
    paths.mae[rows] = np.where(judged, np.maximum(entry - found.low, 0), 0)
    paths.drawdown[rows] = found.fall
    paths.mfe_bar[rows] = np.where(found.high_bar < 0, -1, found.high_bar + view.base)
    paths.mae_bar[rows] = np.where(found.low_bar < 0, -1, found.low_bar + view.base)


def _gap(batch: CaseBatch, view: _Side, rows: I64, bar: I64, stopped: Bool, stop: I64) -> Bool:
    """Stopped by a bar that opened beyond the stop (at it is no gap)."""
    opened = view.open[np.maximum(bar, 0)]
    exact = batch.side[rows] * scaled(_known(batch.stop_price[rows]), batch.market.point)
    between = stopped & (opened == stop) & (exact > stop)
    result: Bool = between | (stopped & (opened < stop))
    return result


def _known(prices: F64) -> F64:
    result: F64 = np.where(np.isnan(prices), 0.0, prices)
    return result


def _write_fill_stops(
    batch: CaseBatch, view: _Side, rows: I64, bar: I64, stop: I64, paths: Paths
) -> None:
    """Limits that were stopped in the bar of their fill: that bar is the whole window."""
    hit = np.flatnonzero(bar >= 0)
    if not hit.size:
        return
    at, where = bar[hit], rows[hit]
    entry = np.rint(scaled(batch.side[where] * batch.entry_price[where], batch.market.point))
    bars = (paths.first, paths.exit, paths.mfe_bar, paths.mae_bar)
    for column in bars:
        column[where] = at + view.base
    paths.hit[where] = 1
    paths.gap[where] = False
    paths.mfe[where] = 0
    paths.mae[where] = paths.drawdown[where] = entry.astype(np.int64) - view.low[at]
