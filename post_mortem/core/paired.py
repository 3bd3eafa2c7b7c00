"""What a rule would have changed on the very same trades.

For advice on stops, targets and filters the trades are replayed on stored candles with the rule:
every trade is its own comparison, so the difference varies far less than two sets of trades do. A
trade that the rule would have skipped has a replayed R of 0. A replay says what the rule would have
done to past trades, not what a trader will do with it: a check of the time after stays due.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from trading.core.candles import F64
from trading.core.errors import UserError

LEAST_PAIRS = 10
# Neighbouring trades share their market: differences are summed over runs of this many.
_RUN = 5


@dataclass(frozen=True, slots=True)
class PairedEffect:
    """Mean difference replayed less actual, in R a trade, with its 95 % interval, over `n` trades.

    `changed` of them differ at all, `skipped` would not have been taken, of which `winners_forgone`
    won. `p` is two-sided. `ci`, `se_r`, `p` are None where fewer than ten trades are there."""

    estimate_r: float
    ci: tuple[float, float] | None
    se_r: float | None
    p: float | None
    n: int
    changed: int
    skipped: int
    winners_forgone: int
    r_forgone: float


def paired_effect(
    actual_r: ArrayLike, replayed_r: ArrayLike, skipped: ArrayLike | None = None
) -> PairedEffect:
    """Trades in time order; `skipped` marks those that the rule would not have taken, whose
    replayed R is then 0 whatever is given. Raises UserError `bad_pairs`."""
    actual = np.asarray(actual_r, np.float64)
    replayed = np.asarray(replayed_r, np.float64)
    left = np.zeros(actual.size, np.bool_) if skipped is None else np.asarray(skipped, np.bool_)
    if not actual.size == replayed.size == left.size or not actual.size:
        raise UserError("bad_pairs", "actual and replayed R: expected equal lengths, not empty")
    replayed = np.where(left, 0.0, replayed)
    if not bool(np.isfinite(actual).all() and np.isfinite(replayed).all()):
        raise UserError("bad_pairs", "actual and replayed R: expected finite numbers")
    difference = replayed - actual
    n, estimate = difference.size, float(difference.mean())
    forgone = left & (actual > 0)
    counts = (
        int((difference != 0).sum()),
        int(left.sum()),
        int(forgone.sum()),
        float(actual[forgone].sum()),
    )
    if n < LEAST_PAIRS:
        return PairedEffect(estimate, None, None, None, n, *counts)
    se, freedom = _error(difference, estimate)
    half = float(stdtrit(freedom, 0.975)) * se
    p = 1.0 if se == 0 else float(2 * stdtr(freedom, -abs(estimate) / se))
    return PairedEffect(estimate, (estimate - half, estimate + half), se, p, n, *counts)


def _error(difference: F64, mean: float) -> tuple[float, float]:
    """Standard error of the mean, the larger of that of trades and that of runs of trades."""
    n = difference.size
    off = difference - mean
    plain = math.sqrt(float((off * off).sum()) / (n - 1) / n)
    runs = np.add.reduceat(off, np.arange(0, n, _RUN))
    if runs.size < LEAST_PAIRS:
        return plain, n - 1
    grouped = math.sqrt(float((runs * runs).sum()) * runs.size / (runs.size - 1)) / n
    return (plain, n - 1) if plain >= grouped else (grouped, runs.size - 1)
