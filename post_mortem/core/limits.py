"""Where a verdict on a cause would turn: limits solved from stored numbers and the causes' own
constants.

A cause fires from the strength at which its posterior reaches `FIRE_FROM`. Most strengths are
products of ramps, so with all else as it was the factor of one number may fall (or must rise) by
least strength / strength; the limit is the number at which its ramp has that value. Where the
stored posterior, with what it leaves to the others, does not follow from the stored strength
(another calibration judged it), only the foot of the ramp is certain. Counts of wins are tried one
by one. None: no such limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .calibration import FIRE_FROM
from .calibration_table import DEFAULT
from .causes import false_positive, model_error, spread_slippage, user_psychology
from .evidence import CauseNumbers
from .measures import JUMP_R, JUMP_Z, MOVE_R, MOVE_Z, ramp
from .pools import beta_below, wilson
from .surroundings import IMPACT_WEIGHT, NO_SURPRISE_WEIGHT
from .types import CAUSES, Status

# Strength and posterior are stored in steps of a ten-thousandth.
_HALF_STEP = 5e-5
_SAME_POSTERIOR = 2e-3
_SAME_STRENGTH = 2e-4

Limit = Callable[[CauseNumbers], float | None]


def least_strength(cause: str) -> float:
    """The strength from which a cause fires; above 1 where none suffices."""
    curve = DEFAULT.curves[cause]
    need = math.log(FIRE_FROM / (1 - FIRE_FROM)) - curve.intercept
    if curve.slope <= 0:
        return 0.0 if need <= 0 else math.inf
    return max(need / curve.slope, 0.0)


def _calibrated(numbers: CauseNumbers) -> bool:
    """Whether the stored posteriors allow that this cause alone had the posterior it has now. A
    cause beside one that is certain is rounded to nothing, and allows anything."""
    now = float(DEFAULT.posterior(numbers.cause, np.array(numbers.strength)))
    left, dirt = 1 - numbers.others, (len(CAUSES) - 1) * _HALF_STEP
    least = (numbers.posterior - _HALF_STEP) / (left + dirt)
    most = (numbers.posterior + _HALF_STEP) / max(left - dirt, _HALF_STEP)
    return least - _SAME_POSTERIOR <= now <= most + _SAME_POSTERIOR


def _on(value: float, ends: tuple[float, float]) -> float:
    return float(ramp(np.array(value), *ends))


def turning(key: str, ends: tuple[float, float]) -> Limit:
    """The value of a fact at which the cause begins to fire, all else as it was."""

    def limit(numbers: CauseNumbers) -> float | None:
        value = numbers.facts.get(key)
        if value is None or numbers.strength <= 0 or not _on(value, ends):
            return None
        low, high = ends
        if not _calibrated(numbers):
            return low
        need = _on(value, ends) * least_strength(numbers.cause) / numbers.strength
        return low + need * (high - low) if need <= 1 else None

    return limit


def release_turning(numbers: CauseNumbers) -> float | None:
    """z at which a move near a release begins to fire. Among unanswered releases it fired as a jump
    by itself: then the least z that a release could have backed, or if it did not fire, the z of
    such a jump."""
    backed = turning("jump_z", MOVE_Z)
    facts = numbers.facts
    z, size = facts.get("jump_z"), facts.get("jump_r")
    if z is None or size is None or not facts.get("n_news_no_reaction") or not _calibrated(numbers):
        return backed(numbers)
    surprise = facts.get("surprise_z")
    weight = float(IMPACT_WEIGHT[int(facts.get("impact", 0))])
    weight *= NO_SURPRISE_WEIGHT if surprise is not None and abs(surprise) <= 1 else 1.0
    if numbers.strength > weight * _on(z, JUMP_Z) * _on(size, JUMP_R) + _SAME_STRENGTH:
        return backed(numbers)
    if numbers.status != Status.FIRED:
        return turning("jump_z", JUMP_Z)(numbers)
    strength = weight * _on(z, MOVE_Z) * _on(size, MOVE_R)
    posterior = float(DEFAULT.posterior(numbers.cause, np.array(strength)))
    return backed(replace(numbers, strength=strength, posterior=posterior, others=0.0))


def fixed(value: float) -> Limit:
    """A constant of the cause."""
    return lambda numbers: value


# --- costs ----------------------------------------------------------------------------------------


def _cost_share(numbers: CauseNumbers) -> float | None:
    """Share of the loss at which costs alone fire, without a jump to discount them."""
    need = least_strength(numbers.cause) / spread_slippage.COST_ALONE
    low, high = spread_slippage.COST_SHARE
    return low + need * (high - low) if need <= 1 else None


def cost_alone(numbers: CauseNumbers) -> float | None:
    """Costs (R) under which they do not fire for this result, whatever they did to it."""
    share, result = _cost_share(numbers), numbers.facts.get("actual_r")
    return None if share is None or not result else share * abs(result)


def cost_turning(numbers: CauseNumbers) -> float | None:
    """Costs (R) at which their share of this result begins to fire."""
    cost, result = numbers.facts.get("cost_r"), numbers.facts.get("actual_r")
    if cost is None or not result:
        return None
    shared = replace(numbers, facts={"share": cost / abs(result)})
    share = turning("share", spread_slippage.COST_SHARE)(shared)
    return None if share is None else share * abs(result)


def cost_foot(numbers: CauseNumbers) -> float | None:
    """Costs (R) that are no evidence at all beside this result."""
    result = numbers.facts.get("actual_r")
    return None if not result else spread_slippage.COST_SHARE[0] * abs(result)


# --- counts of earlier wins -----------------------------------------------------------------------

Strengths = Callable[[CauseNumbers, np.ndarray, int], np.ndarray]


def scored_strength(numbers: CauseNumbers, wins: np.ndarray, n: int) -> np.ndarray:
    """Over-confidence had so many of the comparable trades won."""
    claimed = numbers.facts["claimed_p"]
    high = wilson(wins, np.full(wins.shape, n))[1]
    beyond = ramp(claimed - high, *model_error.GAP_BEYOND_BOUND)
    return beyond * ramp(claimed - wins / n, *model_error.GAP)


def setup_strength(numbers: CauseNumbers, wins: np.ndarray, n: int) -> np.ndarray:
    """Of a setup that loses, had so many of its earlier trades won."""
    even = 1 - numbers.facts["breakeven_fail"]
    prior = false_positive.PRIOR_WINS
    total = prior / min(even + false_positive.PRIOR_ABOVE, 0.95)
    below = beta_below(
        np.full(wins.shape, max(even - false_positive.UNDER_BREAK_EVEN, 0.0)),
        prior + wins,
        total - prior + n - wins,
    )
    return ramp(below, *false_positive.SURE)


def _won(numbers: CauseNumbers) -> tuple[int, int] | None:
    facts = numbers.facts
    n = round(facts.get("n_bin", facts.get("n", 0.0)))
    wins = facts.get("wins", facts["realised_p"] * n if "realised_p" in facts else None)
    return None if wins is None or n <= 0 else (round(wins), n)


def most_wins(strength: Strengths, needed: tuple[str, ...]) -> Limit:
    """The most wins with which the cause still fires; None where no number of them does."""

    def limit(numbers: CauseNumbers) -> float | None:
        won = _won(numbers)
        if won is None or any(key not in numbers.facts for key in needed):
            return None
        wins = np.arange(won[1] + 1)
        found = strength(numbers, wins, won[1])
        fires = np.flatnonzero((found > 0) & (found >= least_strength(numbers.cause)))
        return float(fires[-1]) if fires.size else None

    return limit


def one_more(limit: Limit) -> Limit:
    """The least count with which the cause no longer fires."""

    def next_count(numbers: CauseNumbers) -> float | None:
        found = limit(numbers)
        return None if found is None else found + 1

    return next_count


def wins(numbers: CauseNumbers) -> float | None:
    """How many of the earlier trades won."""
    won = _won(numbers)
    return None if won is None else float(won[0])


def trades_at(z: Limit) -> Limit:
    """The number of trades at which the busyness of a trader reaches a z."""

    def limit(numbers: CauseNumbers) -> float | None:
        usual, at = numbers.facts.get("expected_8h"), z(numbers)
        if usual is None or at is None or usual < 0:
            return None
        return math.ceil(usual + at * math.sqrt(usual + 1))

    return limit


def busy_turning(numbers: CauseNumbers) -> float | None:
    """z of busyness at which the cause begins to fire."""
    facts = numbers.facts
    if "n_trades_8h" not in facts or facts.get("expected_8h", -1.0) < 0:
        return None
    z = (facts["n_trades_8h"] - facts["expected_8h"]) / math.sqrt(facts["expected_8h"] + 1)
    return turning("z", user_psychology.BUSY_Z)(replace(numbers, facts={"z": z}))
