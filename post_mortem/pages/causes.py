"""How a cause's confidence is to be read: on the scale of its own cause."""

from __future__ import annotations

from post_mortem.core import causes

_BANDS = {cause.CAUSE: cause.BAND for cause in (*causes.NAMED, causes.unknown)}


def scale_of(cause: str, confidence: int) -> str:
    """'78 on this cause's scale of 50-85; not comparable between causes'."""
    low, high = _BANDS[cause]
    return (
        f"{confidence} on this cause\N{RIGHT SINGLE QUOTATION MARK}s scale of "
        f"{low}\N{EN DASH}{high}; not comparable between causes"
    )
