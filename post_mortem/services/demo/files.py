"""The simulated desk as the files a trader would import: calendar, signals, statement, fills."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from decimal import Decimal

from .calendar import Release
from .feed import TIMEFRAME
from .rows import FillRow, SignalRow, TradeRow
from .trader import Desk

CURRENCY = "USD"
_SIDES = {1: "long", -1: "short"}


def calendar_csv(releases: Iterable[Release]) -> bytes:
    header = ("time_utc", "currency", "title", "impact", "actual", "forecast", "surprise_z")
    return _csv(
        header,
        (
            (f"{r.time:%Y-%m-%d %H:%M}", r.currency, r.title, r.impact, r.actual, r.forecast,
             f"{r.surprise_z:.2f}")
            for r in releases
        ),
    )  # fmt: skip


def signals_csv(signals: Iterable[SignalRow]) -> bytes:
    header = (
        "external_id", "time", "symbol", "timeframe", "side", "entry", "stop_loss", "take_profit",
        "score", "score_semantics", "min_score", "strategy", "strategy_kind", "claimed_setups",
        "model_version",
    )  # fmt: skip
    return _csv(
        header,
        (
            (s.external_id, s.time.isoformat(), s.symbol, s.timeframe, _SIDES[s.side], s.entry,
             s.stop_loss, s.take_profit, s.score, s.semantics, s.min_score, s.strategy,
             s.strategy_kind, ";".join(s.setups), s.model_version)
            for s in signals
        ),
    )  # fmt: skip


def statement_csv(desk: Desk) -> bytes:
    """Round trips as a broker reports them: results in the account's currency."""
    header = (
        "external_id", "symbol", "side", "quantity", "opened_at", "entry_price", "closed_at",
        "exit_price", "requested_entry", "requested_exit", "stop_loss_initial", "stop_loss_final",
        "take_profit", "commission", "gross_pnl", "net_pnl", "currency", "exit_reason", "strategy",
        "timeframe", "tags", "notes",
    )  # fmt: skip
    return _csv(header, (_statement_line(t) for t in desk.trades if not is_scaled(t)))


def _statement_line(t: TradeRow) -> tuple[object, ...]:
    opened, closed = t.fills[0], t.fills[-1]
    return (
        t.external_id, t.symbol, _SIDES[t.side], t.quantity, opened.time.isoformat(), opened.price,
        closed.time.isoformat(), closed.price, t.requested_entry, t.requested_exit, t.stop_initial,
        t.stop_final, t.take_profit, t.commission, t.gross_pnl, t.gross_pnl + t.commission,
        CURRENCY, t.exit_reason, t.strategy, TIMEFRAME, ";".join(t.tags), t.notes,
    )  # fmt: skip


def fills_csv(desk: Desk) -> bytes:
    """Executions of the trades that were closed in several parts."""
    header = (
        "external_id", "symbol", "time", "side", "quantity", "price", "commission", "currency",
        "strategy", "timeframe",
    )  # fmt: skip
    return _csv(
        header,
        (_fill_line(t, fill) for t in desk.trades if is_scaled(t) for fill in t.fills),
    )


def _fill_line(t: TradeRow, fill: FillRow) -> tuple[object, ...]:
    side = "buy" if fill.side > 0 else "sell"
    return (
        fill.external_id, t.symbol, fill.time.isoformat(), side, fill.quantity, fill.price,
        fill.commission, CURRENCY, t.strategy, TIMEFRAME,
    )  # fmt: skip


def is_scaled(trade: TradeRow) -> bool:
    return len(trade.fills) > 2


def _csv(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else str(value)
