"""Geometry of the ribbon: one trade as a line from MAE to MFE, the same scale everywhere.

Ticks stand at -1 R, 0 and the target; the end mark says gain, loss or flat by its shape. Beyond the
scale a line is cut at the edge and a chevron says so, because a list of ribbons is only comparable
on one scale.
"""

from __future__ import annotations

from dataclasses import dataclass

from post_mortem.core import display

LOWEST, HIGHEST = -1.5, 3.0
FLAT_BAND = 0.05
_PAD = 6.0


@dataclass(frozen=True, slots=True)
class Ribbon:
    """Coordinates of the drawing in a box of `width` x `height`; None where not known."""

    width: int
    height: int
    middle: int
    zero: float
    stop: float
    worst: float
    best: float
    target: float | None
    end: float
    mark: str  # points of the end mark
    tone: str  # gain, loss or flat
    label: str
    clipped: bool


def draw(
    *,
    r: float | None,
    mae: float | None,
    mfe: float | None,
    target: float | None = None,
    wide: bool = False,
) -> Ribbon | None:
    """None without R: a trade without an initial stop has no place on this scale.

    `mae` and `mfe` are sizes >= 0; where unknown the line reaches from 0 to the result.
    """
    if r is None:
        return None
    width, height = (360, 34) if wide else (112, 18)
    worst, best = min(-(mae or 0.0), r, 0.0), max(mfe or 0.0, r, 0.0)
    middle = height // 2 - (6 if wide else 0)

    def x(value: float) -> float:
        share = (min(max(value, LOWEST), HIGHEST) - LOWEST) / (HIGHEST - LOWEST)
        return round(_PAD + share * (width - 2 * _PAD), 1)

    tone = "flat" if abs(r) < FLAT_BAND else "gain" if r > 0 else "loss"
    return Ribbon(
        width=width,
        height=height,
        middle=middle,
        zero=x(0),
        stop=x(-1),
        worst=x(worst),
        best=x(best),
        target=None if target is None else x(target),
        end=x(r),
        mark=_mark(tone, x(r), middle, 5.5 if wide else 4.5),
        tone=tone,
        label=_label(r, mae, mfe, target),
        clipped=max(best, r) > HIGHEST or min(worst, r) < LOWEST,
    )


def _mark(tone: str, x: float, y: float, size: float) -> str:
    corners = {
        "gain": ((-size, size * 0.8), (size, size * 0.8), (0, -size)),
        "loss": ((-size, -size * 0.8), (size, -size * 0.8), (0, size)),
        "flat": ((-size, 0), (0, -size), (size, 0), (0, size)),
    }[tone]
    return " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)


def _label(r: float, mae: float | None, mfe: float | None, target: float | None) -> str:
    parts = [f"ended {display.r_multiple(r)}"]
    if mae is not None:
        parts.append(f"worst {display.r_multiple(-mae)}")
    if mfe is not None:
        parts.append(f"best {display.r_multiple(mfe)}")
    if target is not None:
        parts.append(f"target {display.r_multiple(target)}")
    return ", ".join(parts)
