"""Rows of trades and their signals from what a file or its round trips say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from trading.core.errors import Problem
from trading.core.exact import difference, product, stored, total
from trading.core.round_trips import RoundTrip
from trading.importers.trades_contract import FillRow, ParsedTrades, TripRow
from trading.models import Account, ImportBatch, Instrument, Signal, Trade

from .instruments import ensure_instrument, find_instrument
from .trade_keys import signal_key_of_trade

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# A file's own profit may differ by rounding; more means another unit or currency.
_PNL_TOLERANCE = Decimal("0.01")
# Called with the rows just done and the rows in all.
Progress = Callable[[int, int], None]


def moment(ns: int) -> datetime:
    """A time of the core (ns UTC, whole microseconds) as the database keeps it."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def nanoseconds(value: datetime) -> int:
    return (value - _EPOCH) // _MICROSECOND * 1000


@dataclass(slots=True)
class ImportState:
    """One import while it runs: where rows go, and what has happened so far."""

    account: Account
    batch: ImportBatch
    instruments: Mapping[str, Instrument]
    instruments_new: list[int]
    on_progress: Progress
    rows: int = 0
    trades_new: list[Trade] = field(default_factory=list)
    trades_updated: list[Trade] = field(default_factory=list)
    trades_removed: int = 0
    trades_duplicate: int = 0
    executions_new: int = 0
    executions_duplicate: int = 0
    skipped: list[dict[str, object]] = field(default_factory=list)
    warnings: dict[str, list[int]] = field(default_factory=dict)
    undo: dict[str, Any] = field(default_factory=dict)

    def row_done(self) -> None:
        self.on_progress(1, self.rows)

    def warn(self, code: str, line: int) -> None:
        self.warnings.setdefault(code, []).append(line)


_WARNINGS = {
    "tp_side": "the target is not on the winning side of the entry: kept with the trade, but not "
    "taken as the signal's target",
    "repeated_row": "the row repeats another with its id exactly: counted once",
    "stop_side": "the stop is not on the losing side of the entry: kept as given, and flagged",
    "pnl_differs": "the profit in the file is not what prices and quantity give (lots, contracts "
    "or another currency): the file's figure is kept",
}


def warnings_as_problems(state: ImportState) -> tuple[Problem, ...]:
    return tuple(
        Problem(code, _WARNINGS[code], False, rows=tuple(lines[:20]), count=len(lines))
        for code, lines in sorted(state.warnings.items())
    )


def resolve_instruments(parsed: ParsedTrades) -> tuple[dict[str, Instrument], list[int]]:
    """(instrument by the symbol as written, ids of the new ones). The decimals of the file's
    prices set the point of an instrument that has no convention and no candles yet."""
    seen: dict[str, int] = {}
    for symbol, price in _prices(parsed):
        exponent = price.normalize().as_tuple().exponent
        places = -exponent if isinstance(exponent, int) else 0
        seen[symbol] = max(seen.get(symbol, 0), places)
    found, new = {}, []
    for symbol, decimals in seen.items():
        known = find_instrument(symbol)
        found[symbol] = known or ensure_instrument(symbol=symbol, decimals=decimals)
        if known is None:
            new.append(found[symbol].pk)
    return found, new


def _prices(parsed: ParsedTrades) -> Iterable[tuple[str, Decimal]]:
    for fill in parsed.fills:
        yield fill.symbol, fill.price
    for trip in parsed.trips:
        yield trip.symbol, trip.entry_price
        if trip.exit_price is not None:
            yield trip.symbol, trip.exit_price


# --- Trades ---------------------------------------------------------------------------------------
def trip_fields(row: TripRow, instrument: Instrument, state: ImportState) -> dict[str, Any]:
    """Columns of a trade as its source built it."""
    gross, net = _results(row, state)
    return {
        "instrument": instrument,
        "external_id": row.external_id,
        "side": row.side,
        "quantity": row.quantity,
        "requested_entry": row.requested_entry,
        "entry_price": row.entry_price,
        "opened_at": moment(row.opened_at),
        "stop_loss_initial": row.stop_initial,
        "take_profit": row.take_profit,
        "pnl_currency": row.currency or instrument.quote,
        "strategy": row.strategy,
        "tags": list(row.tags),
        "notes": row.notes,
        **closing_fields(row, gross, net),
    }


def closing_fields(row: TripRow, gross: Decimal | None, net: Decimal | None) -> dict[str, Any]:
    """The columns that change when an open trade is closed."""
    return {
        "requested_exit": row.requested_exit,
        "exit_price": row.exit_price,
        "closed_at": None if row.closed_at is None else moment(row.closed_at),
        "exit_reason": row.exit_reason,
        "exit_reason_text": row.exit_reason_text,
        "stop_loss_final": row.stop_final,
        "commission": row.commission,
        "swap": row.swap,
        "gross_pnl": gross,
        "net_pnl": net,
    }


