"""The equity curve as a drawing: running total, its peak, and the depth below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from post_mortem.selectors.dashboard import Point

WIDTH, HEIGHT = 760, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 56, 12, 24
_MAX_POINTS = 600


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Equity:
    """SVG paths in a box of WIDTH x HEIGHT. `ticks` are values on the right, `first` and `last`
    the closing times of the ends."""

    line: str
    peak: str
    below: str
    zero: float
    last_x: float
    last_y: float
    last_value: float
    ticks: tuple[Tick, ...]
    first: datetime
    last: datetime
    width: int = WIDTH
    height: int = HEIGHT


def draw(points: Sequence[Point]) -> Equity | None:
    """None under two trades: a point is not a curve."""
    if len(points) < 2:
        return None
    totals = [0.0, *(p.total for p in points)]
    peaks = [0.0, *(p.peak for p in points)]
    low, high = min(totals), max(peaks)
    reach = (high - low) or 1.0
    n = len(totals)
    keep = _thinned(totals, n)

    def x(i: int) -> float:
        return round(_LEFT + i / (n - 1) * (WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_TOP + (high - value) / reach * (HEIGHT - _TOP - _BOTTOM), 1)

    line = [f"{x(i)} {y(totals[i])}" for i in keep]
    peak = [f"{x(i)} {y(peaks[i])}" for i in keep]
    return Equity(
        line="M" + "L".join(line),
        peak="M" + "L".join(peak),
        below=f"M{'L'.join(peak)}L{'L'.join(reversed(line))}Z",
        zero=y(0.0),
        last_x=x(n - 1),
        last_y=y(totals[-1]),
        last_value=totals[-1],
        ticks=tuple(Tick(y(value), value) for value in _round_values(low, high)),
        first=points[0].at,
        last=points[-1].at,
    )


def _thinned(totals: Sequence[float], n: int) -> list[int]:
    """Indices to draw: all of a short curve, else the extremes of each stretch of it, so that no
    peak or trough is lost."""
    if n <= _MAX_POINTS:
        return list(range(n))
    step = -(-2 * n // _MAX_POINTS)
    keep = {0, n - 1}
    for start in range(0, n, step):
        stretch = range(start, min(start + step, n))
        keep.add(min(stretch, key=totals.__getitem__))
        keep.add(max(stretch, key=totals.__getitem__))
    return sorted(keep)


def _round_values(low: float, high: float) -> list[float]:
    """Three to six round values within [low, high]."""
    reach = (high - low) or 1.0
    size = 1.0
    while size > reach:
        size /= 10
    while size * 10 <= reach:
        size *= 10
    step = next(s for s in (size / 5, size / 2, size, size * 2, size * 5) if reach / s <= 5)
    first = int(low // step)
    values = [round(i * step, 10) for i in range(first, first + 9)]
    return [value for value in values if low <= value <= high]
