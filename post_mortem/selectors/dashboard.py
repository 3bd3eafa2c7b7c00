"""Everything the dashboard counts, from one pass over the closed trades of a filter.

Trades come as columns and are counted as columns: a hundred thousand of them cost tenths of a
second, not seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from django.db.models import Max

from trading.core import metrics
from trading.core.candles import F64, I64
from trading.core.sessions import local_times
from trading.core.types import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from trading.models import CandleSeries, OwnedQuerySet

from .columns import Column, fetch, floats, integers, times
from .filters import DURATIONS, EXCUSED

# The interval of the expectancy is drawn with this seed, so a reload never changes a figure.
SEED = 20_140_502
LATEST = 200
_EPOCH_DAY = date(1970, 1, 1)
_RESULTS = {"r": "verdict__r_multiple", "money": "net_pnl", "percent": "verdict__pnl_pct"}


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of texts as numbers: row i says `names[codes[i]]`."""

    codes: I64
    names: tuple[str, ...]

    def part(self, rows: slice) -> Coded:
        return Coded(self.codes[rows], self.names)


@dataclass(frozen=True, slots=True, eq=False)
class ClosedTrades:
    """Columns of n closed trades in order of closing. `value` is the result in the unit of the
    page, NaN where it is not known; times are ns UTC; `setups` are JSON lists."""

    ids: I64
    opened: I64
    closed: I64
    value: F64
    side: Coded
    symbol: Coded
    strategy: Coded
    setups: Coded
    cause: Coded
    currencies: tuple[str, ...]

    def __len__(self) -> int:
        return int(self.ids.size)

    def part(self, rows: slice) -> ClosedTrades:
        """Some of them, in the same order."""
        columns = {name: getattr(self, name)[rows] for name in ("ids", "opened", "closed", "value")}
        names = ("side", "symbol", "strategy", "setups", "cause")
        coded = {name: getattr(self, name).part(rows) for name in names}
        return replace(self, **columns, **coded)


