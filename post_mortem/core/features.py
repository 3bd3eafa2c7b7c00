"""What the causes need to know about a market, computed once for all of its cases.

Everything at bar i uses bars <= i, and the same numbers to the last bit come out when the series
is cut at `required_lookback`: sums that slide are taken over whole multiples of a power of two
(integers), so where the array begins cannot matter, and every window is bounded in bars and time.

- `r`: log return of the close, quantised to 2**-40; 0 across a hole longer than `LONGEST_HOLE_NS`;
- seasonality f: square root of (bipower of the hour of day / that of all hours), taken for a whole
  UTC day as medians of the 14 calendar days before it, so that the releases of a few days do not
  make their hour a wild one; 1 with fewer than 10 days of data;
- `d` = r / f, the deseasonalised return;
- `sigma[i]`: bipower volatility of d over the `SIGMA_BARS` bars before i (Barndorff-Nielsen and
  Shephard 2006), robust to jumps; never below half a point; NaN with fewer than 20 bars;
- `z[i]` = d[i] / sigma[i], the jump statistic of Lee and Mykland (2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.types import Bool, Market
from trading.core.candles import F64, I64
from trading.core.types import NS_PER_DAY, NS_PER_HOUR

SIGMA_BARS = 156
SIGMA_LEAST_BARS = 20
DRIFT_BARS = 288  # the longest window before the entry that any cause reads
ATR_BARS = 14
SEASON_DAYS = 14
SEASON_LEAST_DAYS = 10
SEASON_LEAST_BARS = 8  # of one hour of the day, over those days
LONGEST_HOLE_NS = 7 * NS_PER_DAY
JUMP_OUT_OF_NOISE = 6.0  # |z| beyond which a bar tells nothing about ordinary volatility

RETURN_UNIT = 2.0**-40
SQUARE_UNIT = 2.0**-50
_LARGEST_RETURN = 0.5  # keeps sums of squares inside int64


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Arrays of length n (one a bar) or n + 1 (prefix sums, and sigma before each bar)."""

    market: Market
    r: F64
    season: F64
    d: F64
    z: F64
    sigma: F64
    d_sum: I64  # prefix of d in RETURN_UNIT
    d_abs_sum: I64  # prefix of |d| in RETURN_UNIT
    range_sum: I64  # prefix of (ln(high / low) / f) squared in SQUARE_UNIT, jumps left out
    range_count: I64  # prefix of the number of bars in range_sum
    atr: F64  # mean true range of the 14 bars up to and including i, half-points
    opening_gap: I64  # open minus the previous close, half-points

    def __len__(self) -> int:
        return int(self.r.shape[0])


