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
from .compared import Contrasts, Sides, contrasts, sides_of
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
MOST_INFLATION = 3.0
_EQUIVALENT_SD = 0.15
# (z_{.975} + z_{.80})^2: an effect of its root standard errors is found four times of five.
_POWER = 7.85
_MOST_STEPS = 30


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
    would claim (`raw_p` by Welch's test: told, not used), `expected_rebound_r` how much of such a
    claim a losing streak brings by itself.
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
    raw_p: float | None = None
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
    """One contrast as a mixture of t distributions: how far off the estimate could be."""

    estimate: float
    noise: float
    variances: F64
    weights: F64
    freedom: float

    @property
    def se(self) -> float:
        return math.sqrt(float(self.weights @ self.variances))

    @property
    def inflation(self) -> float:
        return self.se**2 / self.noise

    def p(self, size: float) -> float:
        """Two-sided chance to be off by `size` or more."""
        return float(2 * self.weights @ stdtr(self.freedom, -size / np.sqrt(self.variances)))

    def half_width(self, p: float) -> float:
        """How far off it is with chance `p`: the secant rule on the logarithm of the chance."""
        x, step = 2.0 * self.se, 0.1 * self.se
        last = math.log(self.p(x) / p)
        x += step
        for _ in range(_MOST_STEPS):
            now = math.log(self.p(x) / p)
            if abs(now) < 1e-9 or now == last:
                break
            step *= now / (last - now)
            x, last = x + step, now
        return x


def _spread(found: Contrasts, k: int) -> _Spread:
    noise = float(found.noise[k])
    return _Spread(
        float(found.estimate[k]),
        noise,
        noise + found.wander[k],
        found.belief[k],
        float(found.freedom[k]),
    )


def _z(found: Contrasts) -> F64:
    """(K,) estimates on the scale of a standard normal; 0 without comparison."""
    away = np.abs(found.estimate)[:, None] / np.sqrt(found.noise[:, None] + found.wander)
    p = 2 * (found.belief * stdtr(found.freedom[:, None], -away)).sum(axis=1)
    z = np.copysign(-ndtri(np.maximum(p, 1e-300) / 2), found.estimate)
    return np.asarray(np.where(found.cells > 0, z, 0.0), np.float64)


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
            raw_p=_welch(sides.before, sides.after),
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
    found = contrasts(sides, np.array([each for each in plan.looks if each < n] + [n], np.int64))
    if found.cells[-1]:
        known = _with_estimate(known, found)
    if n < first:
        return _too_early(known, n, first)
    return _tested(known, sides, plan, found)


def _with_estimate(known: Impact, found: Contrasts) -> Impact:
    live = _spread(found, -1)
    half = live.half_width(0.05)
    return replace(
        known,
        estimate_r=live.estimate,
        ci=(live.estimate - half, live.estimate + half),
        se_r=live.se,
        shrunk_r=shrunk(live.estimate, live.se),
        inflation=live.inflation,
        comparison_cells=int(found.cells[-1]),
    )


def _too_early(known: Impact, n: int, first: int) -> Impact:
    return replace(
        known,
        verdict="too_early",
        reason="few_after",
        sentence=f"Too early: {n} of {first} trades.",
        more_trades_needed=first - n,
    )


def _tested(known: Impact, sides: Sides, plan: MeasurementPlan, found: Contrasts) -> Impact:
    fractions = fractions_of(sides.before.size, plan.looks)
    looks = _looks(plan, found, fractions)
    last = looks[-1]
    known = replace(known, looks=looks, look=(len(looks), len(plan.looks)))
    if last.crossed:
        better = last.z > 0
        return replace(
            known,
            verdict="likely_helped" if better else "likely_hurt",
            reason="boundary",
            sentence=f"Likely {'helped' if better else 'hurt'}: the planned boundary was crossed "
            f"after {last.n} trades.",
            p=overall_p(fractions, len(looks) - 1, last.z, plan.alpha),
        )
    if known.inflation is None:
        return replace(
            known,
            verdict="not_evidence",
            reason="no_comparison",
            sentence="Not evidence: too few trades are not covered by the advice, so a "
            "market that turned would look the same.",
        )
    if known.inflation > MOST_INFLATION:
        return replace(
            known,
            verdict="not_evidence",
            reason="drift",
            sentence="Not evidence: results of these trades wander too much by themselves. "
            "An experiment could tell.",
        )
    known = replace(known, p=overall_p(fractions, len(looks) - 1, last.z, plan.alpha))
    return _undecided(known, plan, _spread(found, -1), sides)


def fractions_of(before: int, looks: tuple[int, ...]) -> tuple[float, ...]:
    """Information at each look over that at the last, for a baseline of `before` trades (rounded
    to tens, which moves no boundary by more than 0.01)."""
    whole = 10 * round(before / 10)
    information = [1 / (1 / n + 1 / whole) for n in looks]
    return tuple(each / information[-1] for each in information)


def _looks(
    plan: MeasurementPlan, found: Contrasts, fractions: tuple[float, ...]
) -> tuple[Look, ...]:
    """The looks taken so far, up to the first that crosses."""
    looks: list[Look] = []
    every = _z(found).tolist()
    for k, (n, bound) in enumerate(zip(plan.looks, boundaries(fractions, plan.alpha), strict=True)):
        if n > found.n[-1]:
            break
        spread, z = _spread(found, k), every[k]
        trusted = found.cells[k] > 0 and spread.inflation <= MOST_INFLATION
        crossed = bool(trusted and abs(z) >= bound)
        looks.append(Look(n, spread.estimate, spread.se, z, bound, crossed))
        if crossed:
            break
    return tuple(looks)


def _undecided(known: Impact, plan: MeasurementPlan, live: _Spread, sides: Sides) -> Impact:
    sd, n = known.sd_r or 1.0, known.n_after
    finished = len(known.looks) == len(plan.looks)
    if finished and abs(live.estimate) + live.half_width(0.10) <= _EQUIVALENT_SD * sd:
        return replace(
            known,
            verdict="no_meaningful_effect",
            reason="equivalent",
            sentence="No meaningful effect: whatever it is, it is small.",
        )
    size = max(abs(known.shrunk_r or 0.0) / sd, plan.mde_sd)
    needed = trades_needed(size, sides.before.size, live.se**2, sd, n)
    if needed is None or finished:
        return replace(
            known,
            verdict="unresolvable",
            reason="plan_ended" if finished else "short_history",
            sentence="It cannot be resolved from this history: start an experiment.",
        )
    more = max(1, needed - n)
    return replace(
        known,
        verdict="no_evidence_yet",
        reason="not_crossed",
        sentence=f"No evidence yet: about {more} more trades.",
        more_trades_needed=more,
    )


def _welch(before: F64, after: F64) -> float | None:
    """Two-sided p of a plain comparison; None with fewer than two trades or no scatter."""
    if min(before.size, after.size) < 2:
        return None
    parts = [float(side.var(ddof=1)) / side.size for side in (before, after)]
    error2 = sum(parts)
    if error2 <= 0:
        return None
    freedom = error2**2 / (parts[0] ** 2 / (before.size - 1) + parts[1] ** 2 / (after.size - 1))
    return float(2 * stdtr(freedom, -abs(after.mean() - before.mean()) / math.sqrt(error2)))


def trades_needed(size: float, before: int, variance: float, sd: float, n: int) -> int | None:
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
            raw_p=_welch(sides.before, sides.after),
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
