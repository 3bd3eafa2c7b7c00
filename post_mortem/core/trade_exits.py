"""What a trade's own fill says about the bar that it was left in.

That bar goes on after the trade has gone. Its touch of the stop counts where the fill lies at or
beyond the stop, its touch of the target where the fill lies at or beyond the target: the price had
to pass the level to be there. Any other touch may have come after the exit, and the fill is
believed. A fill within half a point of a level lies at it.
"""

from __future__ import annotations

import numpy as np

from trading.core.candles import I64
from trading.core.units import scaled

from .types import I8, NO_STOP, NO_TARGET, NO_TIME, Bool, CaseBatch

STOP, TARGET = 1, 2
_AT = 1 + 1e-6  # half-points, and the dirt of floats


def left_inside(batch: CaseBatch, opened: I64, bar_ns: int) -> Bool:
    """Whether each case is a trade whose exit lies inside the bar that opened then."""
    left = np.where(batch.fill_exit_time == NO_TIME, opened, batch.fill_exit_time)
    since = left - opened
    known = batch.is_trade & (batch.fill_exit_time != NO_TIME)
    result: Bool = known & (since >= 0) & (since < bar_ns)
    return result


def believed(
    batch: CaseBatch, barriers: tuple[I64, I64], hit: I8, in_exit_bar: Bool
) -> tuple[I8, I8]:
    """(touches that count, touches that may have come after the exit), bits as in `Paths.hit`.

    `barriers`: stop and target as `turned_barriers` gives them; `in_exit_bar`: the first touch was
    in the bar of the exit. A fill at the stop in a bar that touches both leaves both: which came
    first is as unknown as it is without a fill.
    """
    fill, stop, target = (
        batch.side * scaled(price, batch.market.point)
        for price in (batch.fill_exit, batch.stop_price, batch.target_price)
    )
    at_stop = (barriers[0] != NO_STOP) & (fill <= stop + _AT)
    at_target = (barriers[1] != NO_TARGET) & (fill >= target - _AT)
    counted = np.where(at_stop, hit, np.where(at_target, hit & TARGET, 0)).astype(np.int8)
    # Beyond the stop, a touch of the target alone may have come later.
    counted = np.where(at_stop & (hit == TARGET), 0, counted).astype(np.int8)
    counted = np.where(in_exit_bar, counted, hit).astype(np.int8)
    return counted, hit & ~counted