@dataclass(frozen=True, slots=True)
class Point:
    """The running total after one trade, and the best total until then."""

    at: datetime
    total: float
    peak: float
    trade_id: int


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Running total and its peak after each trade whose result is known, and the newest points."""

    totals: F64
    peaks: F64
    first: datetime | None
    last: datetime | None
    latest: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Leak:
    cause: str
    n: int
    lost: float  # the unit of the page, negative
    share: float  # of the largest leak


@dataclass(frozen=True, slots=True)
class Slice:
    """One value of a cut: what it is called, what its filter key says, and its known results."""

    name: str
    value: str
    n: int
    wins: int
    total: float
    share: float = 0.0  # of the largest |total| in its cut


@dataclass(frozen=True, slots=True)
class Cut:
    title: str
    key: str
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    n: int
    total: float | None
    in_month: bool


@dataclass(frozen=True, slots=True)
class Week:
    days: tuple[Day, ...]
    n: int
    total: float | None


@dataclass(frozen=True, slots=True)
class Calendar:
    month: date
    weeks: tuple[Week, ...]
    previous: date | None
    next: date | None


@dataclass(frozen=True, slots=True)
class Dashboard:
    summary: metrics.Summary
    currencies: tuple[str, ...]
    equity: Curve
    leaks: tuple[Leak, ...]
    cuts: tuple[Cut, ...]
    calendar: Calendar | None


def closed_trades(trades: OwnedQuerySet, unit: str) -> ClosedTrades:
    """Closed trades in order of closing: one query. `unit`: r, money or percent.

    Money of several currencies is never added up: the values are then unknown.
    """
    result = _RESULTS[unit]
    rows = fetch(
        trades.filter(closed_at__isnull=False).order_by("closed_at", "pk"),
        *("id", "opened_at", "closed_at", "side", "instrument__symbol", "strategy"),
        *("signal__strategy", "signal__claimed_setups", "pnl_currency", "account__currency"),
        *("verdict__top_cause", "verdict__override_outcome", result),
    )
    currencies = coded(_either(rows["pnl_currency"], rows["account__currency"])).names
    value = floats(rows[result]) / (100 if unit == "percent" else 1)
    if unit == "money" and len(currencies) > 1:
        value = np.full(value.size, np.nan)
    return ClosedTrades(
        ids=integers(rows["id"]),
        opened=times(rows["opened_at"]),
        closed=times(rows["closed_at"]),
        value=value,
        side=coded(["long" if side > 0 else "short" for side in rows["side"]]),
        symbol=coded(rows["instrument__symbol"]),
        strategy=coded(_either(rows["strategy"], rows["signal__strategy"])),
        setups=coded(rows["signal__claimed_setups"]),
        cause=coded(_causes_in_force(rows)),
        currencies=tuple(sorted(currencies)),
    )


def coded(column: Sequence[str | None]) -> Coded:
    """Numbers in order of first appearance; None is the empty text."""
    index: dict[str, int] = {}
    codes = [index.setdefault(text or "", len(index)) for text in column]
    return Coded(np.array(codes, np.int64), tuple(index))


def _causes_in_force(rows: Mapping[str, Column]) -> list[str]:
    """Causes ranked first, none where a person said that the trade did not fail after all."""
    return [
        "" if label in EXCUSED else cause or ""
        for cause, label in zip(
            rows["verdict__top_cause"], rows["verdict__override_outcome"], strict=True
        )
    ]


def _either(first: Column, second: Column) -> list[str]:
    return [a or b for a, b in zip(first, second, strict=True)]


def dashboard(trades: ClosedTrades, *, zone: ZoneInfo, month: date | None = None) -> Dashboard:
    """Every figure of the page from its closed trades."""
    return Dashboard(
        summary=metrics.summarize(trades.value, seed=SEED),
        currencies=trades.currencies,
        equity=_equity(trades),
        leaks=_leaks(trades),
        cuts=_cuts(trades, zone),
        calendar=_calendar(trades, zone, month),
    )


def _equity(trades: ClosedTrades) -> Curve:
    known = np.flatnonzero(~np.isnan(trades.value))
    totals = np.cumsum(trades.value[known])
    peaks = np.maximum.accumulate(np.maximum(totals, 0.0)) if known.size else totals
    newest = range(known.size - 1, max(known.size - 1 - LATEST, -1), -1)
    points = tuple(
        Point(
            moment(int(trades.closed[known[i]])),
            float(totals[i]),
            float(peaks[i]),
            int(trades.ids[known[i]]),
        )
        for i in newest
    )
    first = moment(int(trades.closed[known[0]])) if known.size else None
    return Curve(totals, peaks, first, points[0].at if points else None, points)


def moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / NS_PER_SECOND, tz=UTC)


def _leaks(trades: ClosedTrades) -> tuple[Leak, ...]:
    """Results lost under one cause. Losers without a found cause are not a leak to plug."""
    losing = trades.value < 0
    found = [
        s for s in _slices(trades.cause, trades.value, losing) if s.name not in ("", "unknown")
    ]
    found.sort(key=lambda s: s.total)
    largest = found[0].total if found else -1.0
    return tuple(Leak(s.name, s.n, s.total, s.total / largest) for s in found)


def _slices(groups: Coded, value: F64, where: np.ndarray[Any, Any]) -> list[Slice]:
    """Count and sum of the values at `where`, a group; groups without any are left out."""
    size = len(groups.names)
    codes, results = groups.codes[where], value[where]
    n = np.bincount(codes, minlength=size)
    wins = np.bincount(codes[results > 0], minlength=size)
    totals = np.bincount(codes, weights=results, minlength=size)
    return [
        Slice(name, name, int(n[i]), int(wins[i]), float(totals[i]))
        for i, name in enumerate(groups.names)
        if n[i]
    ]


def _cuts(trades: ClosedTrades, zone: ZoneInfo) -> tuple[Cut, ...]:
    known = ~np.isnan(trades.value)
    local = local_times(trades.opened, zone.key)
    # 1970-01-01 was a Thursday, day 4 of the ISO week.
    weekday = (local // NS_PER_DAY + 3) % 7
    hour = local % NS_PER_DAY // NS_PER_HOUR
    held = _held(trades)
    groups: tuple[tuple[str, str, Coded], ...] = (
        ("Weekday opened", "weekday", _numbered(weekday, _WEEKDAYS)),
        ("Held", "duration", _numbered(held, _HOLDING)),
        ("Symbol", "symbol", trades.symbol),
        ("Strategy", "strategy", trades.strategy),
        ("Side", "side", trades.side),
        ("Hour opened", "hour", _numbered(hour, _HOURS)),
    )
    cuts = [
        Cut(title, key, _scaled(key, _slices(g, trades.value, known))) for title, key, g in groups
    ]
    cuts.insert(3, Cut("Setup", "setup", _scaled("setup", _by_setup(trades, known))))
    return tuple(cut for cut in cuts if cut.slices)


_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = tuple(f"{hour:02}:00" for hour in range(24))
_HOLDING = ("under 15 min", "15 min to 1 h", "1 to 4 h", "4 h to 1 d", "over 1 d")
# What the filter calls the values of an ordered cut.
_KEYS: Mapping[str, Mapping[str, str]] = {
    "weekday": {name: str(i) for i, name in enumerate(_WEEKDAYS, 1)},
    "hour": {name: str(i) for i, name in enumerate(_HOURS)},
    "duration": dict(zip(_HOLDING, DURATIONS, strict=True)),
}


def _numbered(codes: I64, names: Sequence[str]) -> Coded:
    return Coded(codes, tuple(names))


def _held(trades: ClosedTrades) -> I64:
    bounds = [high * NS_PER_MINUTE for _, high in DURATIONS.values() if high is not None]
    held: I64 = np.searchsorted(bounds, trades.closed - trades.opened, side="right")
    return held


def _by_setup(trades: ClosedTrades, known: np.ndarray[Any, Any]) -> list[Slice]:
    """A trade with two setups counts under both."""
    lists = [json.loads(text) if text else None for text in trades.setups.names]
    slices = []
    for name in sorted({setup for setups in lists for setup in setups or ()}):
        mine = np.array([name in (setups or ()) for setups in lists])[trades.setups.codes] & known
        results = trades.value[mine]
        if results.size:
            wins = int(np.count_nonzero(results > 0))
            slices.append(Slice(name, name, int(results.size), wins, float(results.sum())))
    return slices


def _scaled(key: str, slices: list[Slice]) -> tuple[Slice, ...]:
    """Named for the filter, measured against the largest; ordered cuts keep their order."""
    keys = _KEYS.get(key, {})
    kept = [replace(s, value=keys.get(s.name, s.name)) for s in slices if s.name]
    largest = max((abs(s.total) for s in kept), default=0.0) or 1.0
    scaled = [replace(s, share=abs(s.total) / largest) for s in kept]
    return tuple(scaled if keys else sorted(scaled, key=lambda s: -s.n))


def _calendar(trades: ClosedTrades, zone: ZoneInfo, month: date | None) -> Calendar | None:
    """One month, Monday to Sunday, in the reader's zone; by default the month of the last trade."""
    if not len(trades):
        return None
    days = local_times(trades.closed, zone.key) // NS_PER_DAY
    months = sorted({_date(int(day)).replace(day=1) for day in np.unique(days)})
    shown = (month or months[-1]).replace(day=1)
    start = shown - timedelta(days=shown.weekday())
    weeks = []
    while start < _next_month(shown):
        cells = tuple(_day(start + timedelta(days=i), days, trades.value, shown) for i in range(7))
        sums = [cell.total for cell in cells if cell.total is not None]
        weeks.append(Week(cells, sum(cell.n for cell in cells), sum(sums) if sums else None))
        start += timedelta(days=7)
    earlier = [m for m in months if m < shown]
    later = [m for m in months if m > shown]
    return Calendar(
        shown, tuple(weeks), earlier[-1] if earlier else None, later[0] if later else None
    )


