"""Logistic regression under a normal prior, for curves, attribution and learning alike.

Newton's method on the penalised likelihood, which is strictly concave under a prior, with
halved steps where a full one would not climb; so the answer does not depend on where it starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64

_STEPS = 50
_HALVINGS = 30
_CONVERGED = 1e-10  # of the largest change of a weight
_LARGEST_LOG_ODDS = 500.0


@dataclass(frozen=True, slots=True, eq=False)
class LogisticFit:
    """`weights`: shape (1 + columns,), the intercept first; `covariance` of the weights: the
    inverse of the penalised information (Laplace)."""

    weights: F64
    covariance: NDArray[np.float64]

    @property
    def intercept(self) -> float:
        return float(self.weights[0])

    @property
    def slopes(self) -> F64:
        return self.weights[1:]


def logistic(log_odds: F64) -> F64:
    """Probability of each log-odds, without overflow."""
    bounded = np.minimum(np.maximum(log_odds, -_LARGEST_LOG_ODDS), _LARGEST_LOG_ODDS)
    result: F64 = 1.0 / (1.0 + np.exp(-bounded))
    return result


def log_loss(log_odds: F64, y: F64) -> F64:
    """-log likelihood of each outcome (0 or 1), exact for large log-odds."""
    result: F64 = np.logaddexp(0.0, log_odds) - y * log_odds
    return result


def fit_logistic(
    x: NDArray[np.float64],
    y: F64,
    *,
    precision: Sequence[float],
    prior: Sequence[float] | None = None,
) -> LogisticFit:
    """Weights (intercept first) of the highest likelihood under a normal prior: around `prior`,
    by default 0, with so much `precision` (1 / variance) each, 0 for none.

    `x` (n, columns) and `y` (n,) of 0 and 1. Raises ValueError without rows, for numbers that are
    not finite, and where outcomes are all the same and nothing holds the intercept: the fit would
    have no end.
    """
    if not y.size or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a logistic fit needs at least one row, and finite numbers")
    design = np.column_stack([np.ones(y.size), x])
    pull = np.array(precision, np.float64)
    mean = np.zeros(pull.size) if prior is None else np.array(prior, np.float64)
    if pull[0] <= 0 and (y == y[0]).all():
        raise ValueError("all outcomes are the same: there is nothing to fit")
    weights = mean.copy()
    loss = _penalised(design, y, weights - mean, weights, pull)
    information = np.eye(weights.size)
    for _ in range(_STEPS):
        p = logistic(design @ weights)
        gradient = design.T @ (y - p) - pull * (weights - mean)
        information = _information(design, p, pull)
        step: F64 = np.linalg.solve(information, gradient).astype(np.float64)
        weights, loss, moved = _climb(design, y, pull, mean, weights, step, loss)
        if moved < _CONVERGED:
            break
    covariance: NDArray[np.float64] = np.linalg.inv(information).astype(np.float64)
    return LogisticFit(weights, covariance)


def _information(design: NDArray[np.float64], p: F64, pull: F64) -> NDArray[np.float64]:
    half = design * np.sqrt(p * (1 - p))[:, None]
    result: NDArray[np.float64] = half.T @ half
    # Far from the data p is 0 or 1 to the last bit; the smallest number keeps it solvable.
    result[np.diag_indices_from(result)] += pull + np.finfo(float).tiny
    return result


def _penalised(design: NDArray[np.float64], y: F64, moved: F64, weights: F64, pull: F64) -> float:
    return float(log_loss(design @ weights, y).sum() + 0.5 * (pull * moved * moved).sum())


def _climb(
    design: NDArray[np.float64], y: F64, pull: F64, mean: F64, weights: F64, step: F64, loss: float
) -> tuple[F64, float, float]:
    """(new weights, their loss, largest change): the step, halved until the loss does not grow."""
    for _ in range(_HALVINGS):
        candidate = weights + step
        found = _penalised(design, y, candidate - mean, candidate, pull)
        if found <= loss:
            return candidate, found, float(np.abs(step).max())
        step = step / 2
    return weights, loss, 0.0
