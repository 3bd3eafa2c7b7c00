"""What is usually done instead: before against after, by Welch's test, once or every day."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from scipy.special import stdtr

from post_mortem.core.measurement import History, MeasurementPlan, day_of

ALPHA = 0.05


def welch(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """(mean of b less a, two-sided p)."""
    va, vb = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    if va + vb == 0:
        return 0.0, 1.0
    freedom = (va + vb) ** 2 / (va**2 / (a.size - 1) + vb**2 / (b.size - 1))
    difference = float(b.mean() - a.mean())
    return difference, float(2 * stdtr(freedom, -abs(difference) / np.sqrt(va + vb)))


def sides(history: History, plan: MeasurementPlan) -> tuple[np.ndarray, np.ndarray]:
    mine = history.covered
    late = history.time >= plan.implemented_at
    return history.r[mine & ~late], history.r[mine & late]


def before_after(history: History, plan: MeasurementPlan, n: int) -> int:
    """-1, 0 or 1: the last n against the next n, tested once."""
    before, after = sides(history, plan)
    n = min(n, before.size, after.size)
    difference, p = welch(before[-n:], after[:n])
    return int(np.sign(difference)) * (p < ALPHA)


def before_after_daily(history: History, plan: MeasurementPlan, n: int) -> int:
    """The same looked at after every second trade from the tenth on, stopping at p < .05."""
    before, after = sides(history, plan)
    for k in range(10, min(n, before.size, after.size) + 1, 2):
        difference, p = welch(before[-k:], after[:k])
        if p < ALPHA:
            return int(np.sign(difference))
    return 0


def arms_daily(history: History, plan: MeasurementPlan) -> int:
    """An experiment tested by Welch's test every day, stopping at p < .05."""
    day, r, on = arms(history, plan)
    for end in np.flatnonzero(np.append(np.diff(day) != 0, True)) + 1:
        a, b = r[:end][~on[:end]], r[:end][on[:end]]
        if min(a.size, b.size) < 5:
            continue
        difference, p = welch(a, b)
        if p < ALPHA:
            return int(np.sign(difference))
    return 0


def arms(history: History, plan: MeasurementPlan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(day, R, on) of the covered trades of an experiment."""
    assert history.assignment is not None
    mine = history.covered & (history.time >= plan.implemented_at)
    day, r = day_of(history.time[mine]), history.r[mine]
    on = np.isin(day, history.assignment.day[history.assignment.on])
    return day, r, on


def sequential() -> Any:
    """GrowthBook's sequential test where it is installed (gbstats 0.8.0), else None."""
    try:
        tests = importlib.import_module("gbstats.frequentist.tests")
        statistics = importlib.import_module("gbstats.models.statistics")
    except ImportError:
        return None

    def run(history: History, plan: MeasurementPlan, tuning: float) -> int:
        day, r, on = arms(history, plan)
        config = tests.SequentialConfig(
            difference_type="absolute", sequential_tuning_parameter=tuning
        )
        for end in np.flatnonzero(np.append(np.diff(day) != 0, True)) + 1:
            a, b = (
                statistics.SampleMeanStatistic(
                    n=part.size, sum=float(part.sum()), sum_squares=float(part @ part)
                )
                for part in (r[:end][~on[:end]], r[:end][on[:end]])
            )
            if min(a.n, b.n) < 10:
                continue
            low, high = tests.SequentialTwoSidedTTest(a, b, config).confidence_interval
            if low > 0 or high < 0:
                return 1 if low > 0 else -1
        return 0

    return run
