"""Reproducible noise: a hash of (stream, counter), so any range can be drawn alone, in any order.

Only integer arithmetic and correctly rounded float operations (+ - * /) are used, which are the
same on every machine; `exp`, `log` and pairwise sums are not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64, I64

SEED = 20260601

_STEP = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
# Four uniform 16-bit numbers: mean 131070, standard deviation 65536 / sqrt(3).
_MEAN, _DEVIATION = 131_070, 37_837


def _start(stream: str) -> int:
    """FNV-1a of the stream's name; `hash()` differs between processes."""
    value = 0xCBF29CE484222325 ^ SEED
    for byte in stream.encode():
        value = (value ^ byte) * 0x100000001B3 & _MASK
    return value


def bits(stream: str, count: int, first: int = 0) -> NDArray[np.uint64]:
    """`count` 64-bit words of a stream from position `first` (splitmix64)."""
    position = np.arange(first + 1, first + count + 1, dtype=np.uint64)
    word = position * np.uint64(_STEP) + np.uint64(_start(stream))
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def below(stream: str, limit: int, count: int, first: int = 0) -> I64:
    """Whole numbers from 0 to limit - 1 (limit up to 2**31)."""
    return ((bits(stream, count, first) >> np.uint64(33)).astype(np.int64) * limit) >> 31


def bell(stream: str, count: int, first: int = 0) -> F64:
    """Bell-shaped numbers, mean 0, standard deviation 1, within +-3.5."""
    word = bits(stream, count, first)
    total = np.zeros(count, np.int64)
    for shift in (0, 16, 32, 48):
        total += ((word >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64)
    result: F64 = (total - _MEAN) / _DEVIATION
    return result


def draw(stream: str, limit: int, position: int = 0) -> int:
    """One whole number from 0 to limit - 1."""
    return int(below(stream, limit, 1, position)[0])
