"""All that is said about what goes with winning and losing in one account and scope.

The verdict comes first: with too few trades, or where predictions of later trades do not beat the
base rate, no contribution and no importance is reported at all. Cohorts and lifts are counts, and
hold without a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64, I64
from trading.core.types import NS_PER_DAY

from .cohorts import Cohorts, cohorts_of
from .importance import Importance, linked_features, permutation_importance
from .lift import Lift, lifts
from .matrix import FeatureMatrix
from .model import Model, certainty, contributions, design_of, fit_model
from .skill import Skill, predict_later, skill_of
from .split import walk_forward

LEAST_TRADES = 100
LONGEST_EMBARGO = 7 * NS_PER_DAY

State = Literal["too_few", "no_signal", "signal"]


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What became of N cases: `won` 0 or 1, `r` NaN unknown, times in ns; `end` is when the result
    was known, `group` is the same for cases of one signal."""

    won: F64
    r: F64
    entry: I64
    end: I64
    group: I64

    def __len__(self) -> int:
        return int(self.won.size)


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """`contributed` and `sure` are (N, features), None unless the state is "signal"."""

    state: State
    n: int
    won: int
    skill: Skill | None
    model: Model | None
    contributed: NDArray[np.float64] | None
    sure: NDArray[np.float64] | None
    importances: tuple[Importance, ...]
    lifts: tuple[Lift, ...]
    cohorts: Cohorts
    seed: int


def attribute(matrix: FeatureMatrix, outcomes: Outcomes, *, seed: int) -> Attribution:
    """Everything about these cases. The same input and seed give the same answer."""
    won = outcomes.won
    embargo, stretch = horizon_of(outcomes)
    cohorts = cohorts_of(matrix, won, outcomes.r)
    found = lifts(matrix, won, outcomes.r, outcomes.entry, stretch=stretch)
    later = []
    if len(outcomes) >= LEAST_TRADES:
        folds = walk_forward(outcomes.entry, outcomes.end, outcomes.group, embargo=embargo)
        later = predict_later(matrix, won, folds)
    skill = skill_of(later, won, outcomes.entry, stretch=stretch)
    if skill is None or skill.gain_at_least is None or not skill.detected:
        state: State = "no_signal" if skill and skill.gain_at_least is not None else "too_few"
        return Attribution(
            state, len(outcomes), int(won.sum()), skill, None, None, None, (), found, cohorts, seed
        )
    model = fit_model(matrix, won)
    design = design_of(model.terms, matrix)
    contributed = contributions(model, design)
    groups = linked_features(model.terms, design)
    return Attribution(
        "signal",
        len(outcomes),
        int(won.sum()),
        skill,
        model,
        contributed,
        certainty(model, design, contributed),
        tuple(permutation_importance(later, won, groups, seed=seed)),
        found,
        cohorts,
        seed,
    )


def horizon_of(outcomes: Outcomes) -> tuple[int, int]:
    """(embargo, stretch of time that counts as one): the longest life, at most a week; and a day,
    or the usual life where that is longer."""
    life = np.maximum(outcomes.end - outcomes.entry, 0)
    if not life.size:
        return 0, NS_PER_DAY
    embargo = min(int(life.max()), LONGEST_EMBARGO)
    return embargo, max(NS_PER_DAY, int(np.median(life)))
