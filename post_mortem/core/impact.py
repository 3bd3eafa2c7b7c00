"""Did it work? The verdict on one piece of advice, and on many at once.

Without an experiment the effect is the change of the covered trades less the change of comparison
trades in the same time (`compared`), judged with an uncertainty that counts wandering edges
(`drift`) at the looks of the plan alone, against boundaries that spend the chance of a false
verdict over all of them (`spending`). With an experiment it is the difference of its arms
(`arms`). The first boundary that is crossed decides, and the verdict stays: what a user who looked
every day would have been shown. Only an experiment is ever called "helped" or "hurt".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import ndtri, stdtr

from trading.core.candles import F64

from .arms import ArmsResult, judge_arms
from .attribution.lift import step_up
from .compared import Contrast, Sides, contrast, drift_beliefs, sides_of
from .drift import added
from .measurement import LEAST_BASELINE, History, MeasurementPlan
from .rebound import expected_rebound
from .spending import boundaries, overall_p

VERDICTS = (
    "too_early",
    "no_evidence_yet",
    "likely_helped",
    "likely_hurt",
    "helped",
    "hurt",
    "no_meaningful_effect",
    "unresolvable",
    "not_evidence",
)
DECIDED = ("likely_helped", "likely_hurt", "helped", "hurt")
FALSE_DISCOVERIES = 0.10
# Standard deviation of true effects that is believed in before any data, in R a trade.
PRIOR_R = 0.15
# More than this times the scatter of trades alone: the history wanders too much to tell anything.
MOST_INFLATION = 2.0
_EQUIVALENT_SD = 0.15
# (z_{.975} + z_{.80})^2: an effect of its root standard errors is found four times of five.
_POWER = 7.85


@dataclass(frozen=True, slots=True)
class Look:
    """One planned look: the effect so far, its Z, the boundary, and whether it was reached."""

    n: int
    estimate_r: float
    se_r: float
    z: float
    boundary: float
    crossed: bool


@dataclass(frozen=True, slots=True)
class Impact:
    """What is known by the last trade. R a trade; None where it cannot be said.

    `verdict` is one of VERDICTS, `reason` the stable word for why, `sentence` the same for people.
    `estimate_r` and `ci` (95 %, for this n alone, not a test) use every trade there is;
    `shrunk_r` is the estimate drawn towards none; `raw_before_after_r` is what a plain comparison
    would claim, `expected_rebound_r` how much of such a claim a losing streak brings by itself.
    `inflation` is the variance over that of trades that did not wander. `p` is two-sided and counts
    all looks so far. `looks` are those that have been taken; `look` is (how many, of how many).
    """

    verdict: str
    reason: str
    sentence: str
    experiment: bool
    estimate_r: float | None = None
    ci: tuple[float, float] | None = None
    se_r: float | None = None
    shrunk_r: float | None = None
    raw_before_after_r: float | None = None
    expected_rebound_r: float | None = None
    n_before: int = 0
    n_after: int = 0
    look: tuple[int, int] = (0, 0)
    more_trades_needed: int | None = None
    inflation: float | None = None
    comparison_cells: int = 0
    p: float | None = None
    sd_r: float | None = None
    looks: tuple[Look, ...] = ()
    band: tuple[float, float] | None = None
    warnings: tuple[str, ...] = field(default=())


def judge(history: History, plan: MeasurementPlan, now: int | None = None) -> Impact:
    """The verdict by the last trade, or by `now` (ns): later trades are not read."""
    seen = history if now is None else history.until(now)
    if seen.assignment is not None:
        return _of_arms(judge_arms(seen, plan), seen, plan)
    return _observed(seen, plan)


def judge_many(
    items: Sequence[tuple[History, MeasurementPlan]], now: int | None = None
) -> tuple[Impact, ...]:
    """Verdicts on many pieces of advice of one account, in order.

    One in twenty would cross its boundary by chance: a verdict stands only where Benjamini and
    Hochberg's step-up at 0.10 over all that were tested keeps it too.
    """
    found = [judge(history, plan, now) for history, plan in items]
    tested = [i for i, impact in enumerate(found) if impact.p is not None]
    q = step_up(np.array([found[i].p for i in tested], np.float64))
    for i, chance in zip(tested, q.tolist(), strict=True):
        if found[i].verdict in DECIDED and chance > FALSE_DISCOVERIES:
            found[i] = replace(
                found[i],
                verdict="no_evidence_yet",
                reason="one_of_many",
                sentence=f"No evidence yet: among {len(tested)} pieces of advice one as good as "
                "this is to be expected by chance.",
            )
    return tuple(found)


# --- without an experiment -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    """An effect and the mixture of t distributions that says how far it could be off."""

    estimate: float
    variances: F64
    weights: F64
    freedom: float

    @property
    def se(self) -> float:
        return math.sqrt(float(self.weights @ self.variances))

    def p(self, size: float) -> float:
        """Two-sided chance to be off by `size` or more."""
        return float(2 * self.weights @ stdtr(self.freedom, -size / np.sqrt(self.variances)))

    def z(self) -> float:
        """The estimate on the scale of a standard normal."""
        p = max(self.p(abs(self.estimate)), 1e-300)
        return float(math.copysign(-ndtri(p / 2), self.estimate))

    def half_width(self, p: float) -> float:
        """How far off it is with chance `p`, by bisection."""
        low, high = 0.0, 50 * math.sqrt(float(self.variances.max()))
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if self.p(middle) > p else (low, middle)
        return high


def _spread(found: Contrast, sides: Sides, weights: F64) -> _Spread:
    variance = float(sides.before.var(ddof=1))
    wander = added(sides.before.size, found.n) * variance * found.apart
    return _Spread(found.estimate, found.noise + wander, weights, found.freedom)


def _observed(history: History, plan: MeasurementPlan) -> Impact:
    sides = sides_of(history, plan)
    n_before, n = int(sides.before.size), int(sides.after.size)
    known = Impact(
        "too_early", "", "", False, n_before=n_before, n_after=n, look=(0, len(plan.looks))
    )
    if n_before and n:
        known = replace(
            known,
            raw_before_after_r=float(sides.after.mean() - sides.before.mean()),
            expected_rebound_r=expected_rebound(history, plan, n_before, n),
        )
    if n_before < LEAST_BASELINE:
        return replace(
            known,
            reason="short_baseline",
            sentence=f"Too early: {n_before} of {LEAST_BASELINE} trades from before the change.",
        )
    sd = float(sides.before.std(ddof=1))
    if sd <= 0:
        return replace(
            known,
            verdict="not_evidence",
            reason="constant",
            sentence="Not evidence: every trade before the change has the same result.",
        )
    known = replace(known, sd_r=sd)
    first = plan.looks[0]
    if n < 2:
        return _too_early(known, n, first)
    weights = drift_beliefs(sides)
    found = contrast(sides, n)
    if not found.cells:
        known = known if n >= first else _too_early(known, n, first)
        return (
            known
            if n < first
            else replace(
                known,
                verdict="not_evidence",
                reason="no_comparison",
                sentence="Not evidence: too few trades are not covered by the advice, so a "
                "market that turned would look the same.",
            )
        )
    return _tested(known, sides, plan, weights, found)


def _too_early(known: Impact, n: int, first: int) -> Impact:
    return replace(
        known,
        verdict="too_early",
        reason="few_after",
        sentence=f"Too early: {n} of {first} trades.",
        more_trades_needed=first - n,
    )


def _tested(
    known: Impact, sides: Sides, plan: MeasurementPlan, weights: F64, found: Contrast
) -> Impact:
    live = _spread(found, sides, weights)
    inflation = live.se**2 / found.noise
    half = live.half_width(0.05)
    known = replace(
        known,
        estimate_r=live.estimate,
        ci=(live.estimate - half, live.estimate + half),
        se_r=live.se,
        shrunk_r=shrunk(live.estimate, live.se),
        inflation=inflation,
        comparison_cells=found.cells,
    )
    if found.n < plan.looks[0]:
        return _too_early(known, found.n, plan.looks[0])
    if inflation > MOST_INFLATION:
        return replace(
            known,
            verdict="not_evidence",
            reason="drift",
            sentence="Not evidence: results of these trades wander too much by themselves. "
            "An experiment could tell.",
        )
    fractions = fractions_of(sides.before.size, plan.looks)
    looks = _looks(sides, plan, weights, fractions)
    last = len(looks) - 1
    p = overall_p(fractions, last, looks[last].z, plan.alpha)
    known = replace(known, looks=looks, look=(len(looks), len(plan.looks)), p=p)
    if looks[last].crossed:
        better = looks[last].z > 0
        return replace(
            known,
            verdict="likely_helped" if better else "likely_hurt",
            reason="boundary",
            sentence=f"Likely {'helped' if better else 'hurt'}: the planned boundary was crossed "
            f"after {looks[last].n} trades.",
        )
    return _undecided(known, plan, live, found, sides)


def fractions_of(before: int, looks: tuple[int, ...]) -> tuple[float, ...]:
    """Information at each look over that at the last, for a baseline of `before` trades (rounded
    to tens, which moves no boundary by more than 0.01)."""
    whole = 10 * round(before / 10)
    information = [1 / (1 / n + 1 / whole) for n in looks]
    return tuple(each / information[-1] for each in information)


def _looks(
    sides: Sides, plan: MeasurementPlan, weights: F64, fractions: tuple[float, ...]
) -> tuple[Look, ...]:
    """The looks taken so far, up to the first that crosses."""
    bounds = boundaries(fractions, plan.alpha)
    looks: list[Look] = []
    for n, bound in zip(plan.looks, bounds, strict=True):
        if n > sides.after.size:
            break
        found = contrast(sides, n)
        if not found.cells:
            looks.append(Look(n, found.raw, math.inf, 0.0, bound, False))
            continue
        spread = _spread(found, sides, weights)
        z = spread.z()
        looks.append(Look(n, spread.estimate, spread.se, z, bound, abs(z) >= bound))
        if looks[-1].crossed:
            break
    return tuple(looks)


def _undecided(
    known: Impact, plan: MeasurementPlan, live: _Spread, found: Contrast, sides: Sides
) -> Impact:
    sd = known.sd_r or 1.0
    narrow = live.half_width(0.10)
    finished = len(known.looks) == len(plan.looks)
    if finished and abs(live.estimate) + narrow <= _EQUIVALENT_SD * sd:
        return replace(
            known,
            verdict="no_meaningful_effect",
            reason="equivalent",
            sentence="No meaningful effect: whatever it is, it is small.",
        )
    size = max(abs(known.shrunk_r or 0.0) / sd, plan.mde_sd)
    needed = trades_needed(size, sides.before.size, found.noise, live.se**2, sd, found.n)
    if needed is None or finished:
        return replace(
            known,
            verdict="unresolvable",
            reason="plan_ended" if finished else "short_history",
            sentence="It cannot be resolved from this history: start an experiment.",
        )
    more = max(1, needed - found.n)
    return replace(
        known,
        verdict="no_evidence_yet",
        reason="not_crossed",
        sentence=f"No evidence yet: about {more} more trades.",
        more_trades_needed=more,
    )


def trades_needed(
    size: float, before: int, noise: float, variance: float, sd: float, n: int
) -> int | None:
    """Covered trades after the change that find an effect of `size` standard deviations four times
    of five; None where the baseline alone makes it impossible."""
    factor = variance / (sd * sd * (1 / n + 1 / before))
    room = size * size / (_POWER * factor) - 1 / before
    return None if room <= 0 else math.ceil(1 / room)


def shrunk(estimate: float, se: float) -> float:
    """The estimate drawn towards none by how unsure it is: one stopped early is overstated."""
    return estimate * PRIOR_R**2 / (PRIOR_R**2 + se**2)


# --- with an experiment --------------------------------------------------------------------------


def _of_arms(found: ArmsResult, history: History, plan: MeasurementPlan) -> Impact:
    sides = sides_of(history, plan)
    known = Impact(
        found.verdict,
        found.reason,
        found.sentence,
        True,
        n_before=int(sides.before.size),
        n_after=int(sides.after.size),
        look=(len(found.looks), len(plan.arm_looks)),
        more_trades_needed=found.more_trades_needed,
        p=found.p,
        sd_r=found.sd_r,
        band=found.band,
        warnings=found.warnings,
        looks=tuple(Look(*each) for each in found.looks),
    )
    if sides.before.size and sides.after.size:
        known = replace(
            known,
            raw_before_after_r=float(sides.after.mean() - sides.before.mean()),
            expected_rebound_r=expected_rebound(
                history, plan, int(sides.before.size), int(sides.after.size)
            ),
        )
    if found.estimate_r is None or found.se_r is None:
        return known
    return replace(
        known,
        estimate_r=found.estimate_r,
        ci=found.ci,
        se_r=found.se_r,
        shrunk_r=shrunk(found.estimate_r, found.se_r),
        inflation=1.0,
    )
