"""What happened around the largest adverse move: trading, news; and whether claimed setups hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.features import SIGMA_BARS, Features, prefix, usual_of_hour, window_start
from post_mortem.core.measures import Gap, Jump, Life, Volatility, ramp, when
from post_mortem.core.setups import Verification, verify
from post_mortem.core.types import I32, SETUPS, Bool, CaseBatch, Missing
from trading.core.candles import F64, I64
from trading.core.types import NS_PER_MINUTE

THIN_VOLUME = (0.2, 0.5)  # full strength at and below a fifth of the usual volume, none from half
WIDE_SPREAD = (2.0, 4.0)
THIN_BY_SPREAD = 0.5  # the most that spreads alone can say about thin trading
AROUND = 2  # bars on each side of a jump
NEWS_BEFORE_NS = 12 * NS_PER_MINUTE  # a jump may follow a release by so much
NEWS_AFTER_NS = 6 * NS_PER_MINUTE  # or precede it (leaks, clocks), at least by one bar
IMPACT_WEIGHT = np.array([0.0, 0.6, 1.0])
NO_SURPRISE_WEIGHT = 0.35
SETUP_SUBTYPES = ("absent", "repaint", "wrong_side", "marginal", "present")
_ABSENT, _REPAINT, _WRONG_SIDE, _MARGINAL, _PRESENT = range(len(SETUP_SUBTYPES))
SETUP_STRENGTH = np.array([1.0, 1.0, 1.0, 0.4, 0.0])
_GATHER_CELLS = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Thin:
    """How little was traded around the jump (or gap) bar."""

    strength: F64
    volume_ratio: F64
    spread_ratio: F64
    volume_known: Bool  # of some bar of the life or shortly before it


@dataclass(frozen=True, slots=True, eq=False)
class NearNews:
    """The release nearest in weight to the jump: index into market.news or -1."""

    index: I64
    strength: F64
    minutes: F64
    covered: Bool
    unanswered: F64


@dataclass(frozen=True, slots=True, eq=False)
class ClaimedSetups:
    """What became of the claimed setups: the worst claim of each case (`subtype` indexes
    SETUP_SUBTYPES, NaN where none could be verified), and how many were claimed and present."""

    subtype: F64
    setup: F64
    lag: F64
    shortfall: F64
    strength: F64
    claimed: I64
    present: I64
    missing: I32

    @property
    def misidentified(self) -> Bool:
        return self.subtype < _PRESENT


# --- thin trading -----------------------------------------------------------------------------


def thin_trading(
    features: Features, life: Life, jump: Jump, gap: Gap, volatility: Volatility, news: NearNews
) -> Thin:
    candles = features.market.candles
    n = len(life.bars)
    bar = np.where(gap.strength > jump.move, gap.bar, jump.bar)
    asked = np.flatnonzero((jump.move > 0) | (gap.strength > 0) | (volatility.strength > 0))
    volume_ratio, spread_ratio = np.full(n, np.nan), np.full(n, np.nan)
    volume = candles.volume
    if volume is not None:
        volume_ratio[asked] = np.fmin(*_against_usual(features, volume, bar[asked], life, asked))
    if candles.spread is not None and candles.spread.size:
        spread = candles.spread.astype(np.float64)
        spread_ratio[asked] = np.fmax(*_against_usual(features, spread, bar[asked], life, asked))
    by_volume = ramp(-volume_ratio, -THIN_VOLUME[1], -THIN_VOLUME[0])
    # Quotes widen around releases too: without a calendar a wide spread tells nothing.
    by_spread = THIN_BY_SPREAD * ramp(spread_ratio, *WIDE_SPREAD) * (1 - news.strength)
    by_spread = np.where(news.covered, by_spread, 0.0)
    strength = np.where(np.isfinite(volume_ratio), by_volume, by_spread)
    return Thin(strength, volume_ratio, spread_ratio, _volume_known(features, life))


def _volume_known(features: Features, life: Life) -> Bool:
    """Asked a case, not of the whole series: what other bars hold must not matter."""
    volume, time = features.market.candles.volume, features.market.candles.time
    if volume is None:
        return np.zeros(len(life.bars), np.bool_)
    known = prefix(np.isfinite(volume).astype(np.int64))
    start = window_start(time, life.before + 1, SIGMA_BARS, features.market.bar_ns)
    stop = np.where(life.alive, life.exit, life.before) + 1
    result: Bool = known[stop] > known[start]
    return result


def _against_usual(
    features: Features, values: F64, bar: I64, life: Life, rows: I64
) -> tuple[F64, F64]:
    """Medians of values / usual over the bars around `bar`, none after the exit: over all of them,
    and over as many before it as after it, so that a jump at the exit is not judged by what
    preceded it."""
    usual = usual_of_case(features, values, bar, life.first[rows])
    offsets = np.arange(-AROUND, AROUND + 1)
    around = bar[:, None] + offsets
    left = (life.exit[rows] - bar)[:, None]
    inside = (around >= 0) & (offsets <= left)
    near = np.where(inside, values[np.clip(around, 0, values.size - 1)], np.nan)
    even = np.where(np.abs(offsets) <= left, near, np.nan)
    return _median_of_rows(near) / usual, _median_of_rows(even) / usual


def usual_of_case(features: Features, values: F64, bar: I64, before: I64) -> F64:
    """Usual value at a bar's hour of day; with too few days of data the median of the bars before
    `before`, NaN with fewer than 20 known ones or where it is 0."""
    time = features.market.candles.time
    usual = usual_of_hour(time, values)[bar]
    for part in _chunks(np.flatnonzero(~np.isfinite(usual)), SIGMA_BARS):
        stop = before[part]
        start = window_start(time, stop, SIGMA_BARS, features.market.bar_ns)
        index = stop[:, None] - 1 - np.arange(SIGMA_BARS)
        inside = index >= start[:, None]
        rows = np.where(inside, values[np.maximum(index, 0)], np.nan)
        median = _median_of_rows(rows)
        usual[part] = np.where(np.isfinite(rows).sum(axis=1) >= 20, median, np.nan)
    return np.where(usual > 0, usual, np.nan)


def _chunks(rows: I64, width: int) -> list[I64]:
    if not rows.size:
        return []
    return np.array_split(rows, -(-rows.size * width // _GATHER_CELLS))


def _median_of_rows(values: NDArray[np.float64]) -> F64:
    """Median of the known numbers of each row, NaN for a row without any."""
    ordered = np.sort(values, axis=1)
    last = np.isfinite(ordered).sum(axis=1) - 1
    rows = np.arange(values.shape[0])
    low, high = (
        ordered[rows, np.maximum(last, 0) // 2],
        ordered[rows, (np.maximum(last, 0) + 1) // 2],
    )
    median: F64 = np.where(last >= 0, (low + high) / 2, np.nan)
    return median


# --- news -------------------------------------------------------------------------------------


def near_news(batch: CaseBatch, life: Life, jump: Jump) -> NearNews:
    n, market = len(life.bars), batch.market
    nothing = np.full(n, np.nan)
    if market.news is None:
        return NearNews(np.full(n, -1), np.zeros(n), nothing, np.zeros(n, bool), nothing)
    news, bar_ns = market.news, market.bar_ns
    at = market.candles.time[jump.bar]
    relevant = np.array([not market.currencies or c in market.currencies for c in news.currency])
    weight = IMPACT_WEIGHT[news.impact] * np.where(
        np.isnan(news.surprise_z) | (np.abs(news.surprise_z) > 1), 1.0, NO_SURPRISE_WEIGHT
    )
    weight = np.where(relevant, weight, 0.0) if news.time.size else np.zeros(0)
    lo = np.searchsorted(news.time, at - NEWS_BEFORE_NS, side="left")
    hi = np.searchsorted(news.time, at + max(NEWS_AFTER_NS, bar_ns), side="right")
    best, index = np.zeros(n), np.full(n, -1)
    for k in range(int((hi - lo).max(initial=0))):
        here = np.minimum(lo + k, news.time.size - 1)
        value = np.where(lo + k < hi, weight[here], 0.0)
        index, best = np.where(value > best, here, index), np.maximum(value, best)
    named = news.time[np.maximum(index, 0)] if news.time.size else at
    minutes = np.where(index >= 0, (at - named) / NS_PER_MINUTE, np.nan)
    return NearNews(
        index,
        best,
        minutes,
        _covered(news.covered_from, news.covered_to, at) | (index >= 0),
        _unanswered(news.time, weight, batch, life, (lo, hi)),
    )


def _covered(start: I64, stop: I64, at: I64) -> Bool:
    """Whether `at` lies in one of the spans [start, stop]."""
    result = np.zeros(at.shape[0], bool)
    for a, b in zip(start.tolist(), stop.tolist(), strict=True):
        result |= (at >= a) & (at <= b)
    return result


def _unanswered(time: I64, weight: F64, batch: CaseBatch, life: Life, near: tuple[I64, I64]) -> F64:
    """Releases that could matter, fell into the life and were not followed by its jump."""
    counted = np.concatenate([[0], np.cumsum(weight > 0)])
    lo = np.searchsorted(time, batch.entry_time)
    ends = batch.market.candles.time[life.exit] + batch.market.bar_ns
    hi = np.maximum(np.searchsorted(time, ends), lo)
    answered = counted[np.clip(near[1], lo, hi)] - counted[np.clip(near[0], lo, hi)]
    result: F64 = (counted[hi] - counted[lo] - answered).astype(np.float64)
    return result


# --- claimed setups ---------------------------------------------------------------------------


def claimed_setups(batch: CaseBatch, life: Life) -> ClaimedSetups:
    n = len(batch)
    checked = np.zeros((n, len(SETUPS)), bool)
    code, lag, miss = checked.astype(np.int64), np.full(checked.shape, -1), np.zeros(checked.shape)
    until = batch.market.candles.time[life.exit] + batch.market.bar_ns
    for view in batch.setup_views:
        rows = np.flatnonzero((batch.setup_bar_ns == view.bar_ns) & (batch.claimed_setups > 0))
        if rows.size:
            found = verify(
                view,
                batch.side[rows],
                batch.entry_time[rows],
                batch.claimed_setups[rows],
                until[rows],
            )
            checked[rows], code[rows] = found.checked, _setup_codes(found)
            lag[rows], miss[rows] = found.found_lag, found.miss
    known = checked.any(axis=1)
    weight = np.where(checked, SETUP_STRENGTH[code], -1.0)
    worst, cases = weight.argmax(axis=1), np.arange(n)
    at_worst = (cases, worst)
    missing = when(batch.claimed_setups < 0, Missing.CLAIMED_SETUPS)
    missing |= when((batch.claimed_setups > 0) & ~known, Missing.BARS_BEFORE)
    return ClaimedSetups(
        subtype=np.where(known, code[at_worst], np.nan),
        setup=np.where(known, worst, np.nan),
        lag=np.where(known & (lag[at_worst] >= 0), lag[at_worst], np.nan),
        shortfall=np.where(known & (code[at_worst] != _PRESENT), miss[at_worst], np.nan),
        strength=np.where(known, weight[at_worst], 0.0),
        claimed=checked.sum(axis=1),
        present=(checked & (code == _PRESENT)).sum(axis=1),
        missing=missing,
    )


def _setup_codes(found: Verification) -> I64:
    """Index into SETUP_SUBTYPES of each claim."""
    code = np.where(found.marginal, _MARGINAL, _ABSENT)
    code = np.where(found.repaint, _REPAINT, code)
    code = np.where(found.wrong_side, _WRONG_SIDE, code)
    return np.where(found.found, _PRESENT, code).astype(np.int64)