def required_lookback(bar_ns: int, entry_ns: int) -> int:
    """Time (ns) from which bars are needed for a case entered at `entry_ns`.

    The day floor of the earliest bar any window can reach, minus the days of the seasonality and
    one more, because the first returns of those days need the bars before them. Claimed setups
    look back on the signal's timeframe (`setups.LOOKBACK_BARS`), which the caller adds.
    """
    earliest = entry_ns - bar_ns - _window_ns(max(DRIFT_BARS, SIGMA_BARS), bar_ns)
    return (earliest // NS_PER_DAY - SEASON_DAYS - 1) * NS_PER_DAY


def _window_ns(bars: int, bar_ns: int) -> int:
    """The longest time a window of so many bars may reach back: room for a weekend and holes."""
    return 2 * bars * bar_ns + 4 * NS_PER_DAY


def window_start(time: I64, stop: I64, bars: int, bar_ns: int) -> I64:
    """First bar of the window of at most `bars` bars that ends before bar `stop`."""
    if not time.size:
        return np.zeros_like(stop)
    last = time[np.clip(stop - 1, 0, time.size - 1)]
    in_time = np.searchsorted(time, last - _window_ns(bars, bar_ns))
    return np.maximum(np.maximum(stop - bars, 0), np.minimum(in_time, stop))


def prefix(values: NDArray[np.int64]) -> I64:
    """Prefix sums with a leading zero: sum of values[a:b] is p[b] - p[a], exact while that fits."""
    result = np.zeros(values.shape[0] + 1, np.int64)
    np.cumsum(values, out=result[1:])
    return result


def market_features(market: Market) -> Features:
    """All features of one market, whatever the cases."""
    candles = market.candles
    whole = _close_returns(candles.time, candles.close)
    r: F64 = whole.astype(np.float64) * RETURN_UNIT
    season = seasonality(market, r)
    d_whole = np.rint(whole / season).astype(np.int64)
    d: F64 = d_whole.astype(np.float64) * RETURN_UNIT
    sigma = bipower_sigma(market, d)
    z = d / sigma[:-1]
    calm = np.abs(z) <= JUMP_OUT_OF_NOISE
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.log(market.candles.high / market.candles.low) / season
    calm &= np.isfinite(width)
    squares = np.where(calm, _in_squares(np.where(calm, width * width, 0.0)), 0)
    return Features(
        market,
        r,
        season,
        d,
        z,
        sigma,
        prefix(d_whole),
        prefix(np.abs(d_whole)),
        prefix(squares),
        prefix(calm.astype(np.int64)),
        _average_true_range(market),
        _opening_gap(market),
    )


def _close_returns(time: I64, close: I64) -> I64:
    """Log returns in RETURN_UNIT, clipped to what a sum of squares can hold."""
    result = np.zeros(close.shape[0], np.int64)
    if close.shape[0] < 2:
        return result
    logs = np.log(np.maximum(close, 1).astype(np.float64))
    steps = np.clip(np.diff(logs), -_LARGEST_RETURN, _LARGEST_RETURN)
    usable = (np.diff(time) <= LONGEST_HOLE_NS) & (close[1:] > 0) & (close[:-1] > 0)
    result[1:] = np.where(usable, np.rint(steps / RETURN_UNIT), 0)
    return result


def _in_squares(values: F64) -> I64:
    return np.rint(np.minimum(values, _LARGEST_RETURN**2) / SQUARE_UNIT).astype(np.int64)


def _products(values: F64) -> F64:
    """|v[i]| * |v[i-1]|, 0 for the first."""
    result = np.zeros_like(values)
    size = np.abs(values)
    result[1:] = size[1:] * size[:-1]
    return result


def bipower_sigma(market: Market, d: F64) -> F64:
    """Volatility a bar before each bar: shape (n + 1,)."""
    n = d.shape[0]
    stop = np.arange(n + 1, dtype=np.int64)
    start = window_start(market.candles.time, stop, SIGMA_BARS, market.bar_ns)
    sums = prefix(_in_squares(_products(d)))
    count = stop - start
    mean = (sums[stop] - sums[start]) * SQUARE_UNIT / np.maximum(count, 1)
    sigma = np.sqrt(np.pi / 2 * mean)
    closes = np.maximum(market.candles.close, 1)
    least = np.ones(n + 1)
    least[1:] = 1.0 / closes
    return np.where(count >= SIGMA_LEAST_BARS, np.maximum(sigma, least), np.nan)


# --- the hour of the day --------------------------------------------------------------------------


def _buckets(time: I64) -> tuple[I64, int]:
    """Bucket (day, hour) of each bar, counted from the first day, and the number of days."""
    day = time // NS_PER_DAY
    first = int(day[0])
    return (day - first) * 24 + (time % NS_PER_DAY) // NS_PER_HOUR, int(day[-1]) - first + 1


def _days_before(per_day: NDArray[np.float64]) -> NDArray[np.float64]:
    """For every day the values of the 14 days before it: shape (14, days, ...), NaN outside."""
    days = per_day.shape[0]
    result = np.full((SEASON_DAYS, *per_day.shape), np.nan)
    for back in range(1, min(SEASON_DAYS, days - 1) + 1):
        result[back - 1, back:] = per_day[:-back]
    return result


def seasonality(market: Market, r: F64) -> F64:
    """Factor f of every bar's hour of day; only returns over exactly one bar take part."""
    time = market.candles.time
    n = r.shape[0]
    if n < 3:
        return np.ones(n)
    bucket, days = _buckets(time)
    if days <= SEASON_LEAST_DAYS:
        return np.ones(n)
    one_bar = np.zeros(n, bool)
    one_bar[1:] = np.diff(time) == market.bar_ns
    pair = one_bar.copy()
    pair[1:] &= one_bar[:-1]
    products = np.where(pair, _products(r), 0.0)
    # A bucket holds the same bars in the same order wherever the series was cut.
    shape = (days, 24)
    sums = np.bincount(bucket, products, days * 24).reshape(shape)
    counts = np.bincount(bucket, pair, days * 24).reshape(shape)
    hour_count = np.zeros(shape)
    for back in range(1, min(SEASON_DAYS, days - 1) + 1):
        hour_count[back:] += counts[:-back]
    with np.errstate(divide="ignore", invalid="ignore"):
        usual = _median_of_days(sums / np.where(counts > 0, counts, np.nan))
        weight = np.where(np.isfinite(usual), hour_count, 0.0)
        overall = (np.nan_to_num(usual) * weight).sum(axis=1) / weight.sum(axis=1)
        factor = np.sqrt(usual / overall[:, None])
    known = (hour_count >= SEASON_LEAST_BARS) & (factor > 0)
    factor = np.where(known & np.isfinite(factor), np.clip(factor, 0.25, 4.0), 1.0)
    return factor.ravel()[bucket]


def usual_of_hour(time: I64, values: F64) -> F64:
    """What is usual at each bar's hour of day: the median over the 14 days before of that hour's
    own median; NaN with fewer than 10 days. Values that are NaN are not known and do not count."""
    if not time.size:
        return np.zeros(0)
    bucket, days = _buckets(time)
    if days <= SEASON_LEAST_DAYS:
        return np.full(time.size, np.nan)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.lexsort((values[known], bucket[known]))]
    ranked = values[order]
    count = np.bincount(bucket[known], minlength=days * 24)
    start = np.cumsum(count) - count
    filled = np.flatnonzero(count)
    low = start[filled] + (count[filled] - 1) // 2
    high = start[filled] + count[filled] // 2
    medians = np.full(days * 24, np.nan)
    medians[filled] = (ranked[low] + ranked[high]) / 2
    return _median_of_days(medians.reshape(days, 24)).ravel()[bucket]


