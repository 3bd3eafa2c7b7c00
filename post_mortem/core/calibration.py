"""From the strength of a cause to its posterior and confidence.

A posterior answers: of the cases in which this cause showed this strength, in how many was it the
reason? Each cause has its own logistic curve of strength, monotone because its slope is not
negative; a strength of 0 has posterior 0. `unknown` reads the two best posteriors of the others.
Confidence is lo + (hi - lo) * posterior within the band of the cause, an int 0-100; bands are not
comparable across causes, so ranking goes by posterior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64

FIRE_FROM = 0.25  # posterior from which a cause has fired
KNOWN_FROM = 0.35  # best posterior below which `unknown` ranks first

_RIDGE = 1e-3
_NEWTON_STEPS = 50


@dataclass(frozen=True, slots=True)
class Curve:
    """posterior = 1 / (1 + exp(-(intercept + slope * strength)))."""

    intercept: float
    slope: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Curves per cause; `unknown` = (intercept, weight of the best, of the second best), and the
    least posterior of `unknown` where the decisive feed was missing."""

    version: str
    curves: Mapping[str, Curve]
    unknown: tuple[float, float, float]
    sure: float = 0.9

    def posterior(self, cause: str, strength: F64) -> F64:
        """Posterior of each strength in [0, 1], rounded to six decimals."""
        curve = self.curves[cause]
        value = _logistic(curve.intercept + curve.slope * strength)
        return np.where(strength > 0, np.round(value, 6), 0.0)

    def posterior_unknown(self, best: F64, second: F64) -> F64:
        intercept, weight_best, weight_second = self.unknown
        return np.round(_logistic(intercept + weight_best * best + weight_second * second), 6)


def _logistic(value: F64) -> F64:
    result: F64 = 1.0 / (1.0 + np.exp(-value))
    return result


def confidence(band: tuple[int, int], posterior: F64) -> NDArray[np.int8]:
    """The posterior inside the band, rounded half up."""
    low, high = band
    return np.floor(low + (high - low) * posterior + 0.5).astype(np.int8)


def fit_curve(strength: F64, is_cause: NDArray[np.bool_]) -> Curve:
    """Platt's fit of one curve on reviewed cases with strength > 0 (Newton, a slight ridge).

    A fit that would fall with strength is replaced by the flat curve of the base rate."""
    used = strength > 0
    x, y = strength[used], is_cause[used].astype(np.float64)
    if not x.size:
        raise ValueError("a curve needs at least one case with strength above 0")
    intercept, slope = _fit_logistic(x[:, None], y)
    if slope >= 0:
        return Curve(float(intercept), float(slope))
    return Curve(float(_fit_logistic(np.zeros((x.size, 0)), y)[0]), 0.0)


def fit_unknown(
    best: F64, second: F64, is_unknown: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Logistic fit of P(no named cause) on the best and second best posterior."""
    a, b, c = _fit_logistic(np.column_stack([best, second]), is_unknown.astype(np.float64))
    return float(a), float(b), float(c)


def _fit_logistic(x: NDArray[np.float64], y: F64) -> F64:
    """Weights (intercept first) that maximise the likelihood minus a ridge."""
    design = np.column_stack([np.ones(y.size), x])
    weights = np.zeros(design.shape[1])
    ridge = _RIDGE * np.eye(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = _logistic(design @ weights)
        gradient = design.T @ (y - p) - ridge @ weights
        hessian = (design * (p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, gradient)
        weights = weights + np.clip(step, -2.0, 2.0)
        if np.max(np.abs(step)) < 1e-9:
            break
    return weights


# Fitted on simulated losing trades with known causes (tests/core/simulate.py), rounded.
DEFAULT = Calibration(
    version="shipped-1",
    curves={
        "news_shock": Curve(-1.8, 5.5),
        "regime_drift": Curve(-3.3, 5.8),
        "volatility_spike": Curve(-3.4, 6.0),
        "liquidity_event": Curve(-1.6, 5.0),
        "external_shock": Curve(-2.4, 5.4),
        "spread_slippage": Curve(-2.4, 5.4),
        "model_error": Curve(-3.4, 6.4),
        "detector_misid": Curve(-3.2, 6.2),
        "false_positive": Curve(-3.2, 6.1),
        "user_psychology": Curve(-4.4, 7.4),
    },
    unknown=(1.3, -7.5, 1.0),
)
