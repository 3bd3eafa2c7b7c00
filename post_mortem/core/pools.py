"""Small statistics of earlier results: bounds of a win rate."""

from __future__ import annotations

import numpy as np

from trading.core.candles import F64, I64

WILSON_Z = 1.28  # one-sided 90 %


def wilson(wins: I64, n: I64) -> tuple[F64, F64]:
    """Wilson's score interval of a rate; (0, 1) without results."""
    size = np.maximum(n, 1).astype(np.float64)
    p, z2 = wins / size, WILSON_Z**2
    centre = (p + z2 / (2 * size)) / (1 + z2 / size)
    half = WILSON_Z * np.sqrt(p * (1 - p) / size + z2 / (4 * size**2)) / (1 + z2 / size)
    known = n > 0
    low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
    return np.where(known, low, 0.0), np.where(known, high, 1.0)


def beta_below(x: F64, a: F64, b: F64) -> F64:
    """P(p < x) for p ~ Beta(a, b)."""
    # Imported here: it costs a third of a second, and most batches claim no setup.
    from scipy.special import betainc

    result: F64 = np.asarray(betainc(a, b, x), np.float64)
    return result
