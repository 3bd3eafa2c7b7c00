"""Storing executions and building the account's trades from all of them.

The round trips of an account and instrument are always those of all its stored fills, so files may
overlap and come in any order: a trade that was open is extended, one that an older fill changes is
rebuilt, and taking fills away rebuilds what is left. A trade keeps its row, and with it the user's
notes, as long as it keeps its first fill, else as long as it keeps any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trading.core.exact import total
from trading.core.round_trips import Fill, Part, RoundTrip, round_trips
from trading.importers.trades_contract import FillRow
from trading.models import Account, Execution, Instrument, Signal, Trade

from .trade_keys import SPLIT, FreeNumbers, base_of, fill_base, signal_key_of_trade, whole_fill
from .trade_rows import ImportState, moment, nanoseconds, new_trade, round_trip_fields, save_new

_SIGNAL_FIELDS = ("dedupe_key", "time", "side", "entry_price")


def store_fills(rows: Sequence[FillRow], state: ImportState) -> None:
    """Add the fills that are not stored yet and rebuild the trades they touch."""
    if not rows:
        return
    new = _new_fills(rows, state)
    state.executions_new = len(new)
    fresh: dict[int, list[Execution]] = {}
    for key, row in new.items():
        execution = _execution(row, key, state)
        fresh.setdefault(execution.instrument_id, []).append(execution)
    for executions in fresh.values():
        rebuild(executions[0].instrument, state, new, executions)


def _new_fills(rows: Sequence[FillRow], state: ImportState) -> dict[str, FillRow]:
    """Fills to add by their keys. Of identical fills without an id as many are new as the file
    has more of them than are stored."""
    stored_keys = _stored_keys(rows, state.account)
    left: dict[str, int] = {}
    for key in stored_keys:
        if not key.endswith(SPLIT):
            left[base_of(key)] = left.get(base_of(key), 0) + 1
    numbers = FreeNumbers(stored_keys)
    by_id: dict[str, FillRow] = {}
    new: dict[str, FillRow] = {}
    for row in rows:
        state.row_done()
        base = fill_base(row, state.instruments[row.symbol].symbol)
        if row.external_id:
            first = by_id.setdefault(base, row)
            if first is not row:
                _repeated(first, row, state)
                continue
        if left.get(base, 0) > 0:
            left[base] -= 1
            state.executions_duplicate += 1
        else:
            new[numbers.take(base)] = row
    return new


def _repeated(first: FillRow, row: FillRow, state: ImportState) -> None:
    same = ("time", "side", "quantity", "price")
    if all(getattr(first, name) == getattr(row, name) for name in same):
        state.executions_duplicate += 1
        return
    state.skipped.append(
        {
            "row": row.line,
            "code": "conflicting_duplicate",
            "detail": f"row {first.line} has the same execution id and another content",
        }
    )


def _stored_keys(rows: Sequence[FillRow], account: Account) -> list[str]:
    times = [row.time for row in rows]
    found = Execution.objects.filter(
        account=account,
        dedupe_key__startswith="f",
        time__range=(moment(min(times)), moment(max(times))),
    )
    return list(found.values_list("dedupe_key", flat=True))


def _execution(row: FillRow, key: str, state: ImportState) -> Execution:
    return Execution(
        account=state.account,
        instrument=state.instruments[row.symbol],
        external_id=row.external_id,
        dedupe_key=key,
        time=moment(row.time),
        side=row.side,
        quantity=row.quantity,
        price=row.price,
        commission=row.commission,
        import_batch=state.batch,
    )


# --- Rebuilding -----------------------------------------------------------------------------------
@dataclass(slots=True)
class _Pool:
    """All fills of one account and instrument by key, stored ones and then new ones, not saved
    yet, as the file lists them; and the trades made of the stored ones."""

    rows: dict[str, Execution]
    trades: dict[int, Trade]

    def fills(self) -> list[Fill]:
        """The fills as the source gave them: parts of a split one put together again."""
        parts: dict[str, list[Execution]] = {}
        for key, row in self.rows.items():
            parts.setdefault(whole_fill(key), []).append(row)
        return [_fill(key, rows, place) for place, (key, rows) in enumerate(parts.items())]


def _fill(key: str, rows: Sequence[Execution], place: int) -> Fill:
    first = min(rows, key=lambda row: len(row.dedupe_key))
    known = [row.commission for row in rows if row.commission is not None]
    return Fill(
        id=key,
        time=nanoseconds(first.time),
        sequence=place,
        side=first.side,
        quantity=total(row.quantity for row in rows),
        price=first.price,
        commission=total(known) if len(known) == len(rows) else None,
    )


def part_key(part: Part) -> str:
    return part.fill.id + SPLIT * part.piece


def rebuild(
    instrument: Instrument,
    state: ImportState,
    new: Mapping[str, FillRow] | None = None,
    fresh: Sequence[Execution] = (),
) -> None:
    """Make trades and executions agree with the round trips of all stored and `fresh` fills.

    `fresh` are not saved yet; `new` are the rows they came from, which know strategy and timeframe
    of a trade they open.
    """
    mine: dict[str, Any] = {"account": state.account, "instrument": instrument}
    pool = _Pool(
        {row.dedupe_key: row for row in (*_fills_of(mine), *fresh)},
        {
            trade.pk: trade
            for trade in Trade.objects.filter(**mine, dedupe_key__startswith="f").select_related(
                "signal", "instrument"
            )
        },
    )
    trips = round_trips(pool.fills())
    owners = _owners(trips, pool)
    created: list[Trade] = []
    final: list[Trade] = []
    for trip, owner in zip(trips, owners, strict=True):
        if owner is None:
            trade = _opened(trip, instrument, pool, state, new or {})
            created.append(trade)
        else:
            trade = owner
            _apply(trade, trip, pool, state)
        final.append(trade)
    _remove(set(pool.trades) - {trade.pk for trade in final if trade.pk}, pool, state)
    save_new(created)
    state.trades_new.extend(created)
    _update_executions(trips, final, pool)


def _fills_of(mine: Mapping[str, Any]) -> Iterable[Execution]:
    return Execution.objects.filter(**mine, dedupe_key__startswith="f").order_by("pk")


def _owners(trips: Sequence[RoundTrip], pool: _Pool) -> list[Trade | None]:
    """The stored trade that each round trip continues."""
    by_key = {trade.dedupe_key: trade for trade in pool.trades.values()}
    owners = [by_key.get(part_key(trip.parts[0])) for trip in trips]
    free = set(pool.trades) - {trade.pk for trade in owners if trade is not None}
    for index, trip in enumerate(trips):
        if owners[index] is not None or not free:
            continue
        rows = [pool.rows.get(part_key(part)) for part in trip.parts]
        former = next((row.trade_id for row in rows if row and row.trade_id in free), None)
        if former is not None:
            free.remove(former)
            owners[index] = pool.trades[former]
    return owners


def _opened(
    trip: RoundTrip,
    instrument: Instrument,
    pool: _Pool,
    state: ImportState,
    new: Mapping[str, FillRow],
) -> Trade:
    first = trip.parts[0].fill
    row, stored_row = new.get(first.id), pool.rows[first.id]
    former = pool.trades.get(stored_row.trade_id or 0)
    strategy = row.strategy if row else former.strategy if former else ""
    timeframe = row.timeframe if row else former.signal.timeframe if former else ""
    currency = row.currency if row else former.pnl_currency if former else ""
    return new_trade(
        state,
        key=part_key(trip.parts[0]),
        timeframe=timeframe,
        line=row.line if row else 0,
        batch_id=stored_row.import_batch_id,
        instrument=instrument,
        strategy=strategy,
        pnl_currency=currency or instrument.quote,
        **round_trip_fields(trip),
    )


def _apply(trade: Trade, trip: RoundTrip, pool: _Pool, state: ImportState) -> None:
    """Bring a stored trade, and the signal made for it, up to date; save what changed."""
    first = trip.parts[0]
    wanted = {
        **round_trip_fields(trip),
        "dedupe_key": part_key(first),
        "import_batch_id": pool.rows[first.fill.id].import_batch_id,
    }
    own_signal = trade.signal.dedupe_key == signal_key_of_trade(trade.dedupe_key)
    changed = [name for name, value in wanted.items() if getattr(trade, name) != value]
    if not changed:
        return
    for name in changed:
        setattr(trade, name, wanted[name])
    trade.save(update_fields=[name.removesuffix("_id") for name in changed])
    state.trades_updated.append(trade)
    if own_signal:
        _follow(trade)


def _follow(trade: Trade) -> None:
    signal = trade.signal
    signal.dedupe_key = signal_key_of_trade(trade.dedupe_key)
    signal.time, signal.side = trade.opened_at, trade.side
    signal.entry_price = trade.entry_price
    signal.import_batch_id = trade.import_batch_id
    signal.save(update_fields=[*_SIGNAL_FIELDS, "import_batch"])


def _remove(gone: set[int], pool: _Pool, state: ImportState) -> None:
    """Delete trades that no fill makes any more, with the signals made for them."""
    if not gone:
        return
    Execution.objects.filter(trade__in=gone).update(trade=None)
    signals = [pool.trades[pk].signal_id for pk in gone]
    Trade.objects.filter(pk__in=gone).delete()
    Signal.objects.filter(pk__in=signals, source=Signal.Source.TRADE, trades=None).delete()
    state.trades_removed += len(gone)


def _update_executions(trips: Sequence[RoundTrip], trades: Sequence[Trade], pool: _Pool) -> None:
    """One row a part, each with its trade."""
    wanted = {
        part_key(part): (part, trade)
        for trip, trade in zip(trips, trades, strict=True)
        for part in trip.parts
    }
    extra = [row.pk for key, row in pool.rows.items() if key not in wanted]
    Execution.objects.filter(pk__in=extra).delete()
    changed = []
    for key, row in pool.rows.items():
        if key not in wanted:
            continue
        part, trade = wanted[key]
        values = (part.quantity, part.commission, trade.pk)
        if (row.quantity, row.commission, row.trade_id) != values:
            row.quantity, row.commission, row.trade_id = values
            changed.append(row)
    known = [row for row in changed if row.pk is not None]
    Execution.objects.bulk_update(known, ["quantity", "commission", "trade"], batch_size=200)
    # In the order of the file, which settles what came first in one moment.
    fresh = [row for row in changed if row.pk is None]
    halves = [
        _second_part(pool.rows[part.fill.id], key, part, trade)
        for key, (part, trade) in wanted.items()
        if key not in pool.rows
    ]
    Execution.objects.bulk_create([*fresh, *halves], batch_size=500)


def _second_part(row: Execution, key: str, part: Part, trade: Trade) -> Execution:
    return Execution(
        account_id=row.account_id,
        trade=trade,
        instrument_id=row.instrument_id,
        external_id=row.external_id,
        dedupe_key=key,
        time=row.time,
        side=row.side,
        quantity=part.quantity,
        price=row.price,
        commission=part.commission,
        import_batch_id=row.import_batch_id,
    )
