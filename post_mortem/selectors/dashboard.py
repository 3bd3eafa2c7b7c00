"""Everything the dashboard counts, from one pass over the closed trades of a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from post_mortem.models import InsightAudit
from trading.core import metrics
from trading.core.candles import F64
from trading.models import CandleSeries, OwnedQuerySet

from .filters import DURATIONS

# The interval of the expectancy is drawn with this seed, so a reload never changes a figure.
SEED = 20_140_502
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FAILED = InsightAudit.Outcome.FAILED
_COLUMNS = (
    "id",
    "opened_at",
    "closed_at",
    "side",
    "instrument__symbol",
    "strategy",
    "signal__strategy",
    "signal__claimed_setups",
    "net_pnl",
    "pnl_currency",
    "account__currency",
    "verdict__r_multiple",
    "verdict__pnl_pct",
    "verdict__top_cause",
    "verdict__outcome",
)


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """`value` is the result in the unit of the page, NaN where it is not known."""

    id: int
    opened_at: datetime
    closed_at: datetime
    side: str
    symbol: str
    strategy: str
    setups: tuple[str, ...]
    currency: str
    value: float
    cause: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Point:
    """The running total after one trade, and the best total until then."""

    at: datetime
    total: float
    peak: float
    trade_id: int


@dataclass(frozen=True, slots=True)
class Leak:
    cause: str
    n: int
    lost: float  # the unit of the page, negative
    share: float  # of the largest leak


@dataclass(frozen=True, slots=True)
class Slice:
    """One value of a cut: what it is called, what its filter key says, and its trades."""

    name: str
    value: str
    n: int
    wins: int
    total: float
    mean: float
    share: float  # of the largest |total| in its cut


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
    equity: tuple[Point, ...]
    leaks: tuple[Leak, ...]
    cuts: tuple[Cut, ...]
    calendar: Calendar | None


def closed_trades(trades: OwnedQuerySet, unit: str) -> list[ClosedTrade]:
    """Closed trades in order of closing: one query. `unit`: r, money or percent."""
    found = trades.filter(closed_at__isnull=False).order_by("closed_at", "pk").values(*_COLUMNS)
    return [_closed(values, unit) for values in found.iterator(chunk_size=5000)]


def _closed(v: dict[str, Any], unit: str) -> ClosedTrade:
    result = {
        "r": v["verdict__r_multiple"],
        "money": v["net_pnl"],
        "percent": None if v["verdict__pnl_pct"] is None else v["verdict__pnl_pct"] / 100,
    }[unit]
    return ClosedTrade(
        id=v["id"],
        opened_at=v["opened_at"],
        closed_at=v["closed_at"],
        side="long" if v["side"] > 0 else "short",
        symbol=v["instrument__symbol"],
        strategy=v["strategy"] or v["signal__strategy"],
        setups=tuple(v["signal__claimed_setups"] or ()),
        currency=v["pnl_currency"] or v["account__currency"],
        value=float("nan") if result is None else float(result),
        cause=v["verdict__top_cause"] or "",
        failed=v["verdict__outcome"] == _FAILED,
    )


def dashboard(
    trades: list[ClosedTrade], *, unit: str, zone: ZoneInfo, month: date | None = None
) -> Dashboard:
    """Every figure of the page from its closed trades.

    Money of several currencies is never added up: the values are then treated as unknown.
    """
    currencies = tuple(sorted({trade.currency for trade in trades}))
    values = np.array([trade.value for trade in trades], dtype=np.float64)
    if unit == "money" and len(currencies) > 1:
        values = np.full(len(trades), np.nan)
    return Dashboard(
        summary=metrics.summarize(values, seed=SEED),
        currencies=currencies,
        equity=_equity(trades, values),
        leaks=_leaks(trades, values),
        cuts=_cuts(trades, values, zone),
        calendar=_calendar(trades, values, zone, month),
    )


def _equity(trades: list[ClosedTrade], values: F64) -> tuple[Point, ...]:
    known = np.flatnonzero(~np.isnan(values))
    totals = np.cumsum(values[known])
    peaks = np.maximum.accumulate(np.maximum(totals, 0.0)) if known.size else totals
    return tuple(
        Point(trades[i].closed_at, float(total), float(peak), trades[i].id)
        for i, total, peak in zip(known.tolist(), totals.tolist(), peaks.tolist(), strict=True)
    )


def _leaks(trades: list[ClosedTrade], values: F64) -> tuple[Leak, ...]:
    """Results lost under one cause. Losers without a found cause are not a leak to plug."""
    lost: dict[str, list[float]] = {}
    for trade, value in zip(trades, values.tolist(), strict=True):
        if trade.cause and trade.cause != "unknown" and value < 0:
            lost.setdefault(trade.cause, []).append(value)
    totals = sorted((sum(results), cause, len(results)) for cause, results in lost.items())
    largest = -totals[0][0] if totals else 1.0
    return tuple(Leak(cause, n, total, -total / largest) for total, cause, n in totals)


def _cuts(trades: list[ClosedTrade], values: F64, zone: ZoneInfo) -> tuple[Cut, ...]:
    def local(trade: ClosedTrade) -> datetime:
        return trade.opened_at.astimezone(zone)

    ways: tuple[tuple[str, str, Callable[[ClosedTrade], Iterable[tuple[str, str]]]], ...] = (
        ("Weekday opened", "weekday", lambda t: [_weekday(local(t))]),
        ("Held", "duration", lambda t: [_holding(t)]),
        ("Symbol", "symbol", lambda t: [(t.symbol, t.symbol)]),
        ("Setup", "setup", lambda t: [(name, name) for name in t.setups]),
        ("Strategy", "strategy", lambda t: [(t.strategy, t.strategy)] if t.strategy else []),
        ("Side", "side", lambda t: [(t.side, t.side)]),
        ("Hour opened", "hour", lambda t: [(f"{local(t):%H}:00", str(local(t).hour))]),
    )
    cuts = (_cut(title, key, [way(t) for t in trades], values) for title, key, way in ways)
    return tuple(cut for cut in cuts if cut.slices)


def _weekday(at: datetime) -> tuple[str, str]:
    return _WEEKDAYS[at.weekday()], str(at.isoweekday())


def _holding(trade: ClosedTrade) -> tuple[str, str]:
    minutes = (trade.closed_at - trade.opened_at).total_seconds() / 60
    key = next(k for k, (_, high) in DURATIONS.items() if high is None or minutes < high)
    names = {
        "15min": "under 15 min",
        "1h": "15 min to 1 h",
        "4h": "1 to 4 h",
        "1d": "4 h to 1 d",
        "longer": "over 1 d",
    }
    return names[key], key


_IN_ORDER: dict[str, Callable[[Slice], Any]] = {
    "weekday": lambda s: s.value,
    "hour": lambda s: int(s.value),
    "duration": lambda s: list(DURATIONS).index(s.value),
}


def _cut(title: str, key: str, names: list[Iterable[tuple[str, str]]], values: F64) -> Cut:
    groups: dict[tuple[str, str], list[float]] = {}
    for of_trade, value in zip(names, values.tolist(), strict=True):
        for name in of_trade:
            groups.setdefault(name, []).append(value)
    every = [_slice(name, value, results) for (name, value), results in groups.items()]
    slices = [s for s in every if s.n]
    largest = max((abs(s.total) for s in slices), default=0.0) or 1.0
    scaled = [
        Slice(s.name, s.value, s.n, s.wins, s.total, s.mean, abs(s.total) / largest) for s in slices
    ]
    return Cut(title, key, tuple(sorted(scaled, key=_IN_ORDER.get(key, lambda s: -s.n))))


def _slice(name: str, value: str, results: list[float]) -> Slice:
    known = metrics.known(np.array(results, dtype=np.float64))
    return Slice(
        name=name,
        value=value,
        n=int(known.size),
        wins=int(np.count_nonzero(known > 0)),
        total=float(known.sum()),
        mean=float(known.mean()) if known.size else 0.0,
        share=0.0,
    )


def _calendar(
    trades: list[ClosedTrade], values: F64, zone: ZoneInfo, month: date | None
) -> Calendar | None:
    """One month, Monday to Sunday, in the reader's zone; by default the month of the last trade."""
    if not trades:
        return None
    days: dict[date, list[float]] = {}
    for trade, value in zip(trades, values.tolist(), strict=True):
        days.setdefault(trade.closed_at.astimezone(zone).date(), []).append(value)
    months = sorted({day.replace(day=1) for day in days})
    shown = (month or months[-1]).replace(day=1)
    start = shown - timedelta(days=shown.weekday())
    weeks = []
    while start < _next_month(shown):
        cells = tuple(_day(start + timedelta(days=i), days, shown) for i in range(7))
        weeks.append(Week(cells, *_total([v for c in cells for v in days.get(c.day, [])])))
        start += timedelta(days=7)
    earlier = [m for m in months if m < shown]
    later = [m for m in months if m > shown]
    return Calendar(
        shown, tuple(weeks), earlier[-1] if earlier else None, later[0] if later else None
    )


