"""What several causes measure alike about the life of a trade.

Adverse moves are positive: a long loses when prices fall, so z and R of a jump are multiplied by
minus the side. `ramp(x, lo, hi)` is 0 below lo, 1 above hi, linear between, 0 for NaN. Every number
uses bars up to the exit of the label only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from post_mortem.core.features import (
    DRIFT_BARS,
    LONGEST_HOLE_NS,
    RETURN_UNIT,
    SIGMA_BARS,
    SIGMA_LEAST_BARS,
    SQUARE_UNIT,
    Features,
    window_start,
)
from post_mortem.core.ranges import range_argmax
from post_mortem.core.types import I32, Bool, CaseBatch, Labels, Missing, Paths
from trading.core.candles import F64, I64
from trading.core.types import NS_PER_HOUR

JUMP_Z = (3.5, 6.5)
JUMP_R = (0.25, 0.70)
# The same for a move that something else speaks for: a release, related markets, an empty book.
MOVE_Z = (2.0, 5.0)
MOVE_R = (0.2, 0.5)
JUMP_PRESENT = 0.25  # from this strength on, a jump is there to be explained
JUMP_EXPLAINS = 0.5  # from this strength on, nothing but the jump needs an explanation
ATR_RISK = 1.5  # risk without an initial stop, in ATR14
JUST_BEFORE_BARS = 12
CALMEST = 0.25
# Volatility forgets in hours and in days: what it will be is told by the blend of a short, a middle
# and a long look back (Corsi 2009).
USUAL_RANGE_BARS = (24, 96, DRIFT_BARS)
VOLATILITY_LEAST_LIFE = 6
VOLATILITY_LEAST_RUN = 12  # the shortest part of a longer life that is looked at
VOLATILITY_RATIO = (1.0, 2.0)
CHANCE_OF_WINDOW = 0.7  # a range tells as much as five closes, so 1.5 / sqrt(5)
GAP_R = (0.2, 0.5)
CLOSED_MARKET_NS = 12 * NS_PER_HOUR


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """Bars between entry and exit. `before` is the last bar closed by the entry (-1: none);
    `alive` is False where no bar was judged, and then `first` = `exit` is any valid bar."""

    first: I64
    exit: I64
    before: I64
    bars: I64
    alive: Bool
    risk: F64
    r: F64
    sigma: F64


@dataclass(frozen=True, slots=True, eq=False)
class Jump:
    """The largest adverse move of the life from close to close: its bar, z, R and strength.

    `strength` is that of a jump by itself, which chance must not explain; `move` that of a move for
    which something else speaks, so that less is asked of its own size."""

    bar: I64
    z: F64
    r: F64
    strength: F64
    move: F64


@dataclass(frozen=True, slots=True, eq=False)
class Volatility:
    """The largest rise: its ratio, the length of its window in bars and the bar it starts with."""

    ratio: F64
    window: F64
    start: F64
    strength: F64


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """The largest adverse opening gap after the first bar. `closed`: the market was closed."""

    bar: I64
    r: F64
    strength: F64
    closed: Bool


def ramp(x: F64, lo: float, hi: float) -> F64:
    """0 at lo and below, 1 at hi and above (lo > hi turns it round), 0 for NaN."""
    result: F64 = np.fmin(np.fmax((x - lo) / (hi - lo), 0.0), 1.0)
    return result


def when(condition: Bool, feed: Missing) -> I32:
    """The bit of a feed where the condition holds."""
    return condition.astype(np.int32) * np.int32(feed.value)


def life_of(batch: CaseBatch, paths: Paths, labels: Labels, features: Features) -> Life:
    market = batch.market
    n = len(features)
    alive = (paths.last >= paths.first) & (paths.exit >= paths.first) & (paths.first >= 0)
    before = (
        np.searchsorted(market.candles.time, batch.entry_time - market.bar_ns, side="right").astype(
            np.int64
        )
        - 1
    )
    first = np.clip(np.where(alive, paths.first, before + 1), 0, n - 1)
    exit_bar = np.clip(np.where(alive, paths.exit, first), first, n - 1)
    atr = np.where(before >= 0, features.atr[np.maximum(before, 0)], np.nan)
    risk = np.where(labels.risk_price > 0, labels.risk_price, ATR_RISK * atr * market.half_point)
    risk = np.where(risk > 0, risk, np.nan)
    r = np.where(
        np.isfinite(labels.r),
        labels.r,
        batch.side * (labels.exit_price - labels.judged_entry) / risk,
    )
    bars = np.where(alive, exit_bar - first + 1, 0)
    return Life(first, exit_bar, before, bars, alive, risk, r, features.sigma[before + 1])


def _in_r(batch: CaseBatch, life: Life, log_move: F64) -> F64:
    """Adverse move in R of a log return of the close."""
    moved: F64 = -batch.side * log_move * batch.entry_price / life.risk
    return moved


def _largest_adverse(batch: CaseBatch, values: F64 | I64, lo: I64, hi: I64) -> I64:
    """Index in [lo, hi] of the lowest value for longs, of the highest for shorts."""
    result = lo.copy()
    for side in (1, -1):
        rows = np.flatnonzero((batch.side == side) & (hi >= lo))
        if rows.size:
            result[rows] = range_argmax(-side * values, lo[rows], hi[rows])
    return result


def largest_jump(batch: CaseBatch, labels: Labels, features: Features, life: Life) -> Jump:
    """The first bar counts from its open: what moved before it is not this trade's. The last one
    counts to the exit where that was worse than its close: a move that took the stop and came back
    took the stop."""
    candles, side = batch.market.candles, batch.side
    later = _largest_adverse(batch, features.r, np.minimum(life.first + 1, life.exit), life.exit)
    opened, one_bar = candles.open[life.first], life.exit == life.first
    inside = _log_return(candles.close[life.first], opened)
    # Fills are off the mid by spread and slippage, which are no move: the bar's own extreme bounds.
    fill = labels.exit_price / batch.market.half_point
    low, high = candles.low[life.exit], candles.high[life.exit]
    worst = np.clip(np.where(np.isfinite(fill), fill, candles.close[life.exit]), low, high)
    from_ = np.where(one_bar, opened, candles.close[np.maximum(life.exit - 1, 0)])
    leaving = _log_return(worst, from_)
    inside = np.where(one_bar & (-side * leaving > -side * inside), leaving, inside)
    at_first = one_bar | (-side * inside >= -side * features.r[later])
    moved = np.where(at_first, inside, features.r[later])
    at_exit = ~one_bar & (-side * leaving > -side * moved)
    bar = np.where(at_exit, life.exit, np.where(at_first, life.first, later))
    moved = np.where(at_exit, leaving, moved)
    # z of a part of a bar: scaled by the usual move of a whole one.
    whole = features.season[bar] * features.sigma[bar]
    z = -side * moved / whole / _pace_before(features, bar)
    size = np.where(life.alive, _in_r(batch, life, moved), np.nan)
    z = np.where(life.alive, z, np.nan)
    alone, backed = (
        ramp(z, *of_z) * ramp(size, *of_r) for of_z, of_r in ((JUMP_Z, JUMP_R), (MOVE_Z, MOVE_R))
    )
    return Jump(bar, z, size, alone, backed)


def _log_return(price: F64 | I64, before: I64) -> F64:
    """Rounded to RETURN_UNIT."""
    moved = np.log(np.maximum(price, 1) / np.maximum(before, 1))
    rounded: F64 = np.rint(moved / RETURN_UNIT) * RETURN_UNIT
    return rounded


def _pace_before(features: Features, bar: I64) -> F64:
    """What to divide z by: sigma looks back over hours and lags behind the market.

    How much wilder than usual the few bars before each bar were: a large move among equally large
    ones is volatility, not a jump. Where they were calmer, the root of it: calm ends more easily
    than it is measured."""
    market = features.market
    start = window_start(market.candles.time, bar, JUST_BEFORE_BARS, market.bar_ns)
    usual_start = window_start(market.candles.time, bar, SIGMA_BARS, market.bar_ns)
    recent = _mean_range(features, start, bar, least=JUST_BEFORE_BARS // 2)
    ratio = recent / _mean_range(features, usual_start, bar)
    chance = 1 + CHANCE_OF_WINDOW / np.sqrt(JUST_BEFORE_BARS)
    calmer = np.sqrt(np.fmax(ratio * chance, CALMEST))
    pace: F64 = np.fmax(ratio / chance, 1.0) * np.fmin(calmer, 1.0)
    return pace


def run_ups(life: Life, least: int) -> I64:
    """Lengths in bars of what led up to the exit: the whole life, and shorter parts of it from
    `least` bars on in half octaves. Shape (lengths, N), 0 where the life is no longer."""
    longest = int(life.bars.max(initial=0))
    steps = 2 * max(int(np.log2(max(longest, 1) / least)) + 1, 0)
    sizes = np.array([round(least * 2 ** (k / 2)) for k in range(steps)], np.int64)[:, None]
    return np.vstack([life.bars, np.where(sizes < life.bars, sizes, 0)])


def volatility_rise(features: Features, life: Life) -> Volatility:
    """Volatility in the run-up to the exit against what was to be expected at the entry.

    The run-up is the part of the life up to the exit that shows most; short ones are discounted
    because they vary by chance. Expected is the geometric mean of the volatilities of the last
    `USUAL_RANGE_BARS` before the entry. All are Parkinson's: mean squared range, jumps left out, so
    its bias cancels.
    """
    width = run_ups(life, VOLATILITY_LEAST_RUN)
    inside = (width > 0) & (life.bars >= VOLATILITY_LEAST_LIFE)
    stop = np.where(inside, life.exit + 1, 0)
    start = np.where(inside, stop - width, 0)
    found = _mean_range(features, start, stop, least=(width + 1) // 2)
    chance = 1 + CHANCE_OF_WINDOW / np.sqrt(np.maximum(width, 1))
    ratio = np.where(inside, found / _expected_range(features, life) / chance, np.nan)
    ratio = np.fmax(ratio, 0.0)
    at = ratio.argmax(axis=0)
    cases = np.arange(at.size)
    best, bars = ratio[at, cases], width[at, cases]
    known = best > 0
    return Volatility(
        np.where(known, best, np.nan),
        np.where(known, bars, np.nan),
        np.where(known, life.exit + 1 - bars, np.nan),
        ramp(best, *VOLATILITY_RATIO),
    )


def _expected_range(features: Features, life: Life) -> F64:
    """Root mean squared range to be expected at the entry, NaN with too few bars before it."""
    stop, market = life.before + 1, features.market
    short, middle, long = (
        _mean_range(
            features,
            window_start(market.candles.time, stop, bars, market.bar_ns),
            stop,
            least=min(SIGMA_LEAST_BARS, bars // 2),
        )
        for bars in USUAL_RANGE_BARS
    )
    middle = np.where(np.isfinite(middle), middle, long)
    short = np.where(np.isfinite(short), short, middle)
    enough = features.range_count[stop] >= SIGMA_LEAST_BARS
    return np.where(enough, np.cbrt(short * middle * long), np.nan)


def _mean_range(
    features: Features, start: I64, stop: I64, least: int | I64 = SIGMA_LEAST_BARS
) -> F64:
    """Root mean squared deseasonalised range of bars [start, stop), NaN with too few of them."""
    count = features.range_count[stop] - features.range_count[start]
    squares = (features.range_sum[stop] - features.range_sum[start]) * SQUARE_UNIT
    rms = np.sqrt(squares / np.maximum(count, 1))
    return np.where((count >= least) & (rms > 0), rms, np.nan)


def largest_gap(batch: CaseBatch, features: Features, life: Life) -> Gap:
    time = batch.market.candles.time
    lo = np.minimum(life.first + 1, life.exit)
    bar = _largest_adverse(batch, features.opening_gap, lo, life.exit)
    has = life.alive & (life.exit > life.first)
    size = -batch.side * features.opening_gap[bar] * batch.market.half_point / life.risk
    size = np.where(has, size, np.nan)
    hole = time[bar] - time[np.maximum(bar - 1, 0)]
    closed = has & (hole >= np.maximum(CLOSED_MARKET_NS, 2 * batch.market.bar_ns))
    return Gap(bar, size, ramp(size, *GAP_R), closed & (hole <= LONGEST_HOLE_NS))
