"""When the units of an experiment begin, which one a trade belongs to, and the chain of seals.

A trading day begins at a clock time of the account's zone and ends where the next one begins; it is
called by the date on which it begins. A session is that of `trading.core.sessions` on its own local
working day; where two are open, an entry belongs to the one that opened last. Sealed rows are never
changed: each seal is the sha256 of the seal before it and of its own row, the first one follows on
the hash of the plan, so a row that was changed, moved or taken out shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from trading.core.sessions import SESSIONS

# Reading the clock and writing the row take time: what begins sooner is not drawn any more.
LEAD = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class TradingDays:
    """Which days are traded. `begins` is a clock time in `zone`, `weekdays` counts Monday as 0."""

    zone: str
    begins: time
    weekdays: tuple[int, ...]

    def start(self, day: date) -> datetime:
        """When a day begins, UTC. A clock time that the zone skips that day is the moment after
        the gap, one that it has twice the first of them."""
        return datetime.combine(day, self.begins, tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def end(self, day: date) -> datetime:
        return self.start(day + timedelta(days=1))

    def day_of(self, moment: datetime) -> date:
        """The day in which a moment lies, traded or not."""
        day = moment.astimezone(ZoneInfo(self.zone)).date()
        return day if moment >= self.start(day) else day - timedelta(days=1)

    def between(self, first: date, last: date) -> list[date]:
        """The traded days from `first` to `last`, both included."""
        days = ((last - first).days + 1) if last >= first else 0
        every = (first + timedelta(days=n) for n in range(days))
        return [day for day in every if day.weekday() in self.weekdays]


@dataclass(frozen=True, slots=True)
class Unit:
    """One day or session of one day. `slot` says which session of the day, `number` counts the days
    from the first one on; of a signal it is its id."""

    key: str
    day: date
    slot: int
    number: int
    starts: datetime
    ends: datetime


def day_units(days: TradingDays, first: date, last: date) -> list[Unit]:
    """Every traded day from the first day of an experiment to `last`."""
    return [
        Unit(day.isoformat(), day, 0, number, days.start(day), days.end(day))
        for number, day in enumerate(days.between(first, last))
    ]


def session_units(first: date, last: date) -> list[Unit]:
    """Every session of the working days from `first` to `last`, in the order in which they open."""
    units = []
    for slot, (name, zone, opens, closes) in enumerate(SESSIONS):
        working = TradingDays(zone, time(opens), tuple(range(5)))
        for number, day in enumerate(working.between(first, last)):
            ends = datetime.combine(day, time(closes), tzinfo=ZoneInfo(zone)).astimezone(UTC)
            key = f"{day.isoformat()}/{name}"
            units.append(Unit(key, day, slot, number, working.start(day), ends))
    return sorted(units, key=lambda unit: (unit.starts, unit.key))


def unit_of(units: Sequence[Unit], moment: datetime) -> Unit | None:
    """The unit in which a moment lies: of several the one that began last, None between them.

    `units` in the order of their starts, a day's worth of them at most open at once.
    """
    low, high = 0, len(units)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if units[middle].starts <= moment else (low, middle)
    open_now = (unit for unit in reversed(units[max(0, low - len(SESSIONS)) : low]))
    return next((unit for unit in open_now if moment < unit.ends), None)


# --- what is written down -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sealed:
    """A row as it was drawn."""

    day: date
    unit_key: str
    arm: str
    sealed_at: datetime
    seal: str = ""


def plan_hash(plan: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of a plan."""
    return _sha256(dict(plan))


def salt_hash(salt: str) -> str:
    """What a plan says of a salt that is only shown once the experiment has ended."""
    return hashlib.sha256(salt.encode()).hexdigest()


def seal_of(before: str, row: Sealed) -> str:
    """The seal of a row that follows on the seal `before` (of the first row: the plan's hash)."""
    at = row.sealed_at.astimezone(UTC).isoformat(timespec="microseconds")
    return _sha256([before, row.day.isoformat(), row.unit_key, row.arm, at])


def first_break(genesis: str, rows: Iterable[Sealed]) -> Sealed | None:
    """The first row, in the order of writing, whose seal does not follow; None if all do."""
    before = genesis
    for row in rows:
        if row.seal != seal_of(before, row):
            return row
        before = row.seal
    return None


def _sha256(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
