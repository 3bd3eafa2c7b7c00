"""Made-up features and outcomes of which the truth is known."""

from __future__ import annotations

import numpy as np

from post_mortem.core.attribution.catalogue import REGISTRY
from post_mortem.core.attribution.matrix import FeatureColumn, FeatureMatrix
from post_mortem.core.attribution.report import Outcomes
from trading.core.types import NS_PER_DAY, NS_PER_HOUR

START = 19_000 * NS_PER_DAY
SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY")


def random_matrix(rng: np.random.Generator, n: int) -> FeatureMatrix:
    """Values of every registered feature at random, a tenth of them unknown."""
    columns = []
    for feature in REGISTRY:
        levels = feature.words or SYMBOLS
        if feature.is_category:
            values = rng.integers(0, len(levels), n).astype(np.float64)
        else:
            low, high = feature.edges[0], feature.edges[-1]
            values = rng.normal((low + high) / 2, max(high - low, 0.5), n)
        values[rng.random(n) < 0.1] = np.nan
        columns.append(FeatureColumn(feature, values, levels if feature.is_category else ()))
    return FeatureMatrix(tuple(columns), REGISTRY.version)


def outcomes(
    rng: np.random.Generator, log_odds: np.ndarray, *, day_effect: float = 0.0
) -> Outcomes:
    """One trade every four hours; a shared disturbance a day makes the trades of a day alike."""
    n = log_odds.size
    entry = START + np.arange(n, dtype=np.int64) * 4 * NS_PER_HOUR
    day = entry // NS_PER_DAY
    shared = rng.normal(0, day_effect, int(day.max() - day.min()) + 1)[day - day.min()]
    won = (rng.random(n) < 1 / (1 + np.exp(-(log_odds + shared)))).astype(np.float64)
    r = np.where(won > 0, 1.5, -1.0)
    end = entry + rng.integers(1, 6, n) * NS_PER_HOUR
    return Outcomes(won, r, entry, end, np.arange(n))
