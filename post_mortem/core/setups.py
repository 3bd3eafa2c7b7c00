"""Chart structures, detected without look-ahead, and the check of claimed ones.

The value at bar i uses bars up to i; an emission is known at the close of its `known_bar` and is
never rewritten by later bars. h, l, o, c are the bars, A the mean of the last 14 true ranges. All
rules below are the bullish ones; the bearish ones are the same on the mirrored series.

- Swing high: h_j is at least every high of the 3 bars after it and above those of the 3 before;
  known 3 bars later. SH is the last one known by the previous bar, for at most LEVEL_LIFE bars.
- Break: c_i > SH and c_{i-1} <= SH, once per swing. `bos`: the previous break within TREND_MEMORY
  bars went the same way, or there is none; `choch`: it went the other way.
- `fvg`: l_i - h_{i-2} >= 0.1 A and c_{i-1} > o_{i-1}. Event bar i-1, known at i.
- `order_block`: at a break, the last bar b with c_b < o_b between the broken swing and i, if closes
  got at least 1 A above h_b or a fair value gap became known after b. Event bar b.
- `breakout`: c_i > highest high of the 20 bars before + 0.1 A, the first such close.
- `sweep` of lows (bullish): l_i < SL and c_i > SL, while no close has broken that low.

Levels and trend are forgotten after a fixed number of bars, so that LOOKBACK_BARS before a moment
decide everything about it, wherever the array begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.core.candles import F64, I64, Candles, mirror
from trading.core.indicators import atr, last_closed, rolling_max

from .types import I8, I32, SETUPS, Bool, SetupView

PIVOT_BARS = 3
LEVEL_LIFE = 200
TREND_MEMORY = 200
BREAKOUT_BARS = 20
MIN_SIZE = 0.1  # in ATR: gaps and breakouts smaller than this are noise
MIN_DISPLACEMENT = 1.0  # in ATR
LOOKBACK_BARS = LEVEL_LIFE + TREND_MEMORY + 50

WINDOW_BARS = 3  # a claim may be this many bars old at the entry
MIN_BARS_BEFORE = 160
MARGINAL_ATR = 0.1
_ONE_POINT = 2  # in half-points
LOOK_AHEAD_BARS = 3

BOS, CHOCH, FVG, ORDER_BLOCK, BREAKOUT, SWEEP = range(len(SETUPS))


@dataclass(frozen=True, slots=True, eq=False)
class SetupEvents:
    """Emissions sorted by (known_bar, setup, direction); all arrays have the same length.

    `setup` indexes SETUPS, `direction` is +1 or -1, bars are indices. `event_bar` is where the
    structure lies: the broken or swept swing, the middle of the gap, the order block, the breakout
    itself. `size_atr`: how far beyond its level, or how large, in ATR. `zone_low`, `zone_high`:
    half-points; equal for a plain level.
    """

    setup: I8
    direction: I8
    event_bar: I64
    known_bar: I64
    size_atr: F64
    zone_low: I64
    zone_high: I64

    def __len__(self) -> int:
        return int(self.setup.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """What became of each claim; arrays of shape (N, len(SETUPS)) unless said otherwise.

    `enough` (N,): MIN_BARS_BEFORE bars were there; where False nothing below is meant. `checked`:
    claimed and enough. `found`: emitted on the side of the trade in the window; `found_lag`: bars
    between its close and the last bar before entry, -1. The rest only where not found:
    `wrong_side`: emitted the other way in the window; `miss`: by how many ATR the nearest rule
    failed in the window, NaN where no rule was near; `marginal`: that miss is under 10 % of an ATR
    or one point, or the other kind of break (BOS for CHoCH and back) was there; `repaint`: emitted
    only by bars after the entry, up to `until`.
    """

    enough: Bool
    checked: Bool
    found: Bool
    found_lag: I64
    wrong_side: Bool
    miss: F64
    marginal: Bool
    repaint: Bool


@dataclass(frozen=True, slots=True, eq=False)
class _Bull:
    """Bullish structure of one series (the mirrored one gives the bearish)."""

    candles: Candles
    atr: F64
    level: I64  # SH known by the previous bar
    pivot: I64  # the bar of that swing high, -1 for none
    fresh: Bool  # that level was not broken before this bar
    breaks: I64  # bars that break their level


def detect(candles: Candles) -> SetupEvents:
    """All setups of a series of n bars, O(n)."""
    return _events(*_structures(candles))


def _events(up: _Bull, down: _Bull) -> SetupEvents:
    kinds = _break_kinds(up.breaks, down.breaks)
    rows = []
    for direction, bull, other in ((1, up, down), (-1, down, up)):
        rows.append(_break_events(bull, kinds, direction))
        rows.append(_gap_events(bull, direction))
        rows.append(_order_block_events(bull, direction))
        rows.append(_breakout_events(bull, direction))
        rows.append(_sweep_events(other, direction))
    columns = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
    setup, direction_, event, known, size, low, high = columns
    known_size = np.flatnonzero(np.isfinite(size))
    order = known_size[np.lexsort((direction_[known_size], setup[known_size], known[known_size]))]
    return SetupEvents(
        setup[order].astype(np.int8),
        direction_[order].astype(np.int8),
        event[order].astype(np.int64),
        known[order].astype(np.int64),
        size[order],
        low[order].astype(np.int64),
        high[order].astype(np.int64),
    )


def _structures(candles: Candles) -> tuple[_Bull, _Bull]:
    width = atr(candles)
    plain = Candles(candles.time, candles.open, candles.high, candles.low, candles.close)
    return _bull(plain, width), _bull(mirror(plain), width)


def _bull(candles: Candles, width: F64) -> _Bull:
    n = len(candles)
    bars = np.arange(n, dtype=np.int64)
    pivot = np.full(n, -1, np.int64)
    swings = _swing_highs(candles.high)
    # Known PIVOT_BARS after the swing, usable from the bar after that.
    usable = swings + PIVOT_BARS + 1
    pivot[usable[usable < n]] = swings[usable < n]
    pivot = np.maximum.accumulate(pivot)
    pivot = np.where(bars - pivot <= LEVEL_LIFE, pivot, -1)
    level = candles.high[np.maximum(pivot, 0)] if n else bars
    before = np.concatenate([candles.close[:1], candles.close[:-1]])
    crossing = np.flatnonzero((pivot >= 0) & (candles.close > level) & (before <= level))
    swing = pivot[crossing]
    first = np.concatenate([[True], swing[1:] != swing[:-1]])[: crossing.size]
    broken_at = np.full(n + 1, n, np.int64)
    broken_at[swing[first]] = crossing[first]
    fresh = (pivot >= 0) & (bars <= broken_at[pivot])
    return _Bull(candles, width, level, pivot, fresh, crossing[first])


def _swing_highs(high: I64) -> I64:
    n, k = high.size, PIVOT_BARS
    if n < 2 * k + 1:
        return np.zeros(0, np.int64)
    middle = high[k : n - k]
    is_swing = np.ones(middle.size, np.bool_)
    for step in range(1, k + 1):
        is_swing &= middle > high[k - step : n - k - step]
        is_swing &= middle >= high[k + step : n - k + step]
    return np.flatnonzero(is_swing) + k


def _break_kinds(up: I64, down: I64) -> I8:
    """BOS or CHOCH for the break at each bar, up to the last break.

    No bar breaks both ways: that would need SL > c_i > SH >= c_{i-1} >= SL.
    """
    bars = np.concatenate([up, down])
    direction = np.concatenate([np.ones(up.size, np.int8), -np.ones(down.size, np.int8)])
    order = np.argsort(bars, kind="stable")
    bars, direction = bars[order], direction[order]
    kinds = np.full(int(bars[-1]) + 1 if bars.size else 0, BOS, np.int8)
    turned = direction[1:] != direction[:-1]
    recent = np.diff(bars) <= TREND_MEMORY
    kinds[bars[1:][turned & recent]] = CHOCH
    return kinds


_Rows = tuple[I64 | I8, I64 | I8, I64, I64, F64, I64, I64]


def _rows(
    setup: I8 | int,
    direction: int,
    bull: _Bull,
    event: I64,
    known: I64,
    size: F64,
    zone: tuple[I64, I64],
) -> _Rows:
    """Columns of SetupEvents; `size` in half-points, `zone` in the turned series."""
    ways = np.full(known.size, direction, np.int8)
    kinds = np.full(known.size, setup, np.int8) if isinstance(setup, int) else setup
    low, high = zone if direction > 0 else (-zone[1], -zone[0])
    return kinds, ways, event, known, size / bull.atr[known], low, high


def _break_events(bull: _Bull, kinds: I8, direction: int) -> _Rows:
    at = bull.breaks
    level = bull.level[at]
    size = (bull.candles.close[at] - level).astype(np.float64)
    return _rows(kinds[at], direction, bull, bull.pivot[at], at, size, (level, level))


def _gap_sizes(bull: _Bull) -> F64:
    """l_i - h_{i-2} where the middle bar rises, NaN elsewhere; half-points, shape (n,)."""
    c = bull.candles
    size = np.full(len(c), np.nan)
    gap = c.low[2:] - c.high[:-2]
    size[2:] = np.where(c.close[1:-1] > c.open[1:-1], gap, np.nan)
    return size


def _gap_events(bull: _Bull, direction: int) -> _Rows:
    size = _gap_sizes(bull)
    at = np.flatnonzero(size >= MIN_SIZE * bull.atr)
    at = at[size[at] > 0]
    zone = (bull.candles.high[at - 2], bull.candles.low[at])
    return _rows(FVG, direction, bull, at - 1, at, size[at], zone)


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    known: I64
    bar: I64
    displacement: F64
    has_gap: Bool


def _blocks(bull: _Bull) -> _Blocks:
    """Candidates of order blocks: one a break that has a falling bar before it."""
    c, at = bull.candles, bull.breaks
    bars = np.arange(len(c), dtype=np.int64)
    falling = np.maximum.accumulate(np.where(c.close < c.open, bars, -1)) if len(c) else bars
    bar = falling[at - 1]
    keep = bar > bull.pivot[at]
    at, bar = at[keep], bar[keep]
    spans = np.column_stack([bar + 1, at + 1]).ravel()
    closes = np.append(c.close, np.iinfo(np.int64).min)
    highest = np.maximum.reduceat(closes, spans)[::2] if spans.size else at
    gaps = np.zeros(len(c) + 1, np.int64)
    with np.errstate(invalid="ignore"):
        size = _gap_sizes(bull)
        gaps[1:] = np.cumsum((size >= MIN_SIZE * bull.atr) & (size > 0))
    return _Blocks(
        at,
        bar,
        (highest - c.high[bar]).astype(np.float64),
        gaps[at + 1] > gaps[bar + 1],
    )


def _order_block_events(bull: _Bull, direction: int) -> _Rows:
    found = _blocks(bull)
    far = found.displacement >= MIN_DISPLACEMENT * bull.atr[found.known]
    keep = far | found.has_gap
    bar, at = found.bar[keep], found.known[keep]
    zone = (bull.candles.low[bar], bull.candles.high[bar])
    return _rows(ORDER_BLOCK, direction, bull, bar, at, found.displacement[keep], zone)


def _breakout_levels(bull: _Bull) -> tuple[I64, Bool]:
    """Highest high of the 20 bars before each bar, and whether the close before was not above
    the same level of its own bar."""
    c = bull.candles
    highest = rolling_max(c.high, BREAKOUT_BARS)
    level = np.concatenate([highest[:1], highest[:-1]])
    inside = np.zeros(len(c), np.bool_)
    inside[1:] = c.close[:-1] <= level[:-1]
    inside[: BREAKOUT_BARS + 1] = False
    return level, inside


def _breakout_events(bull: _Bull, direction: int) -> _Rows:
    level, inside = _breakout_levels(bull)
    size = (bull.candles.close - level).astype(np.float64)
    at = np.flatnonzero(inside & (size > MIN_SIZE * bull.atr))
    return _rows(BREAKOUT, direction, bull, at, at, size[at], (level[at], level[at]))


def _sweep_events(other: _Bull, direction: int) -> _Rows:
    """A sweep of the other side's swings: of lows for a bullish one."""
    c = other.candles
    at = np.flatnonzero(other.fresh & (c.high > other.level) & (c.close < other.level))
    level = other.level[at]
    size = (c.high[at] - level).astype(np.float64)
    rows = _rows(SWEEP, -direction, other, other.pivot[at], at, size, (level, level))
    return (rows[0], -rows[1], *rows[2:])


