"""Which bars a chart shows as missing."""

from __future__ import annotations

import numpy as np
import pytest

from post_mortem.selectors.bars import missing_bars
from trading.core.candles import Candles
from trading.core.types import NS_PER_HOUR

FRIDAY = 474_978 * NS_PER_HOUR  # 2024-03-08 18:00 UTC, four hours before the week ends


def bars(*hours: int) -> Candles:
    time = FRIDAY + np.array(hours, np.int64) * NS_PER_HOUR
    return Candles(time, time, time, time, time)


@pytest.mark.parametrize(
    ("stored", "missing"),
    [
        ((-8, -4, 0), []),
        ((-8, 0), [-4]),
        ((-12, 0), [-8, -4]),
        # The weekend is closed, and on Sunday bars open an hour earlier: New York's clock.
        ((-4, 0, 51, 55, 59), []),
        ((-8, 0, 51, 63), [-4, 55, 59]),
    ],
)
def test_missing_bars_are_counted_from_the_bar_before(
    stored: tuple[int, ...], missing: list[int]
) -> None:
    found = missing_bars("fx", bars(*stored), 4 * NS_PER_HOUR)
    assert ((found - FRIDAY) // NS_PER_HOUR).tolist() == missing
