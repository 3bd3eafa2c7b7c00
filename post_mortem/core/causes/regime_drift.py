"""Regime drift: the market the strategy was made for ended, and prices drifted away.

Trend strategies: prices trended in favour before the entry (t_pre, best of four windows) and
against it in the run-up to the exit (t_post, best suffix of the life). Mean reversion: a range
turned into a trend, so t_post alone. Both are sums of deseasonalised returns over their volatility,
known at the exit. A jump or a rise in volatility explains the move better, so both discount it.
Source: CUSUM-like scan of Page (1954) over the bars up to the exit; efficiency ratio of Kaufman.
"""

from __future__ import annotations

import numpy as np

from post_mortem.core.context import Context
from post_mortem.core.features import DRIFT_BARS, RETURN_UNIT, window_start
from post_mortem.core.measures import JUMP_EXPLAINS, ramp, when
from post_mortem.core.types import Bool, FactSpec, Findings, Missing, StrategyKind
from trading.core.candles import F64, I64

CAUSE = "regime_drift"
BAND = (40, 75)
BEFORE_WINDOWS = (96, 144, 192, DRIFT_BARS)
LEAST_BARS = 8
_SUFFIXES = [round(LEAST_BARS * 2 ** (k / 2)) for k in range(1, 40)]
PRE = (0.8, 2.6)
POST = (1.2, 2.8)
VOLATILITY_DISCOUNT = 0.7
FACTS = (
    FactSpec("t_pre", "z", "drift in favour before the entry"),
    FactSpec("t_post", "z", "adverse drift up to the exit"),
    FactSpec("change_bars", "bars", "bars from the change to the exit"),
    FactSpec("er_before", "ratio", "efficiency ratio of the 96 bars before the entry"),
    FactSpec("er_after", "ratio", "efficiency ratio since the change"),
    FactSpec("vol_ratio", "ratio", "volatility before the exit against that before the entry"),
)


def assess(context: Context) -> Findings:
    """Findings for every case; fewer than 288 bars before the entry cannot be checked."""
    life = context.life
    t_pre = _before(context)
    t_post, length = _after(context)
    enough = _has_bars_before(context)
    reverting = context.batch.strategy_kind == StrategyKind.MEAN_REVERSION
    drift = ramp(t_post, *POST) * np.where(reverting, 1.0, ramp(t_pre, *PRE))
    discount = (1 - context.jump.strength) * (1 - VOLATILITY_DISCOUNT * context.volatility.strength)
    strength = np.where(enough & (life.bars >= LEAST_BARS), drift * discount, 0.0)
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


def _before(context: Context) -> F64:
    stop = context.life.before + 1
    best = np.full(len(context), np.nan)
    for window in BEFORE_WINDOWS:
        t = _drift(context, np.maximum(stop - window, 0), stop)
        best = np.fmax(best, np.where(stop >= window, t, np.nan))
    return best


def _after(context: Context) -> tuple[F64, I64]:
    """Best t of an adverse drift that ends at the exit, and its length in bars."""
    life, cases = context.life, np.arange(len(context))
    longest = int(life.bars.max(initial=0))
    sizes = np.array([[LEAST_BARS], *([s] for s in _SUFFIXES if s <= longest)])
    fits = life.bars >= sizes
    t = -_drift(context, np.where(fits, life.exit + 1 - sizes, life.exit), life.exit + 1)
    t = np.where(fits & np.isfinite(t), t, -np.inf)
    at = t.argmax(axis=0)
    best, known = t[at, cases], np.isfinite(t[at, cases])
    return np.where(known, best, np.nan), np.where(known, sizes[at, 0], 0)


def _efficiency(context: Context, start: I64, stop: I64) -> F64:
    """Net move over the sum of moves: 1 is a straight line, near 0 a range."""
    features, known = context.features, (start >= 0) & (stop > start)
    start, stop = np.where(known, start, 0), np.where(known, stop, 0)
    net = np.abs(features.d_sum[stop] - features.d_sum[start])
    path = features.d_abs_sum[stop] - features.d_abs_sum[start]
    return np.where(known & (path > 0), net / np.maximum(path, 1), np.nan)