# --- claims --------------------------------------------------------------------------------------


def verify(
    view: SetupView, side: I8, entry_time: I64, claimed: I32, until: I64 | None = None
) -> Verification:
    """Check claims of N cases on one view.

    `claimed`: bit i = SETUPS[i], negative = unknown (nothing is checked). `until`: ns, bars closing
    later are not read when looking for repaints (none are read without it).
    """
    n, candles = side.size, view.candles
    at = last_closed(candles.time, view.bar_ns, entry_time)
    seen = at if until is None else last_closed(candles.time, view.bar_ns, until)
    enough = at + 1 >= MIN_BARS_BEFORE
    wanted = (claimed[:, None] >> np.arange(len(SETUPS)) & 1).astype(np.bool_)
    checked = wanted & ((claimed >= 0) & enough)[:, None]
    shape = (n, len(SETUPS))
    out = Verification(
        enough,
        checked,
        np.zeros(shape, np.bool_),
        np.full(shape, -1, np.int64),
        np.zeros(shape, np.bool_),
        np.full(shape, np.nan),
        np.zeros(shape, np.bool_),
        np.zeros(shape, np.bool_),
    )
    if not bool(checked.any()):
        return out
    structures = _structures(candles)
    events = _events(*structures)
    for setup in np.flatnonzero(checked.any(axis=0)):
        for direction in (1, -1):
            rows = np.flatnonzero(checked[:, setup] & (side == direction))
            if rows.size:
                _verify_one(events, structures, int(setup), direction, rows, at, seen, out)
    return out


