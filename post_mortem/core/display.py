"""How numbers are written, once, for facts, narratives and pages.

R two decimals, pips one, percent whole (one decimal under ten), money signed, durations in the two
largest units, true minus (U+2212). Unknown numbers are never formatted: callers show "-" with a
reason.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

from trading.core.types import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND

MINUS = "\u2212"


def _sign(number: float, body: str, *, signed: bool) -> str:
    if all(c in "0." for c in body):
        return body
    if number < 0:
        return MINUS + body
    return f"+{body}" if signed else body


def fixed(number: float, places: int, *, signed: bool = False) -> str:
    """`-1.5` with places=2 -> `\u22121.50`. A value that rounds to zero carries no sign."""
    return _sign(number, f"{abs(number):,.{places}f}", signed=signed)


def r_multiple(number: float, *, signed: bool = True) -> str:
    return f"{fixed(number, 2, signed=signed)} R"


def pips(number: float, *, signed: bool = False) -> str:
    return f"{fixed(number, 1, signed=signed)} pips"


def percent(fraction: float, *, signed: bool = False) -> str:
    """A fraction as percent: 0.523 -> `52 %`, 0.041 -> `4.1 %`."""
    value = fraction * 100
    places = 1 if abs(value) < 10 and round(abs(value), 1) != round(abs(value)) else 0
    return f"{fixed(value, places, signed=signed)} %"


def price(number: float, point: Decimal) -> str:
    """A price at the instrument's point: 1.38476 with point 0.00001."""
    exponent = point.normalize().as_tuple().exponent
    places = max(0, -exponent) if isinstance(exponent, int) else 0
    return fixed(number, places).replace(",", "")


def money(number: float, currency: str) -> str:
    """Signed amount; no cents from 10,000. Coins keep eight decimals when they are small."""
    size = abs(number)
    places = 0 if size >= 10_000 else 2
    if 0 < size < 0.1:
        places = 8
    return f"{fixed(number, places, signed=True)} {currency}".strip()


def times(number: float) -> str:
    """A ratio as a factor: 6.08 -> `6.1 times`."""
    return f"{fixed(number, 1)} times"


def factor(number: float) -> str:
    """A constant as a factor, with no more places than it has: 1.25 -> `1.25 times`."""
    return f"{fixed(number, 2 if round(number, 1) != round(number, 2) else 1)} times"


def count(number: float) -> str:
    return f"{round(number):,}"


def plain(number: float, places: int = 2) -> str:
    return fixed(number, places)


def duration(ns: float) -> str:
    """The two largest units: `3 h 10 min`, `1 min`, `2 d 4 h`, `40 s`."""
    left = int(abs(ns))
    if left < NS_PER_MINUTE:
        return f"{left // NS_PER_SECOND} s"
    parts = []
    for size, unit in ((NS_PER_DAY, "d"), (NS_PER_HOUR, "h"), (NS_PER_MINUTE, "min")):
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts[:2])


def minutes(number: float) -> str:
    return duration(number * NS_PER_MINUTE)


def moment(ns: int) -> str:
    """`2014-05-02 12:30 UTC`, with seconds only where there are any."""
    at = datetime.fromtimestamp(ns // NS_PER_SECOND, tz=UTC)
    layout = "%Y-%m-%d %H:%M:%S" if at.second else "%Y-%m-%d %H:%M"
    return f"{at.strftime(layout)} UTC"


def by_unit(number: float, unit: str, point: Decimal) -> str:
    """A fact's number in its unit (`FactSpec.unit`). Unknown units are a programming error."""
    if not math.isfinite(number):
        raise ValueError(f"no display of {number}")
    writers = {
        "R": lambda: r_multiple(number),
        "R_abs": lambda: r_multiple(abs(number), signed=False),
        "ranges": lambda: f"{fixed(abs(number), 1)} average ranges",
        "signed_ranges": lambda: f"{fixed(number, 1, signed=True)} average ranges",
        "pips": lambda: pips(number),
        "z": lambda: fixed(number, 1),
        "ratio": lambda: times(number),
        "factor": lambda: factor(number),
        "fraction": lambda: percent(number),
        "probability": lambda: percent(number),
        "count": lambda: count(number),
        "bars": lambda: f"{count(number)} bars" if round(number) != 1 else "1 bar",
        "minutes": lambda: minutes(number),
        "score": lambda: fixed(number, 0 if float(number).is_integer() else 1),
        "price": lambda: price(number, point),
        "number": lambda: fixed(number, 2),
        "time": lambda: moment(int(number)),
    }
    return writers[unit]()
