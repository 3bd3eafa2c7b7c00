"""Importing trades: one transaction, nothing twice, and a way back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError

from trading.core.errors import UserError
from trading.importers.trades import layout_hash, read_trades
from trading.importers.trades_contract import Layout, ParsedTrades, TradeOptions
from trading.models import Account, Execution, ImportBatch, Instrument, Signal, Trade

from .trade_fills import rebuild, store_fills
from .trade_rows import (
    ImportState,
    Progress,
    pnl_by_currency,
    preview,
    resolve_instruments,
    warnings_as_problems,
)
from .trade_trips import check_no_later_close, reopen, store_trips, undo_of

MAX_LISTED = 100
_FILE_NAME_LENGTH = 255
_COUNTED = (
    "rows_read", "rows_skipped", "trades_new", "trades_updated", "trades_removed",
    "trades_duplicate", "executions_new", "executions_duplicate", "signals_new",
)  # fmt: skip
_CHANGES = ("executions_new", "trades_new", "trades_updated", "trades_removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What an import did, or in a dry run would do. `summary` is JSON-ready."""

    batch: ImportBatch | None
    summary: dict[str, Any]


def no_progress(step: int, total: int) -> None:
    """For callers who show none."""


def import_trades(
    *,
    account: Account,
    data: bytes,
    file_name: str,
    options: TradeOptions | None = None,
    created_by: Any = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> ImportResult:
    """Read a file of trades into an account.

    A mapping given for a table is remembered for tables with the same header in this account, and
    used when none is given. Raises `FileError` with everything wrong in the file, and nothing is
    stored then. An import that changes nothing is not recorded.
    """
    given = remembered(account=account, data=data, file_name=file_name, options=options)
    parsed = read_trades(data, file_name, given)
    return store_trades(
        account=account,
        parsed=parsed,
        sha256=hashlib.sha256(data).hexdigest(),
        declared=given,
        created_by=created_by,
        dry_run=dry_run,
        progress=progress,
    )


def remembered(
    *, account: Account, data: bytes, file_name: str, options: TradeOptions | None
) -> TradeOptions:
    """The options with the mapping, date order and decimal comma of the last table like this."""
    given = options or TradeOptions()
    layout = layout_hash(data, file_name, given)
    if given.mapping or not layout:
        return given
    last = ImportBatch.objects.filter(
        account=account, kind=ImportBatch.Kind.TRADES, options__header_hash=layout
    ).first()
    if last is None:
        return given
    return replace(
        given,
        mapping=last.options.get("mapping", {}),
        date_order=given.date_order or last.options.get("date_order"),
        decimal_comma=given.decimal_comma or bool(last.options.get("decimal_comma")),
    )


@transaction.atomic
def store_trades(
    *,
    account: Account,
    parsed: ParsedTrades,
    sha256: str,
    declared: TradeOptions,
    created_by: Any = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> ImportResult:
    """Store what was read; a dry run does the same and takes everything back."""
    # Imports into one account go one after the other.
    Account.objects.select_for_update().get(pk=account.pk)
    _check_same_reading(account, parsed, declared, sha256)
    batch = _batch(account, parsed, sha256, declared, created_by)
    instruments, new = resolve_instruments(parsed)
    state = ImportState(account, batch, instruments, new, progress, parsed.rows_read)
    if parsed.layout == Layout.EXECUTIONS:
        store_fills(parsed.fills, state)
    else:
        store_trips(parsed.trips, state)
    summary = _summary(parsed, state, dry_run=dry_run)
    _finish(batch, state, summary)
    return concluded(batch, summary, changed=any(summary[name] for name in _CHANGES))


def concluded(batch: ImportBatch, summary: dict[str, Any], *, changed: bool) -> ImportResult:
    """Take a dry run back, and forget an import that changed nothing."""
    if summary["dry_run"]:
        transaction.set_rollback(True)
        return ImportResult(batch=None, summary=summary)
    if not changed:
        batch.delete()
        return ImportResult(batch=None, summary=summary)
    return ImportResult(batch=batch, summary=summary | {"import_id": batch.pk})


def _check_same_reading(
    account: Account, parsed: ParsedTrades, declared: TradeOptions, sha256: str
) -> None:
    """The same file read in another way would be added a second time, or change nothing."""
    before = ImportBatch.objects.filter(
        account=account,
        kind=ImportBatch.Kind.TRADES,
        status=ImportBatch.Status.DONE,
        file_sha256=sha256,
    )
    for batch in before:
        order = batch.options.get("date_order")
        if batch.time_zone != parsed.time_zone:
            raise _read_otherwise(
                "timezone_changed", f"times in {batch.time_zone or 'their offsets'}", batch, "tz"
            )
        if batch.options.get("columns", {}) != dict(parsed.mapping):
            raise _read_otherwise("columns_changed", "its columns read otherwise", batch, "map")
        if declared.date_order and order and order != declared.date_order:
            raise _read_otherwise("dates_changed", f"dates as {order}", batch, "date_order")


def _read_otherwise(code: str, how: str, batch: ImportBatch, field: str) -> UserError:
    return UserError(
        code,
        f"this file was imported with {how} (import {batch.pk}): take that import back first, "
        f"under History on the Import page or with undo_import {batch.pk}",
        field=field,
    )


def _batch(
    account: Account,
    parsed: ParsedTrades,
    sha256: str,
    declared: TradeOptions,
    created_by: Any,
) -> ImportBatch:
    return ImportBatch.objects.create(
        kind=ImportBatch.Kind.TRADES,
        desk=account.desk,
        account=account,
        file_name=parsed.file[:_FILE_NAME_LENGTH],
        file_sha256=sha256,
        format=parsed.format,
        time_zone=parsed.time_zone,
        created_by=created_by,
        options={
            "layout": parsed.layout.value,
            "header_hash": parsed.header_hash,
            "mapping": dict(declared.mapping),
            "columns": dict(parsed.mapping),
            "date_order": declared.date_order,
            "decimal_comma": declared.decimal_comma,
        },
    )


def _summary(parsed: ParsedTrades, state: ImportState, *, dry_run: bool) -> dict[str, Any]:
    skipped = [row.as_dict() for row in parsed.skipped] + state.skipped
    problems = (*parsed.problems, *warnings_as_problems(state))
    return {
        "file": parsed.file,
        "account": state.account.name,
        "format": parsed.format,
        "layout": parsed.layout.value,
        "time_zone": parsed.time_zone,
        "dry_run": dry_run,
        "import_id": None,
        "rows_read": parsed.rows_read,
        "trades_new": len(state.trades_new),
        "trades_updated": len(state.trades_updated),
        "trades_removed": state.trades_removed,
        "trades_duplicate": state.trades_duplicate,
        "executions_new": state.executions_new,
        "executions_duplicate": state.executions_duplicate,
        "signals_new": len(state.trades_new),
        "rows_skipped": len(skipped),
        "skipped": skipped[:MAX_LISTED],
        "open_trades": sum(t.closed_at is None for t in (*state.trades_new, *state.trades_updated)),
        "pnl": pnl_by_currency((*state.trades_new, *state.trades_updated)),
        "instruments_new": sorted(
            {i.symbol for i in state.instruments.values() if i.pk in state.instruments_new}
        ),
        "columns": dict(parsed.mapping),
        "notes": list(parsed.notes),
        "warnings": [problem.as_dict() for problem in problems],
        "preview": preview(parsed, state.instruments),
    }


def _finish(batch: ImportBatch, state: ImportState, summary: Mapping[str, Any]) -> None:
    batch.counts = {name: summary[name] for name in _COUNTED}
    batch.problems = [*summary["warnings"], *summary["skipped"]]
    batch.options |= {"instruments_new": state.instruments_new}
    batch.undo_data = json.dumps(state.undo).encode() if state.undo else None
    batch.save(update_fields=["counts", "problems", "options", "undo_data"])


# --- Undo -----------------------------------------------------------------------------------------
@transaction.atomic
def undo_trades(*, batch: ImportBatch) -> dict[str, int]:
    """Take back exactly what an import of trades added or changed.

    Call it with a batch that is locked and not undone yet. Instruments that it made stay when
    something else uses them by now.
    """
    account = batch.account
    if account is None:
        raise UserError("no_account", "the account of this import is gone")
    check_no_later_close(batch)
    reopen(batch, undo_of(batch))
    mine = Execution.objects.filter(import_batch=batch)
    fills = mine.filter(dedupe_key__startswith="f")
    touched = list(Instrument.objects.filter(pk__in=fills.values("instrument")))
    n_executions, n_trades = mine.count(), Trade.objects.filter(account=account).count()
    mine.filter(dedupe_key__regex="^[io]").delete()
    trips = Trade.objects.filter(import_batch=batch, dedupe_key__startswith="t")
    signals = list(trips.values_list("signal_id", flat=True))
    trips.delete()
    Signal.objects.filter(pk__in=signals, source=Signal.Source.TRADE, trades=None).delete()
    fills.delete()
    state = ImportState(account, batch, {}, [], no_progress)
    for instrument in touched:
        rebuild(instrument, state)
    remove_instruments(batch=batch)
    removed = n_trades - Trade.objects.filter(account=account).count()
    return {"trades_removed": removed, "executions_removed": n_executions}


def remove_instruments(*, batch: ImportBatch) -> None:
    """Remove what this and earlier undone imports made, unless something else uses it by now."""
    undone = ImportBatch.objects.filter(
        status=ImportBatch.Status.UNDONE,
        kind__in=(ImportBatch.Kind.TRADES, ImportBatch.Kind.SIGNALS),
    )
    made = {pk for options in undone.values_list("options", flat=True) for pk in _made(options)}
    for pk in made | set(_made(batch.options)):
        unused = Instrument.objects.filter(pk=pk, aliases=None)
        try:
            with transaction.atomic():
                unused.delete()
        except ProtectedError:
            continue


def _made(options: Mapping[str, Any]) -> list[int]:
    return list(options.get("instruments_new", ()))
