"""Storing round trips that came as such: each row is one trade with one entry and one exit.

Rows are matched with stored trades that have the same entry. A closed row is a duplicate of a
trade with the same exit, closes one that is still open, or is new; an open row is a duplicate of
any trade with its entry that no other row claimed. A row that repeats another of the file with the
same id is a duplicate too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading.core.errors import ConflictError
from trading.importers.trades_contract import TripRow
from trading.models import Execution, ImportBatch, Signal, Trade

from .trade_keys import FreeNumbers, base_of, entry_base, exit_key, signal_key_of_trade, trip_base
from .trade_rows import ImportState, moment, new_trade, results, save_new, trip_fields

_UNDONE_FIELDS = (
    "requested_exit", "exit_price", "closed_at", "exit_reason", "exit_reason_text",
    "stop_loss_final", "commission", "swap", "gross_pnl", "net_pnl", "dedupe_key",
)  # fmt: skip
_LEGS = ("side", "quantity", "opened_at", "entry_price", "closed_at", "exit_price")


@dataclass(frozen=True, slots=True)
class _Stored:
    trade_id: int
    key: str
    is_open: bool


def store_trips(rows: Sequence[TripRow], state: ImportState) -> None:
    """Add what is new, close what was open, leave the rest alone."""
    if not rows:
        return
    known, entry_keys = _stored(rows, state)
    entries = FreeNumbers(entry_keys)
    trips = FreeNumbers(found.key for group in known.values() for found in group)
    created: list[tuple[TripRow, Trade, str]] = []
    closed: list[tuple[TripRow, int, str]] = []
    for base, group in _groups(rows, state).items():
        free = list(known.get(base, ()))
        for row, found in _matched(group, free, state):
            if found is None:
                key = trips.take(trip_base(row, _symbol(row, state)))
                created.append((row, _trade(row, key, state), entries.take(base)))
            elif found.is_open and row.closed_at is not None:
                key = trips.take(trip_base(row, _symbol(row, state)))
                closed.append((row, found.trade_id, key))
            else:
                state.trades_duplicate += 1
            state.row_done()
    created.sort(key=lambda item: item[0].line)
    state.trades_new = [trade for _, trade, _ in created]
    save_new(state.trades_new)
    executions = [leg for item in created for leg in _legs(*item, state)]
    executions += _close(closed, state)
    Execution.objects.bulk_create(executions, batch_size=500)
    state.executions_new = len(executions)


def _symbol(row: TripRow, state: ImportState) -> str:
    return state.instruments[row.symbol].symbol


def _groups(rows: Sequence[TripRow], state: ImportState) -> dict[str, list[TripRow]]:
    groups: dict[str, list[TripRow]] = {}
    for row in rows:
        groups.setdefault(entry_base(row, _symbol(row, state)), []).append(row)
    return {
        base: _once(group, state) if group[0].external_id else group
        for base, group in groups.items()
    }


def _once(group: Sequence[TripRow], state: ImportState) -> list[TripRow]:
    """The rows of one id without those that repeat the entry and exit of another. An id may have
    several rows, its partial exits."""
    first: dict[tuple[object, ...], TripRow] = {}
    for row in group:
        other = first.setdefault(tuple(getattr(row, name) for name in _LEGS), row)
        if other is row:
            continue
        if replace(row, line=other.line) == other:
            state.trades_duplicate += 1
            state.warn("repeated_row", row.line)
        else:
            detail = f"line {other.line} has the same id, entry and exit, and another content"
            state.skipped.append(
                {"row": row.line, "code": "conflicting_duplicate", "detail": detail}
            )
        state.row_done()
    return list(first.values())


def _stored(
    rows: Sequence[TripRow], state: ImportState
) -> tuple[dict[str, list[_Stored]], list[str]]:
    """Stored trades opened in the time of these rows, by their entry's base, and entry keys."""
    times = [row.opened_at for row in rows]
    found = Execution.objects.filter(
        account=state.account,
        dedupe_key__startswith="i",
        time__range=(moment(min(times)), moment(max(times))),
    ).order_by("pk")
    known: dict[str, list[_Stored]] = {}
    keys = []
    columns = ("dedupe_key", "trade_id", "trade__dedupe_key", "trade__closed_at")
    for key, trade_id, trade_key, closed_at in found.values_list(*columns):
        keys.append(key)
        if trade_id is not None:
            group = known.setdefault(base_of(key), [])
            group.append(_Stored(trade_id, trade_key, closed_at is None))
    return known, keys


