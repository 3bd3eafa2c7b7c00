"""Outcome metrics of a set of closed trades, and what each says when it cannot say anything.

Input is one float array a metric: R-multiples or money results, one number a trade, **in order of
closing** where order matters (drawdown, runs). NaN means that the trade's result is unknown; such
trades are left out and counted in `unknown_n`. Every metric is a `Metric`: a value, or None and
the reason. Nothing here returns infinity or NaN.

Conventions where libraries disagree: the win rate divides by all trades, breakevens included
(freqtrade; QuantStats leaves them out), and `breakeven_n` is published beside it. A profit factor
without losses is null (`no_losses`), not infinity. Drawdown starts from zero, so that a loss in
the first trade counts (QuantStats).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .candles import F64
from .errors import UserError

MIN_FOR_RATES = 30  # under this many trades pages print counts, not rates
BOOTSTRAP_RESAMPLES = 2000
# Beyond this many trades the mean's sampling distribution is normal to far more digits than are
# shown, and resampling would only cost time.
BOOTSTRAP_MAX_N = 5000
_CHUNK = 1_000_000  # drawn indices held at once
_Z95 = 1.959963984540054
SQN_CAP = 100
MIN_DAYS_FOR_SHARPE = 30


@dataclass(frozen=True, slots=True)
class Metric:
    """A number, or None and why; `n` trades (or days) it rests on."""

    value: float | None
    n: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a mean. `method`: bootstrap (percentile) or normal."""

    low: float
    high: float
    level: float
    method: str

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of cumulative results below their earlier peak, as a value <= 0.

    `peak`, `trough` and `recovered` count closed trades: the peak stood after that many (0: before
    the first), `recovered` is None while it has not been made good.
    """

    depth: float
    peak: int
    trough: int
    recovered: int | None


@dataclass(frozen=True, slots=True)
class Runs:
    """Longest and current runs of wins and losses; `current` is signed, + wins, - losses.

    A breakeven neither ends nor extends a run.
    """

    longest_win: int
    longest_loss: int
    current: int


@dataclass(frozen=True, slots=True)
class Summary:
    n: int
    unknown_n: int
    wins: int
    losses: int
    breakeven_n: int
    total: float
    win_rate: Metric
    expectancy: Metric
    expectancy_interval: Interval | None
    average_win: Metric
    average_loss: Metric
    payoff_ratio: Metric
    profit_factor: Metric
    drawdown: Drawdown
    runs: Runs


def known(results: F64) -> F64:
    """The results that are known."""
    return results[~np.isnan(results)]


def summarize(results: F64, *, seed: int, resamples: int = BOOTSTRAP_RESAMPLES) -> Summary:
    """Every metric of one set of results, in order of closing."""
    r = known(results)
    return Summary(
        n=int(r.size),
        unknown_n=int(results.size - r.size),
        wins=int(np.count_nonzero(r > 0)),
        losses=int(np.count_nonzero(r < 0)),
        breakeven_n=int(np.count_nonzero(r == 0)),
        total=float(r.sum()),
        win_rate=win_rate(r),
        expectancy=expectancy(r),
        expectancy_interval=mean_interval(r, seed=seed, resamples=resamples),
        average_win=_mean(r[r > 0], "no_wins"),
        average_loss=_mean(r[r < 0], "no_losses"),
        payoff_ratio=payoff_ratio(r),
        profit_factor=profit_factor(r),
        drawdown=max_drawdown(r),
        runs=runs(r),
    )


def expectancy(results: F64) -> Metric:
    """Mean result of a trade, which equals win rate x average win + loss rate x average loss."""
    return _mean(known(results), "no_trades")


def win_rate(results: F64) -> Metric:
    """Wins divided by all trades, breakevens included."""
    r = known(results)
    return _mean((r > 0).astype(np.float64), "no_trades")


def profit_factor(results: F64) -> Metric:
    """Sum of wins / |sum of losses|; null without losses, 0 with losses only."""
    r = known(results)
    if not r.size:
        return Metric(None, 0, "no_trades")
    lost = float(-r[r < 0].sum())
    if lost == 0:
        return Metric(None, int(r.size), "no_losses")
    return Metric(float(r[r > 0].sum()) / lost, int(r.size))


def payoff_ratio(results: F64) -> Metric:
    """Average win / |average loss|; null unless there are both."""
    r = known(results)
    wins, losses = r[r > 0], r[r < 0]
    if not r.size:
        return Metric(None, 0, "no_trades")
    if not losses.size:
        return Metric(None, int(r.size), "no_losses")
    if not wins.size:
        return Metric(None, int(r.size), "no_wins")
    return Metric(float(wins.mean() / -losses.mean()), int(r.size))


def mean_interval(
    results: F64, *, seed: int, level: float = 0.95, resamples: int = BOOTSTRAP_RESAMPLES
) -> Interval | None:
    """Percentile-bootstrap interval of the mean; None under two trades.

    Percentile, not studentised: with one result repeated (all -1 R) a studentised bootstrap
    divides by zero, this one honestly returns a point.
    """
    if not 0 < level < 1:
        raise UserError("level", f"a confidence level lies between 0 and 1, not {level}")
    r = known(results)
    n = int(r.size)
    if n < 2:
        return None
    if n > BOOTSTRAP_MAX_N and level == 0.95:
        half = _Z95 * float(r.std(ddof=1)) / math.sqrt(n)
        return Interval(float(r.mean()) - half, float(r.mean()) + half, level, "normal")
    means = _resampled_means(r, seed=seed, resamples=resamples)
    tail = (1 - level) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(low), float(high), level, "bootstrap")


def max_drawdown(results: F64) -> Drawdown:
    """The deepest fall of the running total, which starts at 0 before the first trade."""
    equity = np.concatenate(([0.0], np.cumsum(known(results))))
    peaks = np.maximum.accumulate(equity)
    fall = equity - peaks
    trough = int(np.argmin(fall))
    depth = float(fall[trough])
    if depth == 0:
        return Drawdown(0.0, 0, 0, 0)
    peak = int(np.argmax(equity[: trough + 1]))
    made_good = np.flatnonzero(equity[trough:] >= equity[peak])
    return Drawdown(depth, peak, trough, trough + int(made_good[0]) if made_good.size else None)


def max_drawdown_fraction(results: F64, *, start: float) -> Metric:
    """The deepest fall of an account as a fraction <= 0 of its peak.

    `results` are money, `start` the balance before the first trade. Null when the balance is not
    known to be positive throughout: a fraction of nothing is not a number.
    """
    equity = start + np.concatenate(([0.0], np.cumsum(known(results))))
    if not (start > 0 and bool(np.all(equity > 0))):
        return Metric(None, int(equity.size - 1), "balance_not_positive")
    return Metric(float((equity / np.maximum.accumulate(equity) - 1).min()), int(equity.size - 1))


def runs(results: F64) -> Runs:
    """Runs of wins and losses in order of closing."""
    longest = {1: 0, -1: 0}
    current = 0
    for sign in np.sign(known(results)).astype(int).tolist():
        if sign == 0:
            continue
        current = current + sign if current * sign > 0 else sign
        longest[sign] = max(longest[sign], abs(current))
    return Runs(longest[1], longest[-1], current)


def expected_longest_run(n: int, probability: float) -> Metric:
    """Length of the longest run to expect by chance: ln(n (1 - p)) / ln(1 / p).

    A run of losses is news only when it is clearly longer: 7 losses in 200 trades that lose 55 %
    of the time are not (7.5 expected).
    """
    if not 0 < probability < 1:
        return Metric(None, n, "certain_result")
    if n * (1 - probability) < 1:
        return Metric(None, n, "too_few")
    return Metric(math.log(n * (1 - probability)) / math.log(1 / probability), n)


def sqn(results: F64) -> Metric:
    """sqrt(min(n, 100)) x mean R / standard deviation; null under 30 trades."""
    r = known(results)
    if r.size < MIN_FOR_RATES:
        return Metric(None, int(r.size), "too_few")
    spread = float(r.std(ddof=1))
    if spread == 0:
        return Metric(None, int(r.size), "no_variation")
    return Metric(math.sqrt(min(r.size, SQN_CAP)) * float(r.mean()) / spread, int(r.size))


def sharpe(daily_returns: F64, *, days_a_year: int) -> Metric:
    """sqrt(P) x mean / standard deviation of **daily** returns, flat days included.

    Days must be daily: autocorrelated returns overstate it (Lo 2002). Null under 30 days.
    """
    return _annual_ratio(daily_returns, days_a_year, _deviation)


def sortino(daily_returns: F64, *, days_a_year: int) -> Metric:
    """Like `sharpe` over the downside, sqrt(sum of squared losses / all days) (QuantStats)."""
    return _annual_ratio(daily_returns, days_a_year, _downside)


def edge_ratio(mfe: F64, mae: F64) -> Metric:
    """mean(MFE) / mean(MAE) over trades that know both: a ratio of means, because the mean of
    ratios explodes at the first trade without heat."""
    both = ~(np.isnan(mfe) | np.isnan(mae))
    n = int(np.count_nonzero(both))
    if not n:
        return Metric(None, 0, "no_trades")
    heat = float(mae[both].mean())
    if heat == 0:
        return Metric(None, n, "no_heat")
    return Metric(float(mfe[both].mean()) / heat, n)


def _mean(values: F64, reason: str) -> Metric:
    if not values.size:
        return Metric(None, 0, reason)
    return Metric(float(values.mean()), int(values.size))


def _resampled_means(r: F64, *, seed: int, resamples: int) -> F64:
    rng = np.random.default_rng(seed)
    n = int(r.size)
    rows = max(1, _CHUNK // n)
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        means[start:stop] = r[rng.integers(0, n, (stop - start, n))].mean(axis=1)
    return means


def _deviation(days: F64) -> float:
    return float(days.std(ddof=1))


def _downside(days: F64) -> float:
    losses = np.minimum(days, 0.0)
    return math.sqrt(float((losses * losses).sum()) / days.size)


def _annual_ratio(daily_returns: F64, days_a_year: int, spread: Callable[[F64], float]) -> Metric:
    days = known(daily_returns)
    n = int(days.size)
    if n < MIN_DAYS_FOR_SHARPE:
        return Metric(None, n, "too_few")
    deviation = spread(days)
    if deviation == 0:
        return Metric(None, n, "no_losses" if spread is _downside else "no_variation")
    return Metric(math.sqrt(days_a_year) * float(days.mean()) / deviation, n)
