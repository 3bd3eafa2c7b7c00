"""What several causes measure alike about the life of a trade.

Adverse moves are positive: a long loses when prices fall, so z and R of a jump are multiplied by
minus the side. `ramp(x, lo, hi)` is 0 below lo, 1 above hi, linear between, 0 for NaN. Every number
uses bars up to the exit of the label only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from post_mortem.core.features import (
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
JUMP_PRESENT = 0.25  # from this strength on, a jump is there to be explained
JUMP_EXPLAINS = 0.5  # from this strength on, nothing but the jump needs an explanation
ATR_RISK = 1.5  # risk without an initial stop, in ATR14
JUST_BEFORE_BARS = 12
VOLATILITY_WINDOWS = (6, 12, 24, 48)
VOLATILITY_RATIO = (1.25, 2.0)
CHANCE_OF_WINDOW = 0.7  # a range tells as much as five closes, so 1.5 / sqrt(5)
# (length, bars from its end to the exit) of every window looked at
_WINDOWS = np.array(
    [
        (w, back)
        for w in VOLATILITY_WINDOWS
        for back in range(0, VOLATILITY_WINDOWS[-1] - w + 1, w // 2)
    ]
)
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
    """The largest adverse close-to-close move of the life: its bar, z, R and strength."""

    bar: I64
    z: F64
    r: F64
    strength: F64


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
        batch.side * (labels.exit_price - batch.entry_price) / risk,
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


def largest_jump(batch: CaseBatch, features: Features, life: Life) -> Jump:
    """The first bar counts from its open: what moved before it is not this trade's."""
    candles = batch.market.candles
    later = _largest_adverse(batch, features.r, np.minimum(life.first + 1, life.exit), life.exit)
    inside = np.log(candles.close[life.first] / np.maximum(candles.open[life.first], 1))
    inside = np.rint(inside / RETURN_UNIT) * RETURN_UNIT
    at_first = (life.exit == life.first) | (-batch.side * inside >= -batch.side * features.r[later])
    bar = np.where(at_first, life.first, later)
    r_first = features.r[life.first]
    # z of a partial first bar: scaled by the share of the bar's return that was inside.
    share = np.divide(inside, r_first, out=np.ones_like(inside), where=r_first != 0)
    first_z = np.where(np.abs(share) <= 1, features.z[life.first] * share, features.z[life.first])
    z = -batch.side * np.where(at_first, first_z, features.z[bar]) / _already_wild(features, bar)
    moved = _in_r(batch, life, np.where(at_first, inside, features.r[bar]))
    moved = np.where(life.alive, moved, np.nan)
    z = np.where(life.alive, z, np.nan)
    return Jump(bar, z, moved, ramp(z, *JUMP_Z) * ramp(moved, *JUMP_R))


def _already_wild(features: Features, bar: I64) -> F64:
    """How much wilder than usual the few bars before each bar were, at least 1.

    A large move among equally large ones is volatility, not a jump: sigma looks back over hours and
    lags behind such a rise."""
    market = features.market
    start = window_start(market.candles.time, bar, JUST_BEFORE_BARS, market.bar_ns)
    usual_start = window_start(market.candles.time, bar, SIGMA_BARS, market.bar_ns)
    recent = _mean_range(features, start, bar, least=JUST_BEFORE_BARS // 2)
    ratio = recent / _mean_range(features, usual_start, bar)
    chance = 1 + CHANCE_OF_WINDOW / np.sqrt(JUST_BEFORE_BARS)
    wilder: F64 = np.fmax(ratio / chance, 1.0)
    return wilder


def volatility_rise(features: Features, life: Life) -> Volatility:
    """Volatility of windows in the run-up to the exit against that before the entry.

    Windows end at the exit or up to `VOLATILITY_WINDOWS[-1]` bars before it, in half steps, and lie
    inside the life; short windows are discounted because they vary by chance. Both sides are
    Parkinson's: mean squared range, jumps left out, so its bias cancels.
    """
    before = life.before + 1
    market = features.market
    usual = _mean_range(
        features, window_start(market.candles.time, before, SIGMA_BARS, market.bar_ns), before
    )
    width, back = _WINDOWS[:, :1], _WINDOWS[:, 1:]
    inside = life.bars >= width + back
    stop = np.where(inside, life.exit + 1 - back, 0)
    start = np.where(inside, stop - width, 0)
    found = _mean_range(features, start, stop, least=(width + 1) // 2)
    ratio = np.where(inside, found / usual / (1 + CHANCE_OF_WINDOW / np.sqrt(width)), np.nan)
    ratio = np.fmax(ratio, 0.0)
    at = ratio.argmax(axis=0)
    best = ratio[at, np.arange(at.size)]
    known = best > 0
    return Volatility(
        np.where(known, best, np.nan),
        np.where(known, _WINDOWS[at, 0], np.nan),
        np.where(known, life.exit + 1 - _WINDOWS[at].sum(axis=1), np.nan),
        ramp(best, *VOLATILITY_RATIO),
    )


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