def _matched(
    group: Sequence[TripRow], free: list[_Stored], state: ImportState
) -> list[tuple[TripRow, _Stored | None]]:
    """Each row of one entry with the stored trade it repeats or closes, exact repeats first."""
    if not free:
        return [(row, None) for row in group]
    result: list[tuple[TripRow, _Stored | None]] = []
    rest = []
    for row in group:
        base = trip_base(row, _symbol(row, state))
        same = next((found for found in free if base_of(found.key) == base), None)
        if same is None:
            rest.append(row)
        else:
            free.remove(same)
            result.append((row, same))
    for row in sorted(rest, key=lambda row: row.closed_at is None):
        fitting = [found for found in free if row.closed_at is None or found.is_open]
        match = fitting[0] if fitting else None
        if match is not None:
            free.remove(match)
        result.append((row, match))
    return result


def _trade(row: TripRow, key: str, state: ImportState) -> Trade:
    fields = trip_fields(row, state.instruments[row.symbol], state)
    batch_id = state.batch.pk
    return new_trade(
        state, key=key, timeframe=row.timeframe, line=row.line, batch_id=batch_id, **fields
    )


def _legs(row: TripRow, trade: Trade, entry_key: str, state: ImportState) -> list[Execution]:
    entry = _leg(trade, entry_key, trade.opened_at, trade.side, trade.entry_price, state)
    return [entry, *_exit_leg(trade, state)]


def _exit_leg(trade: Trade, state: ImportState) -> list[Execution]:
    """The exit's fill, or nothing while the trade is open."""
    if trade.closed_at is None or trade.exit_price is None:
        return []
    key = exit_key(trade.dedupe_key)
    return [_leg(trade, key, trade.closed_at, -trade.side, trade.exit_price, state)]


def _leg(
    trade: Trade,
    key: str,
    time: datetime,
    side: int,
    price: Decimal,
    state: ImportState,
) -> Execution:
    """One fill of a round trip. Its costs are known for the trade as a whole only."""
    return Execution(
        account=state.account,
        trade=trade,
        instrument=trade.instrument,
        dedupe_key=key,
        time=time,
        side=side,
        quantity=trade.quantity,
        price=price,
        import_batch=state.batch,
    )


def _close(closed: Sequence[tuple[TripRow, int, str]], state: ImportState) -> list[Execution]:
    """Close stored open trades; what they were before goes into the batch for undo."""
    ids = [trade_id for _, trade_id, _ in closed]
    trades: Mapping[int, Trade] = Trade.objects.select_related("signal", "instrument").in_bulk(ids)
    before, signals = [], []
    legs: list[Execution] = []
    for row, trade_id, key in closed:
        trade = trades[trade_id]
        before.append(
            {"pk": trade.pk} | {name: _text(getattr(trade, name)) for name in _UNDONE_FIELDS}
        )
        if trade.signal.dedupe_key == signal_key_of_trade(trade.dedupe_key):
            trade.signal.dedupe_key = signal_key_of_trade(key)
            signals.append(trade.signal)
        trade.dedupe_key = key
        for name, value in results(row, state).items():
            setattr(trade, name, value)
        legs += _exit_leg(trade, state)
        state.trades_updated.append(trade)
    Trade.objects.bulk_update(list(trades.values()), _UNDONE_FIELDS, batch_size=200)
    Signal.objects.bulk_update(signals, ["dedupe_key"], batch_size=500)
    if before:
        state.undo["closed"] = before
    return legs


def _text(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else value


def reopen(batch: ImportBatch, undo: Mapping[str, Any]) -> None:
    """Give trades that this import closed back what they were before it."""
    saved = {int(item["pk"]): item for item in undo.get("closed", ())}
    trades = Trade.objects.select_related("signal").in_bulk(list(saved))
    signals = []
    for pk, trade in trades.items():
        if trade.signal.dedupe_key == signal_key_of_trade(trade.dedupe_key):
            trade.signal.dedupe_key = signal_key_of_trade(str(saved[pk]["dedupe_key"]))
            signals.append(trade.signal)
        for name in _UNDONE_FIELDS:
            field: Any = Trade._meta.get_field(name)
            setattr(trade, name, field.to_python(saved[pk][name]))
    Trade.objects.bulk_update(list(trades.values()), _UNDONE_FIELDS, batch_size=200)
    Signal.objects.bulk_update(signals, ["dedupe_key"], batch_size=500)


def check_no_later_close(batch: ImportBatch) -> None:
    """A trade that a later import closed goes after that import is undone."""
    own = set(Trade.objects.filter(import_batch=batch).values_list("pk", flat=True))
    later = ImportBatch.objects.filter(
        account=batch.account,
        kind=ImportBatch.Kind.TRADES,
        status=ImportBatch.Status.DONE,
        pk__gt=batch.pk,
        undo_data__isnull=False,
    )
    for other in later:
        closed = {int(item["pk"]) for item in undo_of(other).get("closed", ())}
        if closed & own:
            raise ConflictError(
                "undo_order", f"import {other.pk} closed trades of import {batch.pk}: undo it first"
            )


def undo_of(batch: ImportBatch) -> dict[str, Any]:
    return dict(json.loads(bytes(batch.undo_data))) if batch.undo_data else {}
