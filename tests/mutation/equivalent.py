"""Faults that change nothing anybody could see, each with its reason: not planted, not counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SIDE = "a side is 1 or -1, never 0"
_DIRECTION = "of a direction only the sign is read"
_BARRIER = "a barrier is there exactly where it has a price (rules.barrier_half_points)"
_DISCARDED = "a value where there is no barrier, thrown away by the choice around it"
_NO_BAR = "every bar below 0 is none"

EQUIVALENT: Final[Mapping[str, Mapping[str, str]]] = {
    "post_mortem.core.labeler": {
        "_moves: batch.side > 0 -> batch.side >= 0": _SIDE,
        "_finer_used: 0 -> 1": "no bar is as short as a nanosecond",
        "_verdict: result.net > 0 -> result.net >= 0": "a result of 0 is in every band",
        "_verdict: np.abs(result.net) <= band + _DIRT -> np.abs(result.net) < band + _DIRT": (
            "_DIRT stands for errors of floats; no result is exactly that far beyond its band"
        ),
    },
    "post_mortem.core.replay": {
        "module: 2 -> 3": "a stop entry is any order that is no limit",
        "bad_stop_side: 1 -> 2": _DIRECTION,
        "_wrong_side: direction * batch.side -> direction / batch.side": _SIDE,
        "entry_bars: after > 0 -> after >= 0": "the bar before the first is -1, as is none",
        "turned_barriers: 1 -> 2": _DIRECTION,
        "turned_barriers: (batch.stop != NO_STOP) & np.isfinite(batch.stop_price) -> "
        "(batch.stop != NO_STOP) | np.isfinite(batch.stop_price)": _BARRIER,
        "turned_barriers: (batch.target != NO_TARGET) & np.isfinite(batch.target_price) -> "
        "(batch.target != NO_TARGET) | np.isfinite(batch.target_price)": _BARRIER,
        "turned_barriers: 0 -> 1": _DISCARDED,
        "turned_barriers: 0 -> 1 (2)": _DISCARDED,
        "_windows: 1 -> 2 (3)": "no bar opens a nanosecond after another",
        "_windows: 1 -> 2 (6)": _NO_BAR,
        "_side: 1 -> 2 (2)": "a bar more than is walked changes nothing",
        "_side: side > 0 -> side >= 0": _SIDE,
        "_replay_side: 1 -> 2": _NO_BAR,
        "_replay_side: 1 -> 2 (2)": _NO_BAR,
        "_replay_side: 1 -> 2 (3)": "a walk that ends before it begins is empty",
        "_enter_orders: 1 -> 2": _NO_BAR,
        "_known: 0.0 -> 1.0": "what has no stop price was not stopped",
    },
}
