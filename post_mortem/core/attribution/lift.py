"""Cohort lift: how often trades of a cell won, against how often all did.

Cells are the features' own, fixed in advance. For each with enough trades: Wilson's interval of
its win rate, the mean R with a t interval, and how surprising the difference to the other trades
is: the larger of an exact hypergeometric test, and one that takes stretches of time as the unit,
because trades of one day share their market. Benjamini and Hochberg's step-up over all cells tried
decides which differences are called real; nothing shows the probabilities themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, ndtr, stdtrit

from trading.core.candles import F64, I64

from .matrix import UNKNOWN, FeatureMatrix

LEAST_OF_CELL = 10
FALSE_DISCOVERIES = 0.10
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Lift:
    """One cell: `won` of `n`, rates and differences in 0-1, R per trade over `n_r` trades that
    know it. `real`: survives the correction for all cells tried."""

    feature: str
    cell: int
    words: str
    n: int
    won: int
    rate: float
    low: float
    high: float
    lift: float
    n_r: int
    mean_r: float | None
    r_low: float | None
    r_high: float | None
    q: float
    real: bool


def lifts(matrix: FeatureMatrix, won: F64, r: F64, entry: I64, *, stretch: int) -> tuple[Lift, ...]:
    """Every cell with at least LEAST_OF_CELL trades inside and outside. `r` may hold NaN."""
    n = won.size
    _, of_stretch = np.unique(entry // stretch, return_inverse=True)
    found: list[tuple[str, int, str, Cell]] = []
    for column in matrix.columns:
        cells = column.cells()
        words = column.cell_words()
        for cell in np.unique(cells[cells != UNKNOWN]).tolist():
            inside = cells == cell
            size = int(inside.sum())
            if LEAST_OF_CELL <= size <= n - LEAST_OF_CELL:
                name = column.feature.name
                found.append((name, cell, words[cell], _cell(inside, won, r, of_stretch)))
    q = step_up(np.array([cell.p for *_, cell in found]))
    base = float(won.mean()) if n else 0.0
    return tuple(
        _lift(name, number, words, cell, base, float(value))
        for (name, number, words, cell), value in zip(found, q, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Cell:
    n: int
    won: int
    r: F64
    p: float


def _cell(inside: NDArray[np.bool_], won: F64, r: F64, of_stretch: I64) -> Cell:
    results = r[inside & np.isfinite(r)]
    k, wins = int(inside.sum()), int(won[inside].sum())
    exact = _exact_surprise(won.size, int(won.sum()), k, wins)
    clustered = _clustered_surprise(inside, won, of_stretch)
    return Cell(k, wins, results, max(exact, clustered))


def _exact_surprise(n: int, all_won: int, k: int, wins: int) -> float:
    """Two-sided: twice the smaller tail of drawing so many winners among k of n."""
    drawn = np.arange(max(0, k - (n - all_won)), min(k, all_won) + 1)
    logs = _log_choices(all_won, drawn) + _log_choices(n - all_won, k - drawn)
    chance = np.exp(logs - logs.max())
    low, high = chance[drawn <= wins].sum(), chance[drawn >= wins].sum()
    return min(1.0, float(2 * min(low, high) / chance.sum()))


def _log_choices(n: int, k: I64) -> F64:
    """Logarithm of the number of ways to choose k of n."""
    result: F64 = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return result


def _clustered_surprise(inside: NDArray[np.bool_], won: F64, of_stretch: I64) -> float:
    """Two-sided normal test of the difference inside against outside, by sums over stretches."""
    k, n = int(inside.sum()), won.size
    a, b = won[inside].mean(), won[~inside].mean()
    weight = np.where(inside, (won - a) / k, -(won - b) / (n - k))
    sums = np.bincount(of_stretch, weight)
    count = int(np.count_nonzero(np.bincount(of_stretch)))
    if count < 2:
        return 1.0
    error = float(np.sqrt((sums * sums).sum() * count / (count - 1)))
    if error <= 0:
        return 1.0
    return float(2 * ndtr(-abs(a - b) / error))


def step_up(p: F64) -> F64:
    """Benjamini and Hochberg's adjusted probabilities, in the given order."""
    n = p.size
    order = np.argsort(p, kind="stable")
    scaled = p[order] * n / np.arange(1, n + 1)
    result = np.empty(n)
    result[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return result


def wilson(won: int, n: int) -> tuple[float, float]:
    """95 % interval of a share, also right near 0 and 1 (Wilson 1927)."""
    share, z2 = won / n, _Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _lift(name: str, number: int, words: str, cell: Cell, base: float, q: float) -> Lift:
    rate = cell.won / cell.n
    low, high = wilson(cell.won, cell.n)
    mean, r_low, r_high = mean_with_interval(cell.r)
    return Lift(
        name, number, words, cell.n, cell.won, rate, low, high, rate - base,
        int(cell.r.size), mean, r_low, r_high, q, q <= FALSE_DISCOVERIES,
    )  # fmt: skip


def mean_with_interval(r: F64) -> tuple[float | None, float | None, float | None]:
    """Mean and its 95 % t interval; None without enough results."""
    if not r.size:
        return None, None, None
    mean = float(r.mean())
    if r.size < 2:
        return mean, None, None
    half = float(stdtrit(r.size - 1, 0.975)) * float(r.std(ddof=1)) / float(np.sqrt(r.size))
    return mean, mean - half, mean + half
