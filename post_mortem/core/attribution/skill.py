"""Does the model know anything? Its predictions of later trades against the base rate.

Every fold's model and base rate come from its training rows alone. Losses are compared pair by
pair, and summed over whole stretches of time, because trades of one day share their market: the
mean gain over the base rate must be above 0 by a one-sided t test of the stretches, in log-loss,
and the Brier score must not say otherwise. Without that the verdict is "no detectable signal".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from post_mortem.core.logistic import log_loss, logistic
from trading.core.candles import F64, I64

from .matrix import FeatureMatrix
from .model import Design, Model, design_of, fit_model
from .split import Fold

LEVEL = 0.05  # of the one-sided test
LEAST_STRETCHES = 8
LEAST_OF_OUTCOME = 15  # wins, and losses, in a training part


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Of one fold's test rows: log-odds by a model and by the base rate."""

    rows: I64
    log_odds: F64
    base_log_odds: float


@dataclass(frozen=True, slots=True, eq=False)
class Later(Prediction):
    """A prediction by the logistic model, with what it was made of."""

    model: Model
    design: Design


@dataclass(frozen=True, slots=True)
class Skill:
    """Out-of-sample figures over `n` later trades. `gain` is the mean log-loss saved a trade, and
    `gain_at_least` its one-sided 95 % lower bound (None where there are too few stretches)."""

    n: int
    stretches: int
    log_loss: float
    base_log_loss: float
    brier: float
    base_brier: float
    gain: float
    gain_at_least: float | None

    @property
    def detected(self) -> bool:
        enough = self.gain_at_least is not None and self.gain_at_least > 0
        return enough and self.brier < self.base_brier


def predict_later(matrix: FeatureMatrix, won: F64, folds: list[Fold]) -> list[Later]:
    """One prediction a fold whose training part holds enough wins and losses."""
    found = []
    for fold in folds:
        y = won[fold.train]
        if min(y.sum(), y.size - y.sum()) < LEAST_OF_OUTCOME:
            continue
        model = fit_model(matrix.rows(fold.train), y)
        design = design_of(model.terms, matrix.rows(fold.test))
        base = math.log(y.sum() / (y.size - y.sum()))
        found.append(Later(fold.test, model.log_odds(design), base, model, design))
    return found


def skill_of(later: Sequence[Prediction], won: F64, entry: I64, *, stretch: int) -> Skill | None:
    """Figures over all folds, None without any. `stretch`: ns of time that count as one."""
    if not later:
        return None
    rows = np.concatenate([part.rows for part in later])
    y = won[rows]
    odds = np.concatenate([part.log_odds for part in later])
    base = np.concatenate([np.full(part.rows.size, part.base_log_odds) for part in later])
    loss, base_loss = log_loss(odds, y), log_loss(base, y)
    gains = base_loss - loss
    _, of_stretch = np.unique(entry[rows] // stretch, return_inverse=True)
    return Skill(
        n=int(rows.size),
        stretches=int(of_stretch.max()) + 1,
        log_loss=float(loss.mean()),
        base_log_loss=float(base_loss.mean()),
        brier=float(((logistic(odds) - y) ** 2).mean()),
        base_brier=float(((logistic(base) - y) ** 2).mean()),
        gain=float(gains.mean()),
        gain_at_least=_lower_bound(gains, of_stretch),
    )


def _lower_bound(gains: F64, of_stretch: I64) -> float | None:
    """One-sided lower bound of the mean gain, the stretch being what varies independently."""
    sums = np.bincount(of_stretch, gains - gains.mean())
    count = sums.size
    if count < LEAST_STRETCHES:
        return None
    error = math.sqrt(float((sums * sums).sum()) * count / (count - 1)) / gains.size
    return float(gains.mean()) - float(stdtrit(count - 1, 1 - LEVEL)) * error
