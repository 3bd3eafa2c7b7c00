"""Two drawings of an experiment: the difference over time with its band, and every R by arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from post_mortem.selectors.experiment_results import Arm, Point, Results

WIDTH, HEIGHT = 760, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 60, 22, 8
_DOT = 7.0
_FOOT = 30.0
_DOTS_WIDTH = 760
_FARTHEST_R = 6.0


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class LookMark:
    x: float
    number: int
    crossed: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """SVG paths in a box of WIDTH x HEIGHT: on less off, in R a trade, after each day traded."""

    line: str
    high: str
    low: str
    last_x: float
    last_y: float
    ticks: tuple[Tick, ...]
    looks: tuple[LookMark, ...]
    rows: tuple[Point, ...]
    width: int = WIDTH
    height: int = HEIGHT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    foot: int = HEIGHT - _BOTTOM
    inner: int = HEIGHT - _TOP - _BOTTOM


def draw(found: Results) -> Chart | None:
    """None while fewer than two days can be compared."""
    points = [point for point in found.points if point.estimate is not None]
    if len(points) < 2:
        return None
    reach = _reach(points)
    count = len(points) - 1
    xs = [round(_LEFT + i / count * (WIDTH - _LEFT - _RIGHT), 1) for i in range(len(points))]

    def y(value: float) -> float:
        # What lies beyond is cut off by the drawing; this only keeps its numbers short.
        near = max(-9 * reach, min(9 * reach, value))
        return round(_TOP + (reach - near) / (2 * reach) * (HEIGHT - _TOP - _BOTTOM), 1)

    line = [f"{x} {y(p.estimate or 0.0)}" for x, p in zip(xs, points, strict=True)]
    high = [f"{x} {y(p.high or 0.0)}" for x, p in zip(xs, points, strict=True)]
    low = [f"{x} {y(p.low or 0.0)}" for x, p in zip(xs, points, strict=True)]
    crossed = {k for k, look in enumerate(found.verdict.looks, start=1) if look[-1]}
    return Chart(
        line="M" + "L".join(line),
        high="M" + "L".join(high),
        low="M" + "L".join(low),
        last_x=xs[-1],
        last_y=y(points[-1].estimate or 0.0),
        ticks=tuple(Tick(y(value), value) for value in _steps(reach)),
        looks=tuple(
            LookMark(x, p.look, p.look in crossed)
            for x, p in zip(xs, points, strict=True)
            if p.look is not None
        ),
        rows=tuple(reversed(found.points[-200:])),
    )


def _reach(points: Sequence[Point]) -> float:
    """How far the axis goes: to the band of the later half, so that the first days, of which
    little is known, do not flatten the rest."""
    later = points[len(points) // 2 :]
    sizes = [abs(v) for p in later for v in (p.low, p.high, p.estimate) if v is not None]
    sizes += [abs(p.estimate) for p in points if p.estimate is not None]
    return max(0.2, *sizes) * 1.05


def _steps(reach: float) -> list[float]:
    step = next(s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0) if reach / s <= 3)
    most = int(reach / step)
    return [round(n * step, 1) for n in range(-most, most + 1)]


# --- every result -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Strip:
    """The trades of one arm, stacked where they are alike. `beyond` lie off the axis and are drawn
    at its ends."""

    name: str
    dots: tuple[Dot, ...]
    mean_x: float | None
    zero_x: float
    ticks: tuple[Tick, ...]
    height: float
    ground: float
    beyond: int
    width: int = _DOTS_WIDTH


def strips(on: Arm, off: Arm) -> tuple[Strip, Strip] | None:
    """Both arms on one axis; None without trades."""
    values = (*on.r, *off.r)
    if not values:
        return None
    low = max(-_FARTHEST_R, math.floor(min(*values, -1.0)))
    high = min(_FARTHEST_R, math.ceil(max(*values, 1.0)))
    first, second = (_strip(arm, low, high) for arm in (on, off))
    return first, second


def _strip(arm: Arm, low: float, high: float) -> Strip:
    columns = int((_DOTS_WIDTH - 2 * _DOT) / _DOT)

    def x(value: float) -> float:
        share = (max(low, min(high, value)) - low) / (high - low)
        return round(_DOT + share * (_DOTS_WIDTH - 2 * _DOT), 1)

    stacks: dict[int, int] = {}
    places = []
    for value in sorted(arm.r):
        column = round((x(value) - _DOT) / (_DOTS_WIDTH - 2 * _DOT) * columns)
        stacks[column] = stacks.get(column, 0) + 1
        places.append(
            (round(_DOT + column / columns * (_DOTS_WIDTH - 2 * _DOT), 1), stacks[column])
        )
    tallest = max(stacks.values(), default=1)
    ground = max(4, tallest) * _DOT + 4
    height = ground + _FOOT
    return Strip(
        name=arm.name,
        dots=tuple(Dot(at, round(ground - (n - 0.5) * _DOT, 1)) for at, n in places),
        mean_x=None if arm.mean_r is None else x(arm.mean_r),
        zero_x=x(0.0),
        ticks=tuple(Tick(x(v), v) for v in range(int(low), int(high) + 1)),
        height=height,
        ground=ground,
        beyond=sum(not low <= value <= high for value in arm.r),
    )
