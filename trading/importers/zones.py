"""Time zones of files: names to zones, wall clocks to UTC. Nothing is guessed.

A wall-clock time in the hour that a clock change skips does not exist; one in the hour that it
repeats means two moments. Both are reported by position and left for the caller to refuse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from trading.core.errors import UserError
from trading.core.sessions import utc_offsets
from trading.core.types import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE

from .contract import I64, Bool

_OFFSET = re.compile(r"^(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone: an IANA name, or a fixed offset from UTC in ns when `name` is not one."""

    name: str
    fixed_ns: int | None = None


UTC = Zone("UTC", 0)


def parse_zone(text: str) -> Zone:
    """`UTC`, `Europe/Berlin`, `UTC-5`, `+02:00`; anything else is a UserError `timezone`."""
    name = text.strip()
    if name.upper() in {"UTC", "Z", "GMT"}:
        return UTC
    if match := _OFFSET.match(name):
        sign, hours, minutes = match[1], int(match[2]), int(match[3] or 0)
        if hours <= 14 and minutes < 60:
            size = hours * NS_PER_HOUR + minutes * NS_PER_MINUTE
            shown = f"UTC{sign}{hours:02d}:{minutes:02d}"
            return Zone(shown, -size if sign == "-" else size)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(
            "timezone",
            f"unknown time zone {text[:60]!a}: expected a name like Europe/Berlin or an offset "
            "like UTC-5",
            field="tz",
        ) from None
    return Zone(name)


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """UTC ns of wall-clock times; where `missing` or `double` is set the value means nothing."""

    utc: I64
    missing: Bool
    double: Bool


def to_utc(civil: I64, zone: Zone) -> Converted:
    """Wall-clock ns (as if it were UTC) to UTC ns."""
    nothing = np.zeros(civil.shape, np.bool_)
    if zone.fixed_ns is not None:
        return Converted(civil - zone.fixed_ns, nothing, nothing)
    # Offsets change at most once in two days, so these are the only two candidates.
    before = utc_offsets(civil - NS_PER_DAY, zone.name)
    after = utc_offsets(civil + NS_PER_DAY, zone.name)
    utc = civil - before
    near = np.flatnonzero(before != after)
    if not near.size:
        return Converted(utc, nothing, nothing)
    earlier, later = civil[near] - before[near], civil[near] - after[near]
    earlier_holds = utc_offsets(earlier, zone.name) == before[near]
    later_holds = utc_offsets(later, zone.name) == after[near]
    utc[near] = np.where(earlier_holds, earlier, later)
    missing, double = nothing.copy(), nothing.copy()
    missing[near] = ~earlier_holds & ~later_holds
    double[near] = earlier_holds & later_holds
    return Converted(utc, missing, double)
