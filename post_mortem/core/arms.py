"""The two arms of an experiment: which days were on, and whether their trades did better.

The unit is the day, because trades of one day share their market: the mean R of a trade on days
that were on less that on days that were off, with a variance from sums of days (a ratio estimator,
so a day with five trades counts five times), whatever the trader did on those days (intention to
treat). A trade belongs to the day of its entry. Verdicts fall at looks planned in trades per arm,
counted over both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.special import betaln, ndtri, stdtr, stdtrit

from trading.core.candles import F64, I64

from .measurement import Assignment, Bool, History, MeasurementPlan, day_of
from .spending import boundaries, overall_p

# 15.7 = 2 (z_{.975} + z_{.80})^2: trades per arm that find one standard deviation.
_PER_ARM = 15.7
_EQUIVALENT_SD = 0.15
LEAST_PER_ARM = 20
MISMATCH = 100.0
_MISMATCH_PRIOR = 50.0
_BAND_TUNING = 200.0


@dataclass(frozen=True, slots=True, eq=False)
class ArmDays:
    """Days with trades, rising: trades, sum of R, and whether the rule was on. `left_out` trades
    lie on days that were not assigned."""

    day: I64
    on: Bool
    count: F64
    total: F64
    left_out: int


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """On less off in R a trade, with its standard error and degrees of freedom."""

    estimate: float
    se: float
    freedom: float
    n_on: int
    n_off: int

    def z(self) -> float:
        """On the scale of a standard normal."""
        if self.se <= 0:
            return 0.0
        p = max(float(2 * stdtr(self.freedom, -abs(self.estimate) / self.se)), 1e-300)
        return float(math.copysign(-ndtri(p / 2), self.estimate))

    def interval(self, p: float) -> tuple[float, float]:
        half = float(stdtrit(self.freedom, 1 - p / 2)) * self.se
        return self.estimate - half, self.estimate + half


@dataclass(frozen=True, slots=True)
class ArmsResult:
    verdict: str
    reason: str
    sentence: str
    estimate_r: float | None = None
    ci: tuple[float, float] | None = None
    se_r: float | None = None
    sd_r: float | None = None
    p: float | None = None
    more_trades_needed: int | None = None
    looks: tuple[tuple[int, float, float, float, float, bool], ...] = ()
    band: tuple[float, float] | None = None
    mismatch: float = 0.0
    warnings: tuple[str, ...] = field(default=())


def in_scope(history: History, plan: MeasurementPlan) -> Bool:
    """(N,) trades of the experiment: those covered, from the change on.

    Where "covered" evidently says that the rule was applied (no covered trade on any day that was
    off, no uncovered one of the same cells on any that was on), the off arm is the trades of those
    cells on days that were off.
    """
    late = history.time >= plan.implemented_at
    mine = history.covered & late
    if history.assignment is None:
        return np.asarray(mine, np.bool_)
    arm = arms_of(day_of(history.time), history.assignment)
    cells = np.isin(history.cell, np.unique(history.cell[mine]))
    others = cells & late & ~history.covered
    if (mine & (arm == 0)).any() or (others & (arm == 1)).any():
        return np.asarray(mine, np.bool_)
    return np.asarray(mine | (others & (arm == 0)), np.bool_)


def arms_of(day: I64, assignment: Assignment) -> I64:
    """Arm of each day: 1 on, 0 off, -1 not assigned."""
    at = np.minimum(np.searchsorted(assignment.day, day), max(0, assignment.day.size - 1))
    if not assignment.day.size:
        return np.full(day.shape, -1, np.int64)
    arm = np.where(assignment.on[at], 1, 0)
    return np.where(assignment.day[at] == day, arm, -1).astype(np.int64)


def arm_days(history: History, plan: MeasurementPlan) -> ArmDays:
    """Trades of the experiment, summed by day and matched with the day's arm."""
    assignment = history.assignment or Assignment(np.zeros(0, np.int64), np.zeros(0, np.bool_))
    mine = in_scope(history, plan)
    day, place = np.unique(day_of(history.time[mine]), return_inverse=True)
    count = np.bincount(place, minlength=day.size).astype(np.float64)
    total = np.bincount(place, history.r[mine], day.size).astype(np.float64)
    arm = arms_of(day, assignment)
    known = arm >= 0
    left_out = int(count[~known].sum())
    return ArmDays(
        day[known].astype(np.int64), arm[known] == 1, count[known], total[known], left_out
    )


def difference(days: ArmDays, stop: int | None = None) -> Difference | None:
    """Over the first `stop` days; None while an arm has fewer than two days or 20 trades."""
    on, count, total = days.on[:stop], days.count[:stop], days.total[:stop]
    parts = []
    for arm in (on, ~on):
        n, units = float(count[arm].sum()), int(arm.sum())
        if units < 2 or n < LEAST_PER_ARM:
            return None
        mean = float(total[arm].sum()) / n
        off = total[arm] - count[arm] * mean
        parts.append((mean, float((off * off).sum()) / n**2 * units / (units - 1), units - 1, n))
    (a, va, fa, na), (b, vb, fb, nb) = parts
    variance = va + vb
    freedom = variance**2 / (va**2 / fa + vb**2 / fb) if variance > 0 else 1.0
    return Difference(a - b, math.sqrt(variance), freedom, int(na), int(nb))


