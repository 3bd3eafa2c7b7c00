"""How long an experiment would take at the pace at which an account has traded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from post_mortem.core.draws import TradingDays
from post_mortem.core.measurement import ARM_LOOKS, MDE_SD
from post_mortem.selectors.experiments import of_scope
from trading.models import Account, Trade

# Trades an arm that find an effect of one standard deviation four times of five, two-sided at 5 %:
# 2 (z_{.975} + z_{.80})^2.
_PER_ARM: Final = 15.7
LOOKED_BACK: Final = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Pace:
    """`trades` entered on `traded_days` trading days; `days` until an effect of `mde_sd` standard
    deviations would be found four times of five, `at_most` until the last look. None: unknown."""

    trades: int
    trading_days: int
    trades_a_day: float | None
    days: int | None
    at_most: int | None
    mde_sd: float = MDE_SD


def pace_of(account: Account, scope: Mapping[str, str], days: TradingDays, now: datetime) -> Pace:
    """From the trades of the last half year, or since the first of them."""
    entered = Trade.objects.filter(account=account, opened_at__gt=now - LOOKED_BACK)
    mine = entered.filter(of_scope(scope)).filter(opened_at__lte=now).order_by("opened_at")
    times = list(mine.values_list("opened_at", flat=True))
    if not times:
        return Pace(0, 0, None, None, None)
    traded = days.between(days.day_of(times[0]), days.day_of(now))
    pace = len(times) / max(1, len(traded))
    needed = _PER_ARM / MDE_SD**2
    return Pace(
        trades=len(times),
        trading_days=len(traded),
        trades_a_day=round(pace, 4),
        days=math.ceil(2 * needed / pace),
        at_most=math.ceil(2 * ARM_LOOKS[-1] / pace),
    )