def _day(day: date, days: dict[date, list[float]], shown: date) -> Day:
    return Day(day, *_total(days.get(day, [])), (day.year, day.month) == (shown.year, shown.month))


def _total(results: list[float]) -> tuple[int, float | None]:
    """How many trades, and their sum; no sum where no result is known."""
    known: NDArray[np.float64] = metrics.known(np.array(results, dtype=np.float64))
    return len(results), float(known.sum()) if known.size else None


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Needs:
    """What waits for the reader."""

    unread: int
    unjudged: int
    stale: int
    open_trades: int
    pending_advice: int
    candles_end: tuple[tuple[str, datetime], ...]


def candles_behind(user: Any, trades: list[ClosedTrade]) -> tuple[tuple[str, datetime], ...]:
    """Symbols whose stored candles end before their last trade closed, with that end."""
    last: dict[str, datetime] = {}
    for trade in trades:
        last[trade.symbol] = max(last.get(trade.symbol, trade.closed_at), trade.closed_at)
    ends: dict[str, datetime] = {}
    series = CandleSeries.objects.visible_to(user).filter(instrument__symbol__in=list(last))
    for symbol, end in series.values_list("instrument__symbol", "last_time"):
        if end is not None:
            ends[symbol] = max(ends.get(symbol, end), end)
    # A bar's open lies a bar before what it covers; a day covers every timeframe up to daily.
    slack = timedelta(days=1)
    return tuple((s, ends[s]) for s in sorted(last) if s in ends and ends[s] + slack < last[s])