def _results(row: TripRow, state: ImportState) -> tuple[Decimal | None, Decimal | None]:
    """(gross, net); None while the trade is open. The file's own figures go before computed ones;
    costs that are not known count as none."""
    if row.exit_price is None:
        return None, None
    computed = product(Decimal(row.side), row.quantity, difference(row.exit_price, row.entry_price))
    costs = total(cost for cost in (row.commission, row.swap) if cost is not None)
    gross, net = row.gross_pnl, row.net_pnl
    if gross is None:
        gross = computed if net is None else difference(net, costs)
    if net is None:
        net = total((gross, costs))
    if abs(difference(gross, computed)) > _PNL_TOLERANCE * max(abs(gross), abs(computed)):
        state.warn("pnl_differs", row.line)
    return stored(gross), stored(net)


def results(row: TripRow, state: ImportState) -> dict[str, Any]:
    """The closing columns of a row with its results."""
    return closing_fields(row, *_results(row, state))


def round_trip_fields(trip: RoundTrip) -> dict[str, Any]:
    """Columns that follow from executions; gross and net stay empty while the trade is open."""
    closed = trip.closed_at
    gross = None if closed is None else trip.gross_pnl
    commission = trip.commission
    net = None if gross is None else total((gross, commission or Decimal(0)))
    return {
        "side": trip.side,
        "quantity": trip.quantity,
        "entry_price": trip.average_entry,
        "opened_at": moment(trip.opened_at),
        "exit_price": None if closed is None else trip.average_exit,
        "closed_at": None if closed is None else moment(closed),
        "commission": None if commission is None else stored(commission),
        "gross_pnl": None if gross is None else stored(gross),
        "net_pnl": None if net is None else stored(net),
    }


# --- Signals --------------------------------------------------------------------------------------
def new_trade(
    state: ImportState, *, key: str, timeframe: str, line: int, batch_id: int | None, **fields: Any
) -> Trade:
    """A trade with a signal of its own, neither saved yet."""
    trade = Trade(account=state.account, dedupe_key=key, import_batch_id=batch_id, **fields)
    entry, stop, target = trade.entry_price, trade.stop_loss_initial, trade.take_profit
    if target is not None and trade.side * target.compare(entry) <= 0:
        state.warn("tp_side", line)
        target = None
    if stop is not None and trade.side * entry.compare(stop) <= 0:
        state.warn("stop_side", line)
    trade.signal = Signal(
        account=state.account,
        instrument=trade.instrument,
        dedupe_key=signal_key_of_trade(key),
        source=Signal.Source.TRADE,
        time=trade.opened_at,
        timeframe=timeframe,
        side=trade.side,
        entry_price=entry,
        stop_loss=stop,
        take_profit=target,
        strategy=trade.strategy,
        import_batch_id=batch_id,
    )
    return trade


def save_new(trades: list[Trade]) -> None:
    """Save trades with the signals they brought."""
    Signal.objects.bulk_create([trade.signal for trade in trades], batch_size=500)
    for trade in trades:
        trade.signal_id = trade.signal.pk
    Trade.objects.bulk_create(trades, batch_size=500)


# --- What a user is shown -------------------------------------------------------------------------
def preview(parsed: ParsedTrades, instruments: Mapping[str, Instrument]) -> list[dict[str, object]]:
    """The first five rows as they were understood."""
    rows: list[FillRow | TripRow] = [*parsed.fills, *parsed.trips]
    return [_shown(row, instruments[row.symbol].symbol) for row in rows[:5]]


def _shown(row: FillRow | TripRow, symbol: str) -> dict[str, object]:
    if isinstance(row, FillRow):
        values: dict[str, object] = {
            "time": moment(row.time),
            "side": "buy" if row.side > 0 else "sell",
            "price": row.price,
        }
    else:
        values = {
            "opened_at": moment(row.opened_at),
            "closed_at": None if row.closed_at is None else moment(row.closed_at),
            "side": "long" if row.side > 0 else "short",
            "entry_price": row.entry_price,
            "exit_price": row.exit_price,
            "stop_loss_initial": row.stop_initial,
            "stop_loss_final": row.stop_final,
            "take_profit": row.take_profit,
            "exit_reason": row.exit_reason,
        }
    known = {"row": row.line, "symbol": symbol, **values, "quantity": row.quantity}
    return {name: _plain(value) for name, value in known.items()} | {
        "commission": _plain(row.commission)
    }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else value


def pnl_by_currency(trades: Iterable[Trade]) -> dict[str, dict[str, str]]:
    """Gross and net of closed trades, one sum a currency."""
    sums: dict[str, tuple[list[Decimal], list[Decimal]]] = {}
    for trade in trades:
        if trade.gross_pnl is None or trade.net_pnl is None:
            continue
        gross, net = sums.setdefault(trade.pnl_currency, ([], []))
        gross.append(trade.gross_pnl)
        net.append(trade.net_pnl)
    return {
        currency: {"gross": format(total(gross), "f"), "net": format(total(net), "f")}
        for currency, (gross, net) in sorted(sums.items())
    }
