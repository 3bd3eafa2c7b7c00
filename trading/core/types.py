"""Units and small vocabularies shared by every layer.

Times inside arrays are int64 nanoseconds since 1970-01-01 UTC. Prices inside arrays are int64
**half-points**: one half-point is half of the series' `point`, so that trade prices, bids, asks
and their mids are all exact integers. Fills are kept as decimal text and never rounded.
"""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum

from .errors import UserError

NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 60 * NS_PER_MINUTE
NS_PER_DAY = 24 * NS_PER_HOUR
HALF_POINTS_PER_POINT = 2

_TIMEFRAME = re.compile(r"^(\d{1,3})([smhdw])$")
_UNIT_NS = {
    "s": NS_PER_SECOND,
    "m": NS_PER_MINUTE,
    "h": NS_PER_HOUR,
    "d": NS_PER_DAY,
    "w": 7 * NS_PER_DAY,
}


class Side(IntEnum):
    LONG = 1
    SHORT = -1


class SeriesKind(StrEnum):
    """What the prices of a candle series are."""

    TRADE = "trade"
    MID = "mid"
    BID_ASK = "bid_ask"


class Horizon(StrEnum):
    H1 = "1H"
    H4 = "4H"
    H24 = "24H"
    D7 = "7D"
    TRADE = "TRADE"


HORIZON_NS: dict[str, int] = {
    Horizon.H1: NS_PER_HOUR,
    Horizon.H4: 4 * NS_PER_HOUR,
    Horizon.H24: 24 * NS_PER_HOUR,
    Horizon.D7: 7 * NS_PER_DAY,
}
SIGNAL_HORIZONS: tuple[str, ...] = tuple(HORIZON_NS)


def timeframe_ns(timeframe: str) -> int:
    """Length of one bar in ns. `1m 5m 15m 1h 4h 1d 1w`; anything else is a UserError."""
    match = _TIMEFRAME.match(timeframe)
    if not match or int(match[1]) == 0:
        raise UserError(
            "timeframe",
            f"unknown timeframe {timeframe!r}: expected a number and one of s m h d w, like 5m",
            field="timeframe",
        )
    return int(match[1]) * _UNIT_NS[match[2]]


def timeframe_name(bar_ns: int) -> str:
    """The shortest name of a bar length: 300 s -> '5m'."""
    for unit in "wdhms":
        if bar_ns % _UNIT_NS[unit] == 0:
            return f"{bar_ns // _UNIT_NS[unit]}{unit}"
    raise UserError("timeframe", f"a bar of {bar_ns} ns is not a whole number of seconds")


def horizon_ns(horizon: str) -> int:
    """Length of a signal horizon in ns; TRADE has none and raises like any unknown name."""
    try:
        return HORIZON_NS[horizon]
    except KeyError:
        raise UserError(
            "horizon",
            f"unknown horizon {horizon!r}: expected one of {', '.join(SIGNAL_HORIZONS)}",
            field="horizon",
        ) from None
