"""Which advice first: what it is expected to bring, how surely, how likely it is done, how hard.

score = expected R a month x chance that the effect is above 0 x chance that it is implemented /
(hours of effort + 1). Effects are believed by type: the mean of a type's verified effects, drawn
towards that of all types by how many there are. The writer's own claim counts as a covariate with a
slope of 0.3 (a claim is worth three tenths of itself) until ten verdicts let the slope be fitted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from trading.core.candles import F64

from .roi import pooled_effect

CLAIM_SLOPE = 0.3
LEAST_VERDICTS = 10
# Before any verdict: effects around none with this standard deviation, in R a trade.
PRIOR_R = 0.15
# A slope is believed around 0.3 with this standard deviation before it is fitted.
_SLOPE_PRIOR = 0.15
# Implemented so far counts against one in two, four times.
_IMPLEMENTED_PRIOR = (2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Verified:
    """One verdict: type of advice, writer, effect in R a trade with its standard error, and what
    its writer had claimed, None for nothing."""

    kind: str
    writer: str
    effect_r: float
    se_r: float
    claimed_r: float | None = None


@dataclass(frozen=True, slots=True)
class TypeBelief:
    """The true effect of a new piece of advice of a type, without its claim: normal."""

    mean_r: float
    sd_r: float
    n: int


@dataclass(frozen=True, slots=True)
class Learned:
    """What verdicts taught: beliefs by type, that of a type without any, the slope of claims and
    the mean claim it is taken around, and how many verdicts stand behind it."""

    types: Mapping[str, TypeBelief]
    other: TypeBelief
    slope: float
    n: int

    def of(self, kind: str) -> TypeBelief:
        return self.types.get(kind, self.other)


@dataclass(frozen=True, slots=True)
class Priority:
    """`score` and its factors. `confidence` is the chance of an effect above 0, 0-100."""

    score: float
    r_a_month: float
    chance: float
    implemented: float
    effort_hours: float
    confidence: int


def learn(verdicts: Sequence[Verified]) -> Learned:
    """Beliefs from verified effects; order plays no part."""
    ordered = sorted(verdicts, key=lambda v: (v.kind, v.writer, v.effect_r, v.se_r))
    slope = _slope(ordered)
    rest = [(v.effect_r - slope * (v.claimed_r or 0.0), v.se_r, v.kind) for v in ordered]
    overall = _believed([(y, s) for y, s, _ in rest], TypeBelief(0.0, PRIOR_R, 0), 0.0)
    kinds = sorted({kind for _, _, kind in rest})
    types = {
        kind: _believed([(y, s) for y, s, k in rest if k == kind], overall, overall.mean_r)
        for kind in kinds
    }
    return Learned(types, TypeBelief(overall.mean_r, overall.sd_r, 0), slope, len(ordered))


def _believed(effects: list[tuple[float, float]], before: TypeBelief, centre: float) -> TypeBelief:
    """The mean of a type drawn towards `centre`, and the spread of a new piece around it."""
    pooled = pooled_effect(effects)
    if pooled is None:
        return before
    error2 = ((pooled.interval[1] - pooled.interval[0]) / (2 * 1.959964)) ** 2
    # With few verdicts the spread between pieces is mostly the prior's.
    tau2 = (4 * PRIOR_R**2 + pooled.n * pooled.tau**2) / (4 + pooled.n)
    prior2 = PRIOR_R**2
    weight = prior2 / (prior2 + error2)
    mean = centre + weight * (pooled.mean_r - centre)
    left = prior2 * error2 / (prior2 + error2)
    return TypeBelief(mean, math.sqrt(tau2 + left), pooled.n)


def _slope(verdicts: Sequence[Verified]) -> float:
    """Effect per claimed R, by least squares drawn towards 0.3; 0.3 below ten claims."""
    claimed = [v for v in verdicts if v.claimed_r is not None]
    if len(claimed) < LEAST_VERDICTS:
        return CLAIM_SLOPE
    x = np.array([v.claimed_r for v in claimed], np.float64)
    y = np.array([v.effect_r for v in claimed], np.float64)
    w = 1 / (np.array([v.se_r for v in claimed], np.float64) ** 2 + PRIOR_R**2)
    x, y = x - _mean(x, w), y - _mean(y, w)
    information = float((w * x * x).sum()) + 1 / _SLOPE_PRIOR**2
    return (float((w * x * y).sum()) + CLAIM_SLOPE / _SLOPE_PRIOR**2) / information


def _mean(values: F64, weights: F64) -> float:
    return float((values * weights).sum() / weights.sum())


def prioritise(
    learned: Learned,
    kind: str,
    *,
    trades_a_month: float,
    claimed_r: float | None = None,
    implemented: tuple[int, int] = (0, 0),
    effort_hours: float = 0.0,
) -> Priority:
    """Score one piece of advice. `implemented`: (done, decided) pieces of this type and user."""
    belief = learned.of(kind)
    mean = belief.mean_r + learned.slope * (claimed_r or 0.0)
    chance = float(ndtr(mean / belief.sd_r))
    gain = mean * trades_a_month
    return weigh(gain, chance, implemented=implemented, effort_hours=effort_hours)


def weigh(
    gain: float, chance: float, *, implemented: tuple[int, int] = (0, 0), effort_hours: float = 0.0
) -> Priority:
    """Score advice that is expected to bring `gain` R a month, above 0 with `chance` (0-1)."""
    done, decided = implemented
    likely = (done + _IMPLEMENTED_PRIOR[0]) / (decided + _IMPLEMENTED_PRIOR[1])
    # Of what is expected to cost, neither unlikelihood nor effort makes it better.
    score = gain * chance * likely / (effort_hours + 1) if gain > 0 else gain
    return Priority(score, gain, chance, likely, effort_hours, math.floor(100 * chance))


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """A writer's claims against verdicts: R verified per R claimed, None below ten."""

    n: int
    claimed_r: float
    verified_r: float
    ratio: float | None


def claim_calibration(verdicts: Sequence[Verified]) -> dict[str, ClaimRecord]:
    """By writer, over verdicts that had a claim."""
    found: dict[str, ClaimRecord] = {}
    for writer in sorted({v.writer for v in verdicts}):
        mine = [v for v in verdicts if v.writer == writer and v.claimed_r is not None]
        if not mine:
            continue
        claimed = math.fsum(v.claimed_r or 0.0 for v in mine) / len(mine)
        verified = math.fsum(v.effect_r for v in mine) / len(mine)
        known = len(mine) >= LEAST_VERDICTS and claimed != 0
        found[writer] = ClaimRecord(
            len(mine), claimed, verified, verified / claimed if known else None
        )
    return found
