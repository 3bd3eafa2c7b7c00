"""The equity curve as a drawing: running total, its peak, and the depth below it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from post_mortem.selectors.dashboard import Curve
from trading.core.candles import F64, I64

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
    ticks: tuple[Tick, ...]
    first: datetime
    last: datetime
    width: int = WIDTH
    height: int = HEIGHT


def draw(curve: Curve) -> Equity | None:
    """None under two trades: a point is not a curve."""
    if curve.totals.size < 2 or curve.first is None or curve.last is None:
        return None
    totals = np.concatenate(([0.0], curve.totals))
    peaks = np.concatenate(([0.0], curve.peaks))
    low, high = float(totals.min()), float(peaks.max())
    keep = _thinned(totals)
    x = np.round(_LEFT + keep / (totals.size - 1) * (WIDTH - _LEFT - _RIGHT), 1)

    def y(value: F64 | float) -> F64:
        height = HEIGHT - _TOP - _BOTTOM
        return np.round(_TOP + (high - np.asarray(value)) / ((high - low) or 1.0) * height, 1)

    line = _points(x, y(totals[keep]))
    peak = _points(x, y(peaks[keep]))
    return Equity(
        line="M" + "L".join(line),
        peak="M" + "L".join(peak),
        below=f"M{'L'.join(peak)}L{'L'.join(reversed(line))}Z",
        zero=float(y(0.0)),
        last_x=float(x[-1]),
        last_y=float(y(totals[-1])),
        ticks=tuple(Tick(float(y(value)), value) for value in _round_values(low, high)),
        first=curve.first,
        last=curve.last,
    )


def _points(x: F64, y: F64) -> list[str]:
    return [f"{a} {b}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]


def _thinned(totals: F64) -> I64:
    """Indices to draw: all of a short curve, else the extremes of each stretch of it, so that no
    peak or trough is lost."""
    n = totals.size
    if n <= _MAX_POINTS:
        return np.arange(n)
    starts = np.arange(0, n, -(-2 * n // _MAX_POINTS))
    ends = np.append(starts[1:], n)
    spans = [(s, totals[s:e]) for s, e in zip(starts, ends, strict=True)]
    extremes = [s + f(part) for s, part in spans for f in (np.argmin, np.argmax)]
    return np.unique([0, n - 1, *extremes])


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
