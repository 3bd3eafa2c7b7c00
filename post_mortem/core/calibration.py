"""From the strength of a cause to its posterior and confidence.

Each cause has its own logistic curve of strength, monotone because its slope is not negative: how
likely it is the reason where nothing else shows; a strength of 0 has posterior 0. Where several
show they compete (`shares`): a loss has one reason first, so each has its odds against no cause at
all out of the sum of all odds. `unknown` reads the two best shares of the others.
Confidence is lo + (hi - lo) * posterior within the band of the cause, an int 0-100; bands are not
comparable across causes, so ranking goes by posterior. The curves are a table
(`calibration_table.py`), fitted by `calibration_fit.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from post_mortem.core.logistic import logistic
from trading.core.candles import F64

FIRE_FROM = 0.25  # posterior from which a cause has fired
KNOWN_FROM = FIRE_FROM  # best posterior below which `unknown` ranks first
_MOST_SURE = 1 - 1e-6  # posteriors have six decimals


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
        """Posterior of each strength in [0, 1] where nothing else shows, to six decimals."""
        curve = self.curves[cause]
        value = logistic(curve.intercept + curve.slope * strength)
        return np.where(strength > 0, np.round(value, 6), 0.0)

    def posterior_unknown(self, best: F64, second: F64) -> F64:
        """Posterior of no named cause, given the two largest shares."""
        intercept, weight_best, weight_second = self.unknown
        return np.round(logistic(intercept + weight_best * best + weight_second * second), 6)


def shares(alone: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left of each cause's own posterior where causes compete: shape (causes, N), both.

    odds / (1 + sum of all odds), the 1 standing for no cause at all, to six decimals. One cause
    that shows alone keeps its posterior."""
    odds = alone / (1 - np.minimum(alone, _MOST_SURE))
    result: NDArray[np.float64] = np.round(odds / (1 + odds.sum(axis=0)), 6)
    return result


def confidence(band: tuple[int, int], posterior: F64) -> NDArray[np.int8]:
    """The posterior inside the band, rounded half up."""
    low, high = band
    return np.floor(low + (high - low) * posterior + 0.5).astype(np.int8)
