"""Prices to half-points and back, for whole columns.

The scalar, decimal versions are in `candles.py`; these give the same answers for floats that came
from decimal text, because a float within `tolerance` of a grid price is taken for that price.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .candles import F64, GRID_TOLERANCE, I64

_LARGEST = 2.0**61  # far beyond any price, and sums of two still fit 64 bits
_NEAR = float(GRID_TOLERANCE)
_DIRT = 4 * float(np.finfo(np.float64).eps)


@lru_cache(maxsize=256)
def _half_point(point: Decimal) -> tuple[int, int]:
    half = Fraction(point) / 2
    return half.numerator, half.denominator


def to_prices(half_points: I64 | F64, point: Decimal) -> F64:
    """Prices as the floats nearest to the exact decimals. Any shape."""
    numerator, denominator = _half_point(point)
    return np.asarray(half_points * float(numerator) / float(denominator), np.float64)


def scaled(prices: F64, point: Decimal) -> F64:
    """Prices in half-points, not rounded unless float dirt away from a whole number."""
    numerator, denominator = _half_point(point)
    value = prices * float(denominator) / float(numerator)
    nearest = np.rint(value)
    tolerance = np.maximum(_NEAR, np.abs(value) * _DIRT)
    result: F64 = np.where(np.abs(value - nearest) <= tolerance, nearest, value)
    return result


def to_half_points(prices: F64, point: Decimal, floor: NDArray[np.bool_]) -> I64:
    """Whole half-points, downwards where `floor`, else upwards; prices must be finite."""
    value = np.clip(scaled(prices, point), -_LARGEST, _LARGEST)
    result: I64 = np.where(floor, np.floor(value), np.ceil(value)).astype(np.int64)
    return result
