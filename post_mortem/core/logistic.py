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


def fit_competing(
    strength: NDArray[np.float64],
    truth: NDArray[np.int64],
    *,
    prior: NDArray[np.float64],
    precision: NDArray[np.float64],
    free: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(K, 2) intercept and slope of each of K causes that compete with each other and with none.

    A cause with a strength above 0 has the odds exp(intercept + slope * strength) against none, one
    without has no chance. `strength` (n, K); `truth` (n,) the index of the reason, K for none; a
    reason without strength is told by nothing and as good as none. The others (K, 2): a normal
    prior as in `fit_logistic`, and which weights may leave it.
    """
    own = (np.arange(strength.shape[1])[None, :] == truth[:, None]) & (strength > 0)
    moving = np.flatnonzero(free.ravel())
    weights = prior.astype(np.float64)
    loss = _competing_loss(strength, own, weights, prior, precision)
    for _ in range(_STEPS):
        gradient, information = _competing_slope(strength, own, weights, prior, precision)
        step = np.zeros(weights.size)
        step[moving] = np.linalg.solve(information[np.ix_(moving, moving)], gradient[moving])
        for _ in range(_HALVINGS):
            candidate = weights + step.reshape(weights.shape)
            found = _competing_loss(strength, own, candidate, prior, precision)
            if found <= loss:
                weights, loss = candidate, found
                break
            step = step / 2
        else:
            break
        if float(np.abs(step).max(initial=0.0)) < _CONVERGED:
            break
    return weights


def _competing_scores(
    strength: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, K + 1) log odds against none, whose own, the last, are 0."""
    score = np.minimum(weights[:, 0] + weights[:, 1] * strength, _LARGEST_LOG_ODDS)
    return np.column_stack([np.where(strength > 0, score, -np.inf), np.zeros(len(strength))])


def _competing_loss(
    strength: NDArray[np.float64],
    own: NDArray[np.bool_],
    weights: NDArray[np.float64],
    prior: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> float:
    score = _competing_scores(strength, weights)
    said = np.where(own, score[:, :-1], 0.0).sum(axis=1)
    likely = np.logaddexp.reduce(score, axis=1) - said
    return float(likely.sum() + 0.5 * (precision * (weights - prior) ** 2).sum())


def _competing_slope(
    strength: NDArray[np.float64],
    own: NDArray[np.bool_],
    weights: NDArray[np.float64],
    prior: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient of the penalised likelihood, and its information, of all weights in a row."""
    score = _competing_scores(strength, weights)
    odds = np.exp(score - score.max(axis=1, keepdims=True))
    p = (odds / odds.sum(axis=1, keepdims=True))[:, :-1]
    design = np.stack([np.ones_like(strength), strength], axis=2)
    missed = (own - p)[:, :, None] * design
    gradient = missed.sum(axis=0) - precision * (weights - prior)
    flat = (p[:, :, None] * design).reshape(len(strength), -1)
    information = -(flat.T @ flat)
    for k in range(strength.shape[1]):
        part = slice(2 * k, 2 * k + 2)
        information[part, part] += (p[:, k, None] * design[:, k]).T @ design[:, k]
    information[np.diag_indices_from(information)] += precision.ravel() + np.finfo(float).tiny
    return gradient.ravel(), information


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
