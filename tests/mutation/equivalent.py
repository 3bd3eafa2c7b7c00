"""Faults that change nothing anybody could see, each with its reason: not planted, not counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SIDE = "a side is 1 or -1, never 0"

EQUIVALENT: Final[Mapping[str, Mapping[str, str]]] = {
    "post_mortem.core.labeler": {
        "_moves: batch.side > 0 -> batch.side >= 0": _SIDE,
        "_finer_used: 0 -> 1": "no bar is as short as a nanosecond",
        "_verdict: result.net > 0 -> result.net >= 0": "a result of 0 is in every band",
        "_verdict: np.abs(result.net) <= band + _DIRT -> np.abs(result.net) < band + _DIRT": (
            "_DIRT stands for errors of floats; no result is exactly that far beyond its band"
        ),
    },
}
