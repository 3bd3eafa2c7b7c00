"""Regime drift: the market the strategy was made for ended, and prices drifted away.

The drift before the entry is held against the drift of the life, so that the change lies inside the
trade. Trend strategies: prices drifted in favour before (t_pre, best of four windows) and against
it up to the exit (t_post, best run-up). Mean reversion: a range became a trend, so prices must not
have trended before, against the trade least of all: that was what it bet on. t_post is counted in
the volatility of the life itself: in a wild market a large move is no drift. A regime lasts, and
moves in many small steps: a swing of a few bars is none, nor a loss that one bar made. A rise in
volatility explains the move as well and discounts.
Source: CUSUM-like scan of Page (1954) over the bars up to the exit; efficiency ratio of Kaufman.
"""

from __future__ import annotations

import numpy as np

from post_mortem.core.context import Context
from post_mortem.core.features import DRIFT_BARS, RETURN_UNIT, window_start
from post_mortem.core.measures import JUMP_EXPLAINS, ramp, run_ups, when
from post_mortem.core.types import Bool, FactSpec, Findings, Missing, StrategyKind
from trading.core.candles import F64, I64

CAUSE = "regime_drift"
BAND = (40, 75)
BEFORE_WINDOWS = (96, 144, 192, DRIFT_BARS)
LEAST_BARS = 8
LEAST_RUN = 16  # the shortest part of a longer life that is looked at
LASTS = (4, 18)  # bars of life: from none of a regime to all of one
PRE = (0.5, 2.8)
POST = (0.4, 2.4)
AGAINST = (1.5, 3.0)  # a trend against the entry that was there before: no range became one
RANGE_BEFORE = 0.7  # the most that a range before tells; half of all markets are in one
# The largest bar's share of the adverse move: of a drift's many steps it is one, not the most.
LARGEST_BAR = (0.8, 0.2)
VOLATILITY_DISCOUNT = 0.5
FACTS = (
    FactSpec("t_pre", "z", "drift in favour before the entry"),
    FactSpec("t_post", "z", "adverse drift up to the exit, in the life's own volatility"),
    FactSpec("change_bars", "bars", "bars from the change to the exit"),
    FactSpec("er_before", "ratio", "efficiency ratio of the 96 bars before the entry"),
    FactSpec("er_after", "ratio", "efficiency ratio since the change"),
    FactSpec("vol_ratio", "ratio", "volatility before the exit against that before the entry"),
)


def assess(context: Context) -> Findings:
    """Findings for every case; fewer than 288 bars before the entry cannot be checked."""
    life = context.life
    t_pre, against = _before(context)
    t_post, length = _after(context)
    enough = _has_bars_before(context)
    reverting = context.batch.strategy_kind == StrategyKind.MEAN_REVERSION
    ranged = RANGE_BEFORE * (1 - ramp(against, *AGAINST))
    drift = ramp(t_post, *POST) * np.where(reverting, ranged, ramp(t_pre, *PRE))
    drift *= ramp(life.bars.astype(np.float64), *LASTS)
    drift *= ramp(_largest_bar(context), *LARGEST_BAR)
    drift *= 1 - VOLATILITY_DISCOUNT * context.volatility.strength
    strength = np.where(enough & (life.bars >= LEAST_BARS), drift, 0.0)
    stop = life.exit + 1
    facts = {
        "t_pre": t_pre,
        "t_post": t_post,
        "change_bars": np.where(length > 0, length, np.nan),
        "er_before": _efficiency(context, life.before + 1 - BEFORE_WINDOWS[0], life.before + 1),
        "er_after": _efficiency(context, stop - length, stop),
        "vol_ratio": context.volatility.ratio,
    }
    missing = when(~enough, Missing.BARS_BEFORE)
    missing |= when(life.bars < LEAST_BARS, Missing.BARS_IN_LIFE)
    # A life too short for a drift rules it out; a history too short hides it.
    present = ~enough & (life.bars >= LEAST_BARS) & (context.jump.strength < JUMP_EXPLAINS)
    return context.findings(CAUSE, BAND, strength, facts, missing=missing, precondition=present)


def _has_bars_before(context: Context) -> Bool:
    stop = context.life.before + 1
    market = context.batch.market
    start = window_start(market.candles.time, stop, DRIFT_BARS, market.bar_ns)
    enough: Bool = (stop - start == DRIFT_BARS) & np.isfinite(context.life.sigma)
    return enough


def _drift(context: Context, start: I64, stop: I64) -> F64:
    """t of the sum of returns of bars [start, stop), positive in favour of the trade."""
    sums = context.features.d_sum
    total = (sums[stop] - sums[start]) * RETURN_UNIT
    scale = context.life.sigma * np.sqrt(np.maximum(stop - start, 1))
    t: F64 = context.batch.side * total / scale
    return t


def _before(context: Context) -> tuple[F64, F64]:
    """Largest drift in favour before the entry, and largest against, over `BEFORE_WINDOWS`."""
    stop = context.life.before + 1
    best, worst = np.full(len(context), np.nan), np.full(len(context), np.nan)
    for window in BEFORE_WINDOWS:
        t = _drift(context, np.maximum(stop - window, 0), stop)
        t = np.where(stop >= window, t, np.nan)
        best, worst = np.fmax(best, t), np.fmax(worst, -t)
    return best, worst


def _after(context: Context) -> tuple[F64, I64]:
    """Best t of an adverse drift that ends at the exit, and its length in bars."""
    life, cases = context.life, np.arange(len(context))
    sizes = run_ups(life, LEAST_RUN)
    fits = (sizes > 0) & (life.bars >= LEAST_BARS)
    t = -_drift(context, np.where(fits, life.exit + 1 - sizes, life.exit), life.exit + 1)
    t = np.where(fits & np.isfinite(t), t, -np.inf)
    at = t.argmax(axis=0)
    best, known = t[at, cases], np.isfinite(t[at, cases])
    wilder = np.fmax(context.volatility.ratio, 1.0)
    return np.where(known, best / wilder, np.nan), np.where(known, sizes[at, cases], 0)


def _largest_bar(context: Context) -> F64:
    """Share of the adverse move to the exit that its largest bar made; 1 where it lost no more."""
    largest = np.fmax(context.jump.r, 0.0)
    moved = np.fmax(-context.life.r, largest)
    return np.where(moved > 0, largest / np.where(moved > 0, moved, 1.0), np.nan)


def _efficiency(context: Context, start: I64, stop: I64) -> F64:
    """Net move over the sum of moves: 1 is a straight line, near 0 a range."""
    features, known = context.features, (start >= 0) & (stop > start)
    start, stop = np.where(known, start, 0), np.where(known, stop, 0)
    net = np.abs(features.d_sum[stop] - features.d_sum[start])
    path = features.d_abs_sum[stop] - features.d_abs_sum[start]
    return np.where(known & (path > 0), net / np.maximum(path, 1), np.nan)
