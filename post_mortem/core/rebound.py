"""What would have happened anyway: how results rise after a losing streak when nothing is changed.

The rule that set the advice off is looked for in trades that the advice does not cover, cell by
cell. After each such streak the same plain before/after difference is taken; their mean is the
rebound to expect without any change. It is shown beside the raw difference and tests nothing.
"""

from __future__ import annotations

import numpy as np

from trading.core.candles import F64

from .measurement import History, MeasurementPlan

# Fewer streaks than this say nothing.
LEAST_STREAKS = 3


def expected_rebound(
    history: History, plan: MeasurementPlan, n_before: int, n_after: int
) -> float | None:
    """Mean difference in R a trade after streaks of the trigger in uncovered cells, with up to
    `n_before` trades before each and `n_after` after; None without a trigger or with too few."""
    if history.trigger is None or not n_before or not n_after:
        return None
    window, level = history.trigger.window, history.trigger.mean_r
    differences: list[float] = []
    for cell in range(len(history.cells)):
        r = history.r[~history.covered & (history.cell == cell)]
        differences += _after_streaks(r, window, level, n_before, n_after)
    if len(differences) < LEAST_STREAKS:
        return None
    return float(np.mean(differences))


def _after_streaks(r: F64, window: int, level: float, n_before: int, n_after: int) -> list[float]:
    """Before/after differences at the streaks of one cell, no two within one baseline. Where a cell
    has too few trades before a streak, its mean stands for those that are missing."""
    if r.size < 2 * window:
        return []
    sums = np.append(0.0, np.cumsum(r))
    mean = (sums[window:] - sums[:-window]) / window
    ends = window + np.flatnonzero(mean <= level)
    # Advice comes at the first streak since its watch began, so the watch begins anew each time.
    chosen: list[int] = []
    for end in ends[ends <= r.size - window].tolist():
        if end >= (chosen[-1] + n_before if chosen else min(n_before, r.size // 2)):
            chosen.append(end)
    at = np.array(chosen, np.int64)
    start, stop = np.maximum(at - n_before, 0), np.minimum(at + n_after, r.size)
    missing = n_before - (at - start)
    before = (sums[at] - sums[start] + missing * r.mean()) / n_before
    return list(((sums[stop] - sums[at]) / (stop - at) - before).tolist())