def mismatch(days: ArmDays, assignment: Assignment, until: int) -> float:
    """Evidence that days with trades are not split as they were assigned: an e-value (Beta(50, 50)
    mixture against the assigned share), to be read any day. `until`: the last day that counts."""
    given = assignment.on[assignment.day <= until]
    if not given.size or given.all() or not given.any():
        return 0.0
    share = float(given.mean())
    k, n = int(days.on.sum()), int(days.on.size)
    a = 2 * _MISMATCH_PRIOR * share
    b = 2 * _MISMATCH_PRIOR - a
    log = betaln(a + k, b + n - k) - betaln(a, b)
    log -= k * math.log(share) + (n - k) * math.log(1 - share)
    return float(math.exp(min(log, 700.0)))


def live_band(found: Difference, alpha: float = 0.05) -> tuple[float, float]:
    """A band for the difference that holds at all times at once (normal mixture, tuned to be
    narrowest around 200 trades); for the chart, not for the verdict."""
    n = found.n_on + found.n_off
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / _BAND_TUNING
    scale = found.se * math.sqrt(n)
    grown = n * rho2 + 1
    half = scale * math.sqrt(2 * grown / (n**2 * rho2) * math.log(math.sqrt(grown) / alpha))
    return found.estimate - half, found.estimate + half


def judge_arms(history: History, plan: MeasurementPlan) -> ArmsResult:
    """The verdict of an experiment by its last day with trades."""
    days = arm_days(history, plan)
    n_on, n_off = int(days.count[days.on].sum()), int(days.count[~days.on].sum())
    per_arm, first = (n_on + n_off) // 2, plan.arm_looks[0]
    warnings: tuple[str, ...] = ()
    if days.left_out:
        warnings = (f"{days.left_out} trades lie on days that were not assigned",)
    live = difference(days)
    if per_arm < first or live is None:
        return ArmsResult(
            "too_early",
            "few_after",
            f"Too early: {n_on} trades on and {n_off} off, {first} of each are needed.",
            more_trades_needed=max(1, first - min(per_arm, n_on, n_off)),
            warnings=warnings,
        )
    assignment = history.assignment
    evidence = 0.0 if assignment is None else mismatch(days, assignment, int(days.day[-1]))
    sd = float(history.r[in_scope(history, plan)].std(ddof=1))
    known = {
        "estimate_r": live.estimate,
        "ci": live.interval(0.05),
        "se_r": live.se,
        "sd_r": sd,
        "band": live_band(live),
        "mismatch": evidence,
        "warnings": warnings,
    }
    if evidence >= MISMATCH:
        sentence = "Not evidence: the days traded do not match the days assigned."
        return ArmsResult("not_evidence", "mismatch", sentence, **known)  # type: ignore[arg-type]
    looks, fractions = _arm_looks(days, plan)
    p = overall_p(fractions, len(looks) - 1, looks[-1][3], plan.alpha)
    known |= {"looks": looks, "p": p}
    verdict, reason, sentence, more = _arms_verdict(plan, live, looks, sd, per_arm)
    return ArmsResult(verdict, reason, sentence, more_trades_needed=more, **known)  # type: ignore[arg-type]


def _arm_looks(
    days: ArmDays, plan: MeasurementPlan
) -> tuple[tuple[tuple[int, float, float, float, float, bool], ...], tuple[float, ...]]:
    """Looks taken so far, each at the end of the first day by which both arms together had twice
    its trades: the drawing keeps them about equal, and the last days need not make them so."""
    both = np.cumsum(days.count)
    fractions = tuple(n / plan.arm_looks[-1] for n in plan.arm_looks)
    looks = []
    for n, bound in zip(plan.arm_looks, boundaries(fractions, plan.alpha), strict=True):
        at = int(np.searchsorted(both, 2 * n))
        if at >= both.size:
            break
        found = difference(days, at + 1)
        if found is None:
            looks.append((n, 0.0, math.inf, 0.0, bound, False))
            continue
        z = found.z()
        looks.append((n, found.estimate, found.se, z, bound, abs(z) >= bound))
        if looks[-1][-1]:
            break
    return tuple(looks), fractions


def _arms_verdict(
    plan: MeasurementPlan,
    live: Difference,
    looks: tuple[tuple[int, float, float, float, float, bool], ...],
    sd: float,
    per_arm: int,
) -> tuple[str, str, str, int | None]:
    n, _, _, z, _, crossed = looks[-1]
    if crossed:
        word = "helped" if z > 0 else "hurt"
        sentence = f"{word.capitalize()}: the planned boundary was crossed at {n} trades per arm."
        return word, "boundary", sentence, None
    if len(looks) == len(plan.arm_looks):
        low, high = live.interval(0.10)
        if max(abs(low), abs(high)) <= _EQUIVALENT_SD * sd:
            sentence = "No meaningful effect: whatever it is, it is small."
            return "no_meaningful_effect", "equivalent", sentence, None
        sentence = "The experiment has ended without an answer: an effect, if any, is small."
        return "unresolvable", "plan_ended", sentence, None
    drawn = live.estimate * 0.15**2 / (0.15**2 + live.se**2)
    size = max(abs(drawn) / sd if sd > 0 else 0.0, plan.mde_sd)
    more = max(1, math.ceil(_PER_ARM / size**2) - per_arm)
    sentence = f"No evidence yet: about {more} more trades per arm."
    return "no_evidence_yet", "not_crossed", sentence, more