def _median_of_days(medians: NDArray[np.float64]) -> NDArray[np.float64]:
    history = np.sort(_days_before(medians), axis=0)  # NaN sorts last
    known = np.isfinite(history).sum(axis=0)
    last = np.maximum(known - 1, 0)
    low = np.take_along_axis(history, (last // 2)[None], axis=0)[0]
    high = np.take_along_axis(history, ((last + 1) // 2)[None], axis=0)[0]
    any_hour = np.isfinite(_days_before(medians)).any(axis=2).sum(axis=0)
    enough = (any_hour >= SEASON_LEAST_DAYS)[:, None] & (known >= SEASON_LEAST_DAYS // 2)
    result: NDArray[np.float64] = np.where(enough, (low + high) / 2, np.nan)
    return result


# --- ranges -----------------------------------------------------------------------------------


def _joined(market: Market) -> Bool:
    """Whether a bar has a previous bar near enough to be compared with."""
    time = market.candles.time
    result = np.zeros(time.shape[0], bool)
    result[1:] = np.diff(time) <= LONGEST_HOLE_NS
    return result


def _average_true_range(market: Market) -> F64:
    candles = market.candles
    n = len(candles)
    high, low = candles.high.copy(), candles.low.copy()
    joined = np.flatnonzero(_joined(market))
    high[joined] = np.maximum(high[joined], candles.close[joined - 1])
    low[joined] = np.minimum(low[joined], candles.close[joined - 1])
    sums = prefix(high - low)
    stop = np.arange(1, n + 1, dtype=np.int64)
    start = window_start(candles.time, stop, ATR_BARS, market.bar_ns)
    mean: F64 = (sums[stop] - sums[start]) / np.maximum(stop - start, 1)
    return mean


def _opening_gap(market: Market) -> I64:
    candles = market.candles
    result = np.zeros(len(candles), np.int64)
    joined = np.flatnonzero(_joined(market))
    result[joined] = candles.open[joined] - candles.close[joined - 1]
    return result
