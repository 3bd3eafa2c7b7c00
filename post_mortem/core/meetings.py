"""Review meetings: periods of whole days, the figures of one, and minutes that show a change.

A period is a span of local days; which moments it covers depends on the zone of the account, so a
week with a change of clocks has 167 or 169 hours. Figures are of the results in R in order of
closing, NaN where a trade has none. Minutes are JSON; their fingerprint is the sha256 of the
canonical text, in which every number has at most four decimals so that any database gives the same
bytes back.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from trading.core import metrics
from trading.core.candles import F64
from trading.core.errors import UserError

EARLIER = 4  # how many periods before one are its usual
LONGEST = 366  # days
DECIMALS = 4
_EARLIEST, _LATEST = date(1990, 1, 1), date(2099, 12, 31)
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Whole days from `first` to `last`, both included."""

    first: date
    last: date

    @property
    def kind(self) -> str:
        """day, week (Monday to Sunday), month, or span."""
        if self.first == self.last:
            return "day"
        if self.first.weekday() == 0 and self.last - self.first == timedelta(days=6):
            return "week"
        ends_month = (self.last + _DAY).day == 1
        if self.first.day == 1 and ends_month and self.last == month_of(self.first).last:
            return "month"
        return "span"

    def moved(self, steps: int) -> Period:
        """The period so many of its own lengths later; months follow the calendar."""
        if self.kind == "month":
            months = self.first.year * 12 + self.first.month - 1 + steps
            return month_of(date(months // 12, months % 12 + 1, 1))
        by = steps * (self.last - self.first + _DAY)
        return Period(self.first + by, self.last + by)

    def span(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """The first moment of it and the first after it, UTC."""
        return _midnight(self.first, zone), _midnight(self.last + _DAY, zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # Where the clocks skip midnight this is the moment of the change; where it comes twice, the
    # first one.
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def week_of(day: date) -> Period:
    """The Monday to Sunday around a day."""
    monday = day - timedelta(days=day.weekday())
    return Period(monday, monday + timedelta(days=6))


def month_of(day: date) -> Period:
    first = day.replace(day=1)
    return Period(first, (first + timedelta(days=31)).replace(day=1) - _DAY)


def period_between(first: date, last: date) -> Period:
    """A period somebody asked for. Raises UserError `bad_period`."""
    if not _EARLIEST <= first <= _LATEST or not _EARLIEST <= last <= _LATEST:
        raise UserError("bad_period", "A day from 1990 to 2099.", field="from")
    if last < first:
        raise UserError("bad_period", "The last day comes before the first.", field="to")
    if (last - first).days >= LONGEST:
        raise UserError("bad_period", f"A review covers at most {LONGEST} days.", field="to")
    return Period(first, last)


def due_week(today: date, traded: date | None) -> Period:
    """The week that a review is due for: the newest finished one with a closed trade, else the
    running one. `traded`: the last day with a closed trade before the running week."""
    return week_of(traded or today)


@dataclass(frozen=True, slots=True)
class Score:
    """Figures of one period. R is None where no trade has one; `unknown_n` trades have none."""

    n: int
    unknown_n: int
    won: int
    lost: int
    flat: int
    total_r: float | None
    best_r: float | None
    worst_r: float | None
    win_rate: float | None
    expectancy_r: float | None
    profit_factor: float | None


def score(results: F64) -> Score:
    """Figures of the results of one period's trades. Rates are None under
    `metrics.MIN_FOR_RATES` trades: of a few, counts and sums say all there is."""
    r = metrics.known(results)
    enough = r.size >= metrics.MIN_FOR_RATES
    return Score(
        n=int(results.size),
        unknown_n=int(results.size - r.size),
        won=int(np.count_nonzero(r > 0)),
        lost=int(np.count_nonzero(r < 0)),
        flat=int(np.count_nonzero(r == 0)),
        total_r=float(r.sum()) if r.size else None,
        best_r=float(r.max()) if r.size else None,
        worst_r=float(r.min()) if r.size else None,
        win_rate=metrics.win_rate(r).value if enough else None,
        expectancy_r=metrics.expectancy(r).value if enough else None,
        profit_factor=metrics.profit_factor(r).value if enough else None,
    )


@dataclass(frozen=True, slots=True)
class Usual:
    """Means of the `periods` before: R and trades a period."""

    periods: int
    total_r: float
    n: float


def usual(scores: Sequence[Score]) -> Usual | None:
    """What is usual, from the figures of earlier periods; one without trades counts as 0 R. None
    without any period, or where trades are there and none has R."""
    if not scores or all(s.total_r is None and s.n for s in scores):
        return None
    totals = [s.total_r or 0.0 for s in scores]
    return Usual(len(scores), sum(totals) / len(scores), sum(s.n for s in scores) / len(scores))


# --- Minutes --------------------------------------------------------------------------------------
def plain(value: Any) -> Any:
    """A value as canonical JSON takes it: numbers rounded, what is not finite None, dates and
    times as ISO text, every mapping with text keys."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        # Adding zero makes the negative zero, which PostgreSQL does not keep, a plain one.
        return round(value, DECIMALS) + 0.0 if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    return value


def canonical(minutes: Mapping[str, Any]) -> str:
    """The text that is hashed and exported: sorted keys, no spaces, no NaN."""
    return json.dumps(
        minutes, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def fingerprint(minutes: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(minutes).encode()).hexdigest()
