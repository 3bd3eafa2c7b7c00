"""The strength of a pattern over time as a drawing: what its trades brought in each quarter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import formats

WIDTH, HEIGHT = 640, 210
_TOP, _BOTTOM, _SIDE = 26, 58, 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One quarter: a bar from zero, its sum above or below, and how many won."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    label_y: float
    tone: str
    total: str
    counts: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Strength:
    bars: tuple[Bar, ...]
    zero: float
    label: str
    width: int = WIDTH
    height: int = HEIGHT
    counts_y: int = HEIGHT - 28
    dates_y: int = HEIGHT - 6


def draw(periods: Sequence[Mapping[str, Any]]) -> Strength | None:
    """Sums, not means: a quarter has too few trades for a mean as a rule."""
    if not periods:
        return None
    totals = [float(p["total_r"]) for p in periods]
    high, low = max(0.0, *totals), min(0.0, *totals)
    reach = (high - low) or 1.0
    room = HEIGHT - _TOP - _BOTTOM - 20
    zero = round(_TOP + high / reach * room, 1)
    step = (WIDTH - 2 * _SIDE) / len(periods)
    bars = tuple(
        _bar(p, total, _SIDE + i * step, step, zero, room / reach)
        for i, (p, total) in enumerate(zip(periods, totals, strict=True))
    )
    said = "; ".join(f"{bar.total} with {bar.counts}" for bar in bars)
    return Strength(bars, zero, f"Result of its trades in each quarter of the time: {said}")


def _bar(
    p: Mapping[str, Any], total: float, left: float, step: float, zero: float, scale: float
) -> Bar:
    height = round(abs(total) * scale, 1)
    top = zero - height if total > 0 else zero
    return Bar(
        x=round(left + step * 0.2, 1),
        y=round(top, 1),
        width=round(step * 0.6, 1),
        height=height,
        middle=round(left + step / 2, 1),
        label_y=round(top - 6 if total > 0 else top + height + 16, 1),
        tone="gain" if total > 0 else "loss",
        total=formats.total_r(total) if p["n"] else formats.DASH,
        counts=f"{p['won']} of {p['n']} won" if p["n"] else "no trade",
        first=_moment(p["start"]),
        last=_moment(p["stop"]),
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