def _known(events: SetupEvents, setup: int, direction: int) -> I64:
    bars: I64 = events.known_bar[(events.setup == setup) & (events.direction == direction)]
    return bars


def _latest(known: I64, at: I64) -> I64:
    """Lag of the latest emission known by each bar, -1 outside the window."""
    index = np.searchsorted(known, at, side="right") - 1
    lag = at - known[np.maximum(index, 0)] if known.size else at
    inside = (index >= 0) & (lag <= WINDOW_BARS)
    return np.where(inside, lag, -1)


def _verify_one(
    events: SetupEvents,
    structures: tuple[_Bull, _Bull],
    setup: int,
    direction: int,
    rows: I64,
    at: I64,
    seen: I64,
    out: Verification,
) -> None:
    t0 = at[rows]
    right = _known(events, setup, direction)
    lag = _latest(right, t0)
    found = lag >= 0
    out.found[rows, setup] = found
    out.found_lag[rows, setup] = lag
    out.wrong_side[rows, setup] = ~found & (_latest(_known(events, setup, -direction), t0) >= 0)
    ahead = np.minimum(t0 + LOOK_AHEAD_BARS, seen[rows])
    later = np.searchsorted(right, ahead, side="right") > np.searchsorted(right, t0, side="right")
    out.repaint[rows, setup] = ~found & later
    up, down = structures if direction > 0 else structures[::-1]
    window = t0[:, None] - np.arange(WINDOW_BARS + 1)
    misses = _misses(setup, up, down)[window]
    width = up.atr[window]
    in_atr = np.where(width > 0, misses / np.where(width > 0, width, 1.0), np.nan)
    near = ((in_atr < MARGINAL_ATR) | (misses <= _ONE_POINT)).any(axis=1)
    if setup in (BOS, CHOCH):
        near |= _latest(_known(events, BOS + CHOCH - setup, direction), t0) >= 0
    nearest = np.nanmin(np.where(np.isnan(in_atr), np.inf, in_atr), axis=1)
    out.miss[rows, setup] = np.where(found | np.isinf(nearest), np.nan, nearest)
    out.marginal[rows, setup] = ~found & near


def _misses(setup: int, up: _Bull, down: _Bull) -> F64:
    """By how many half-points each bar failed the setup's price rule while its other rules held;
    NaN where they did not hold. Shape (n,); never negative."""
    c = up.candles
    if setup in (BOS, CHOCH):
        miss = np.where(up.fresh, up.level - c.close, np.nan)
    elif setup == FVG:
        miss = np.maximum(MIN_SIZE * up.atr, 1) - _gap_sizes(up)
    elif setup == ORDER_BLOCK:
        found = _blocks(up)
        miss = np.full(len(c), np.nan)
        miss[found.known] = MIN_DISPLACEMENT * up.atr[found.known] - found.displacement
    elif setup == BREAKOUT:
        level, inside = _breakout_levels(up)
        miss = np.where(inside, level + MIN_SIZE * up.atr - c.close, np.nan)
    else:
        pierced, closed = down.level - down.candles.high, down.candles.close - down.level
        # A level that a close has broken before is a near miss however well it was swept.
        miss = np.where(down.pivot >= 0, np.maximum(np.maximum(pierced, closed), 0), np.nan)
    result: F64 = np.where(miss < 0, np.nan, miss)
    return result
