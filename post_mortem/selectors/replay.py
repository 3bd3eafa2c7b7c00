"""A trade bar by bar: the bars up to one moment, and nothing that came later.

Neither the bars offered nor their length, nor how far the replay goes, depend on how or when the
trade ended: it goes on as long as candles are stored, at most `MAX_STEPS` bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from post_mortem.models import InsightAudit
from trading.core.aggregate import aggregate
from trading.core.candles import Candles
from trading.core.errors import NotFoundError, UserError
from trading.core.types import NS_PER_DAY, NS_PER_SECOND, Horizon, timeframe_name, timeframe_ns
from trading.models import CandleSeries, Trade
from trading.selectors.candles import load_candles

from .bars import missing_bars
from .chart import (
    Life,
    Timeframe,
    bars_of,
    display_digits,
    levels_of,
    news_of,
)
from .columns import nanoseconds
from .evidence import RELATED, subject_of

MAX_STEPS = 1500
BEFORE = 120  # bars of context
_STEPS = ("1m", "5m", "15m", "30m", "1h", "4h", "1d")
_OFFERED = 4


@dataclass(frozen=True, slots=True)
class Replay:
    """`data` is JSON-ready and ends with bar `step` after the last one closed by the entry."""

    trade: Trade
    data: dict[str, Any]
    timeframes: tuple[Timeframe, ...]


def replay_of(
    user: Any, trade_id: int, *, timeframe: str = "", step: int = 0, have: int | None = None
) -> Replay:
    """The trade up to bar `step`; of the bars only those after bar `have`, which the reader has.

    Step 0 is the last bar closed by the entry. Raises `NotFoundError` for a trade that is foreign,
    absent or without judged candles, `UserError` for a bar or a step that is not offered.
    """
    audit = _audit(user, trade_id)
    series, trade = audit.series, audit.trade
    if series is None or trade is None:
        raise NotFoundError("no_candles", "No candles of this trade are stored.")
    names = _timeframes(series)
    chosen = timeframe or _usual(audit, names)
    if chosen not in names or not 0 <= step <= MAX_STEPS:
        raise UserError("replay", f"bars are {', '.join(names)}; steps 0 to {MAX_STEPS}")
    bar, entry = timeframe_ns(chosen), nanoseconds(trade.opened_at)
    shown, first, more = _shown(series, bar, entry, step)
    data = {
        **_plan(audit, trade, series),
        **bars_of(
            shown.rows(slice(_after(have, first, len(shown)), None)),
            series.point,
            series.instrument,
        ),
        "symbol": series.instrument.symbol,
        "timeframe": chosen,
        "barSeconds": bar // NS_PER_SECOND,
        "digits": display_digits(series.point),
        "missing": [
            int(t) // NS_PER_SECOND for t in missing_bars(series.instrument.kind, shown, bar)
        ],
        "span": [entry // bar * bar // NS_PER_SECOND, int(shown.time[-1]) // NS_PER_SECOND],
        "news": news_of(series, shown, bar, user),
        "step": max(0, len(shown) - first),
        "more": more and step < MAX_STEPS,
    }
    return Replay(trade, data, tuple(Timeframe(name, name == chosen) for name in names))


def _audit(user: Any, trade_id: int) -> InsightAudit:
    mine = Trade.objects.visible_to(user).filter(pk=trade_id)
    audits = InsightAudit.objects.filter(trade__in=mine, horizon=Horizon.TRADE)
    found: InsightAudit | None = audits.select_related(*RELATED, "series__instrument").first()
    if found is None:
        raise NotFoundError("not_found", "Not found.")
    return found


def _timeframes(series: CandleSeries) -> list[str]:
    base = timeframe_ns(series.timeframe)
    coarser = [n for n in _STEPS if timeframe_ns(n) > base and timeframe_ns(n) % base == 0]
    return [timeframe_name(base), *coarser][:_OFFERED]


def _usual(audit: InsightAudit, names: list[str]) -> str:
    """The signal's own bars where they can be made."""
    wanted = audit.signal.timeframe
    return wanted if wanted in names else names[0]


def _shown(series: CandleSeries, bar: int, entry: int, step: int) -> tuple[Candles, int, bool]:
    """(bars up to the step, index of the first after the entry, whether there is another)."""
    start = entry // bar * bar - BEFORE * bar
    # Twice the bars and a long weekend hold so many bars of a market that closes.
    end = entry + 2 * (step + 2) * bar + 4 * NS_PER_DAY
    candles = load_candles(series, start - 4 * NS_PER_DAY, end)
    base = timeframe_ns(series.timeframe)
    if base != bar and len(candles):
        candles = aggregate(candles, bar, base)
    closed = int(np.searchsorted(candles.time, entry - bar, side="right"))
    first = max(0, closed - BEFORE)
    stop = closed + step
    if stop == 0:
        raise NotFoundError("no_candles", "No candles before this trade are stored.")
    return candles.rows(slice(first, stop)), closed - first, len(candles) > stop


def _after(have: int | None, first: int, count: int) -> int:
    return 0 if have is None else min(max(0, first + have), count)


def _plan(audit: InsightAudit, trade: Trade, series: CandleSeries) -> dict[str, Any]:
    """The entry and the levels as they were planned; whatever moved or ended it came later."""
    subject = subject_of(audit, {})
    life = Life(
        side=trade.side,
        entry_time=trade.opened_at,
        entry_price=float(trade.entry_price),
        planned_entry=float(trade.requested_entry or trade.entry_price),
        exit_time=None,
        exit_price=None,
        end_time=trade.opened_at,
        stop=subject.stop_price,
        target=subject.target_price,
        stop_final=None,
        executed=True,
    )
    return {
        "side": life.side,
        "executed": True,
        "entry": {"time": int(trade.opened_at.timestamp()), "price": life.entry_price},
        "exit": None,
        "risk": life.risk,
        "levels": levels_of(life, series.instrument.point),
        "path": {"mfe": None, "mae": None},
        "facts": [],
        "ghosts": [],
        "ambiguous": False,
    }
