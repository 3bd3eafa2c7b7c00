"""What the chart of one audit is drawn from: bars around its life, levels, path, news, facts.

Times are seconds UTC of a bar's open, prices floats rounded to the series' point; the browser only
draws. Long lives are shown in coarser bars, never thinned out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from post_mortem.core import display
from post_mortem.core.evidence import Fact
from post_mortem.core.types import Flag
from post_mortem.models import InsightAudit
from trading.core.candles import I64, Candles
from trading.core.instruments import news_currencies
from trading.core.types import NS_PER_SECOND, timeframe_name, timeframe_ns
from trading.models import CandleSeries, Instrument, NewsEvent
from trading.selectors.candles import load_candles

from .alternatives import Wider
from .bars import MAX_BARS, missing_bars

_COMFORTABLE = 280  # bars on screen by default
_STEPS = ("1m", "5m", "15m", "30m", "1h", "4h", "1d")
_NAMED = 6  # bars that are missing, by their opens
_BEFORE, _AFTER = 60, 30  # bars of context at least
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Life:
    """The judged life of an audit and its levels; None where unknown."""

    side: int
    entry_time: datetime
    entry_price: float
    planned_entry: float
    exit_time: datetime | None
    exit_price: float | None
    end_time: datetime
    stop: float | None
    target: float | None
    stop_final: float | None
    executed: bool

    @property
    def risk(self) -> float | None:
        """As the labels count it: from the planned entry to the initial stop."""
        return None if self.stop is None else abs(self.planned_entry - self.stop) or None


@dataclass(frozen=True, slots=True)
class Timeframe:
    name: str
    current: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """`data` is JSON-ready. `timeframes` are those that fit; of `n_due` bars of the judged life
    `n_missing` are not stored, `missing` the opens of the first of them."""

    data: dict[str, Any]
    timeframes: tuple[Timeframe, ...]
    timeframe: str
    n_bars: int
    n_due: int
    n_missing: int
    missing: tuple[datetime, ...]


def chart_of(
    audit: InsightAudit,
    life: Life,
    facts: Sequence[Fact],
    *,
    user: Any,
    timeframe: str = "",
    ghosts: Sequence[Wider] = (),
) -> Chart | None:
    """None when no series judged the audit or none of its bars are stored."""
    series = audit.series
    if series is None:
        return None
    base = timeframe_ns(series.timeframe)
    start, end = _ns(life.entry_time), _ns(life.exit_time or life.end_time)
    offered = _timeframes(base, end - start)
    chosen = timeframe if timeframe in offered else _comfortable(offered, end - start)
    bar = timeframe_ns(chosen)
    margin = (
        max(_BEFORE, (end - start) // bar // 2) * bar,
        max(_AFTER, (end - start) // bar // 4) * bar,
    )
    ghost_end = max((ghost.exit_time for ghost in ghosts), default=end)
    after = max(margin[1], min(ghost_end - end + bar, MAX_BARS // 2 * bar))
    candles = load_candles(series, start - margin[0], end + after)
    if not len(candles):
        return None
    shown = aggregate(candles, bar) if bar != base else candles
    missing = missing_bars(series.instrument.kind, shown, bar)
    first, last = start // bar * bar, end // bar * bar
    inside = (shown.time >= first) & (shown.time <= last)
    gone = missing[(missing >= first) & (missing <= last)]
    data = {
        **bars_of(shown, series.point, series.instrument),
        **_life(audit, life, series.instrument),
        "symbol": series.instrument.symbol,
        "timeframe": chosen,
        "barSeconds": bar // NS_PER_SECOND,
        "digits": display_digits(series.point),
        "missing": [int(t) // NS_PER_SECOND for t in missing],
        "span": [first // NS_PER_SECOND, last // NS_PER_SECOND],
        "news": news_of(series, shown, bar, user),
        "facts": _facts(facts, shown),
        "ghosts": _ghosts(ghosts, shown),
        "ambiguous": bool(audit.flags & Flag.AMBIGUOUS),
    }
    return Chart(
        data=data,
        timeframes=tuple(Timeframe(name, name == chosen) for name in offered),
        timeframe=chosen,
        n_bars=len(shown),
        n_due=int(np.count_nonzero(inside)) + gone.size,
        n_missing=gone.size,
        missing=tuple(
            datetime.fromtimestamp(int(t) // NS_PER_SECOND, tz=UTC) for t in gone[:_NAMED]
        ),
    )


def aggregate(candles: Candles, bar_ns: int) -> Candles:
    """Coarser bars aligned to the epoch: first open, extremes, last close, sum of volume, and the
    spread at the last close. A bar is made from what is stored of it."""
    key = candles.time // bar_ns
    first = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    last = np.concatenate((first[1:], [len(candles)])) - 1
    return Candles(
        time=key[first] * bar_ns,
        open=candles.open[first],
        high=np.maximum.reduceat(candles.high, first),
        low=np.minimum.reduceat(candles.low, first),
        close=candles.close[last],
        volume=None if candles.volume is None else np.add.reduceat(candles.volume, first),
        spread=None if candles.spread is None else candles.spread[last],
    )


def display_digits(point: Decimal) -> int:
    exponent = point.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _timeframes(base: int, life: int) -> list[str]:
    """The series' own bars and coarser ones that show the life in 1 to MAX_BARS bars."""
    steps = [
        name for name in _STEPS if timeframe_ns(name) > base and timeframe_ns(name) % base == 0
    ]
    names = [timeframe_name(base), *steps]
    fitting = [n for n in names if life // timeframe_ns(n) <= MAX_BARS * 4 // 7]
    useful = [n for n in fitting if n == fitting[0] or life // timeframe_ns(n) >= 4]
    return (useful or names[-1:])[:4]


def _comfortable(names: list[str], life: int) -> str:
    return next((n for n in names if life // timeframe_ns(n) <= _COMFORTABLE // 2), names[-1])


def bars_of(candles: Candles, point: Decimal, instrument: Instrument) -> dict[str, Any]:
    """Bars as columns; the spread in pips, or in basis points of the close where there are none."""
    half, digits = float(point) / 2, display_digits(point) + 1
    has_pip = instrument.kind in ("fx", "metal")

    def prices(column: I64) -> list[float]:
        return np.round(column * half, digits).tolist()

    return {
        "bars": {
            "time": (candles.time // NS_PER_SECOND).tolist(),
            "open": prices(candles.open),
            "high": prices(candles.high),
            "low": prices(candles.low),
            "close": prices(candles.close),
            "spread": None
            if candles.spread is None
            else np.round(
                candles.spread * half / float(instrument.pip)
                if has_pip
                else candles.spread / np.maximum(candles.close, 1) * 10_000,
                2,
            ).tolist(),
        },
        "spreadUnit": "pips" if has_pip else "bp",
    }


def _life(audit: InsightAudit, life: Life, instrument: Instrument) -> dict[str, Any]:
    entry = life.entry_price
    exit_time = None if life.exit_time is None else int(life.exit_time.timestamp())
    return {
        "side": life.side,
        "executed": life.executed,
        "entry": {"time": int(life.entry_time.timestamp()), "price": entry},
        "exit": None
        if life.exit_price is None or exit_time is None
        else {"time": exit_time, "price": life.exit_price, "r": audit.r_multiple},
        "risk": life.risk,
        "levels": levels_of(life, instrument.point),
        "path": {
            "mfe": _excursion(audit.mfe_r, audit.mfe_pips, life, instrument, life.side),
            "mae": _excursion(audit.mae_r, audit.mae_pips, life, instrument, -life.side),
        },
    }


def levels_of(life: Life, point: Decimal) -> list[dict[str, Any]]:
    entry, risk = life.entry_price, life.risk
    last = "Stop (last)" if life.stop is None else "Stop, moved"
    moved = None if life.stop_final == life.stop else life.stop_final
    named = (
        ("entry", "Entry", entry),
        ("stop", "Stop", life.stop),
        ("stop", last, moved),
        ("target", "Target", life.target),
    )
    levels = []
    for kind, name, value in named:
        if value is None:
            continue
        planned = life.side * (value - life.planned_entry)
        in_r = display.r_multiple(planned / risk) if risk else ""
        text = name if kind == "entry" else f"{name} {in_r}".strip()
        shown = display.price(value, point)
        levels.append({"kind": kind, "price": value, "text": text, "shown": shown})
    return levels


def _excursion(
    in_r: float | None, in_pips: float | None, life: Life, instrument: Instrument, sign: int
) -> dict[str, Any] | None:
    """Price of the best or worst point, and how it is labelled."""
    risk = life.risk
    if in_r is not None and risk:
        distance, text = in_r * risk, display.r_multiple(in_r, signed=False)
    elif in_pips is not None:
        distance, text = in_pips * float(instrument.pip), display.pips(in_pips)
    else:
        return None
    return {"price": life.entry_price + sign * distance, "text": text}


def news_of(series: CandleSeries, candles: Candles, bar: int, user: Any) -> list[dict[str, Any]]:
    currencies = news_currencies(series.instrument.symbol)
    start, end = int(candles.time[0]), int(candles.time[-1]) + bar
    events = NewsEvent.objects.visible_to(user).filter(
        currency__in=currencies, time__gte=_datetime(start), time__lt=_datetime(end)
    )
    return [
        {
            "time": int(event.time.timestamp()),
            "impact": event.impact,
            "currency": event.currency,
            "title": event.title,
        }
        for event in events[:200]
    ]


def _facts(facts: Sequence[Fact], candles: Candles) -> list[dict[str, Any]]:
    """Facts that lie on a bar, with the open of the shown bar that holds them."""
    placed = []
    for fact in facts:
        if fact.bar_time is None:
            continue
        at = int(np.searchsorted(candles.time, fact.bar_time, side="right")) - 1
        if at >= 0:
            time = int(candles.time[at]) // NS_PER_SECOND
            seconds = fact.bar_time // NS_PER_SECOND
            placed.append(
                {
                    "id": fact.id,
                    "time": time,
                    "at": seconds,
                    "text": fact.text,
                    "cause": fact.cause,
                }
            )
    return placed


def _ghosts(ghosts: Sequence[Wider], candles: Candles) -> list[dict[str, Any]]:
    """Other plans' ends, as far as bars are shown."""
    last = int(candles.time[-1])
    return [
        {
            "stop": ghost.stop_price,
            "time": ghost.exit_time // NS_PER_SECOND,
            "price": ghost.exit_price,
            "text": display.r_multiple(ghost.r),
        }
        for ghost in ghosts
        if ghost.exit_time <= last + int(np.diff(candles.time[-2:]).max(initial=0))
    ]


def _ns(at: datetime) -> int:
    return math.floor((at - _EPOCH).total_seconds()) * NS_PER_SECOND


def _datetime(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // NS_PER_SECOND, tz=UTC)
