"""Everything that is said about one experiment, for its page: verdict, checks, rails and the chart.

The verdict is that of `arms`: by days, as drawn, at the planned looks. All else stands beside it:
the strict test that assumes nothing of the returns, whether the drawing was kept to, what was
really done, and whether the arms differed before anything happened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.core.candles import F64, I64

from .arms import ArmsResult, arm_days, difference, in_scope, judge_arms, live_band
from .experiments import Compliance, Draw, block_differences, compliance, imbalance, strict_evidence
from .guardrails import Rail, guardrails
from .measurement import History, MeasurementPlan, day_of


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """The difference so far at the end of each day with trades, with its always-valid band; NaN
    while there is too little."""

    day: I64
    difference_r: F64
    low: F64
    high: F64


@dataclass(frozen=True, slots=True, eq=False)
class ExperimentReport:
    """`strict`: e-values for better and for worse, 40 is a verdict. `traded`: days with trades of
    days assigned so far, (on, of, off, of). `imbalance_p` is None without R from before of the days
    of both arms. `compliance` is None where nobody recorded what was done."""

    verdict: ArmsResult
    path: Path
    strict: tuple[float, float]
    traded: tuple[int, int, int, int]
    rails: tuple[Rail, ...]
    compliance: Compliance | None
    imbalance_p: float | None


def report(
    history: History,
    plan: MeasurementPlan,
    draw: Draw,
    *,
    seed: int,
    followed: F64 | None = None,
    day_before: F64 | None = None,
) -> ExperimentReport:
    """The report on an experiment of days.

    `followed` (days of the draw,): 1 where the rule was applied that day, 0 where not, NaN unknown.
    `day_before` (days of the draw,): something known of each day before it, such as the mean R of
    the trades of the day before, NaN unknown. `seed` draws the usual drawdown.
    """
    days = arm_days(history, plan)
    mine = in_scope(history, plan)
    day, r = day_of(history.time[mine]), history.r[mine]
    on = np.isin(day, draw.day[draw.on])
    before = history.r[history.covered & (history.time < plan.implemented_at)][-plan.baseline :]
    seen = draw.day <= (days.day[-1] if days.day.size else draw.day[0] - 1)
    known = None if day_before is None else np.isfinite(day_before)
    return ExperimentReport(
        judge_arms(history, plan),
        _path(history, plan),
        strict_evidence(block_differences(day, r, draw)),
        (
            int(days.on.sum()),
            int(draw.on[seen].sum()),
            int((~days.on).sum()),
            int((~draw.on[seen]).sum()),
        ),
        guardrails(days, plan.arm_looks, r[on], before, seed=seed),
        None if followed is None else _compliance(draw, followed, day, r),
        None
        if day_before is None or known is None
        else imbalance(draw.on[known], day_before[known]),
    )


def _path(history: History, plan: MeasurementPlan) -> Path:
    days = arm_days(history, plan)
    columns = np.full((3, days.day.size), np.nan)
    for stop in range(1, days.day.size + 1):
        found = difference(days, stop)
        if found is not None:
            columns[:, stop - 1] = (found.estimate, *live_band(found))
    return Path(days.day, *columns)


def _compliance(draw: Draw, followed: F64, day: I64, r: F64) -> Compliance:
    at = np.searchsorted(draw.day, day)
    known = (at < draw.day.size) & (draw.day[np.minimum(at, draw.day.size - 1)] == day)
    at = at[known]
    count = np.bincount(at, minlength=draw.day.size).astype(np.float64)
    total = np.bincount(at, r[known], draw.day.size).astype(np.float64)
    return compliance(draw.on, followed, count, total)
