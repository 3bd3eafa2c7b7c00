"""How strong a pattern was over time, and whether that changed by more than chance explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import F64, I64
from trading.core.types import NS_PER_DAY

from .attribution.lift import mean_with_interval

Bool = NDArray[np.bool_]

HALF_LIFE_NS = 90 * NS_PER_DAY
PERIODS = 4
_LEAST_OF_HALF = 10
_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Period:
    """Trades of one quarter of the time that was looked at (ns); R each with its 95 % interval,
    None without enough trades."""

    start: int
    stop: int
    n: int
    won: int
    total_r: float
    mean_r: float | None
    r_low: float | None
    r_high: float | None


@dataclass(frozen=True, slots=True)
class Half:
    """The earlier or the later half of a pattern's trades."""

    n: int
    won: int
    total_r: float


def recent_mean(entry: I64, r: F64, inside: Bool) -> float:
    """Mean R with a weight that halves every 90 days back from the last trade of the sample."""
    weight = np.exp2(-(entry.max() - entry[inside]) / HALF_LIFE_NS)
    return float((weight * r[inside]).sum() / weight.sum())


def periods(entry: I64, r: F64, won: F64, inside: Bool) -> tuple[Period, ...]:
    first, last = int(entry.min()), int(entry.max()) + 1
    edges = [first + (last - first) * i // PERIODS for i in range(PERIODS + 1)]
    result = []
    for start, stop in zip(edges, edges[1:], strict=False):
        mine = inside & (entry >= start) & (entry < stop)
        figures = mean_with_interval(r[mine])
        counted = int(mine.sum()), int(won[mine].sum()), float(r[mine].sum())
        result.append(Period(start, stop, *counted, *figures))
    return tuple(result)


def _later(entry: I64, inside: Bool) -> Bool:
    """Which trades come after the pattern's own middle one."""
    result: Bool = entry >= np.sort(entry[inside])[int(inside.sum()) // 2]
    return result


def halves(entry: I64, r: F64, won: F64, inside: Bool) -> tuple[Half, Half]:
    later = _later(entry, inside)
    earlier_half, later_half = (
        Half(int(mine.sum()), int(won[mine].sum()), float(r[mine].sum()))
        for mine in (inside & ~later, inside & later)
    )
    return earlier_half, later_half


def trend(entry: I64, r: F64, inside: Bool) -> str:
    """stronger, weaker or steady against the other trades of the same time; "" where the data
    cannot tell. Steady: a change as large as the whole difference can be ruled out."""
    later = _later(entry, inside)
    groups = [inside & ~later, inside & later, ~inside & ~later, ~inside & later]
    if min(int(group.sum()) for group in groups) < _LEAST_OF_HALF:
        return ""
    before, after, others_before, others_after = (float(r[group].mean()) for group in groups)
    change = (after - others_after) - (before - others_before)
    error = float(r.std(ddof=1)) * float(np.sqrt(sum(1 / int(g.sum()) for g in groups)))
    effect = float(r[inside].mean() - r[~inside].mean())
    if abs(change) >= _Z95 * error:
        return "stronger" if change * effect > 0 else "weaker"
    return "steady" if abs(change) + _Z95 * error < abs(effect) else ""


def clustered_error(inside: Bool, r: F64, entry: I64) -> float:
    """Standard error (R) of the difference of means, by sums over days."""
    k, n = int(inside.sum()), inside.size
    a, b = float(r[inside].mean()), float(r[~inside].mean())
    _, day = np.unique(entry // NS_PER_DAY, return_inverse=True)
    sums = np.bincount(day, np.where(inside, (r - a) / k, -(r - b) / (n - k)))
    return float(np.sqrt((sums * sums).sum() * sums.size / max(1, sums.size - 1)))