def _day(day: date, days: I64, value: F64, shown: date) -> Day:
    """How many trades closed on it, and their sum; no sum where no result is known."""
    # In order of closing, a day's trades stand together.
    first, last = np.searchsorted(days, ((day - _EPOCH_DAY).days, (day - _EPOCH_DAY).days + 1))
    known = metrics.known(value[first:last])
    total = float(known.sum()) if known.size else None
    return Day(day, int(last - first), total, (day.year, day.month) == (shown.year, shown.month))


def _date(day: int) -> date:
    return _EPOCH_DAY + timedelta(days=day)


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def candles_behind(user: Any, trades: ClosedTrades) -> tuple[tuple[str, datetime], ...]:
    """Symbols whose stored candles end before their last trade closed, with that end."""
    last = np.zeros(len(trades.symbol.names), np.int64)
    np.maximum.at(last, trades.symbol.codes, trades.closed)
    closed = dict(zip(trades.symbol.names, (moment(int(ns)) for ns in last), strict=True))
    series = CandleSeries.objects.visible_to(user).filter(instrument__symbol__in=list(closed))
    ends = dict(series.values_list("instrument__symbol").annotate(end=Max("last_time")))
    # A bar's open lies a bar before what it covers; a day covers every timeframe up to daily.
    slack = timedelta(days=1)
    return tuple(
        (s, ends[s]) for s in sorted(closed) if ends.get(s) and ends[s] + slack < closed[s]
    )
