"""Importing signals and posting single ones: one transaction, nothing twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from trading.core.errors import ConflictError
from trading.importers.signals import ParsedSignals, SignalRow, read_signals
from trading.importers.trades_contract import TradeOptions
from trading.models import Account, ImportBatch, Instrument, Signal

from .instruments import ensure_instrument, find_instrument
from .trade_keys import signal_key
from .trade_rows import Progress, moment
from .trades import MAX_LISTED, ImportResult, concluded, no_progress, remove_instruments

_COMPARED = ("time", "side", "entry_price", "stop_loss", "take_profit", "score")


def import_signals(
    *,
    account: Account,
    data: bytes,
    file_name: str,
    options: TradeOptions | None = None,
    created_by: Any = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> ImportResult:
    """Read a file of signals into an account. `FileError` names everything wrong in it."""
    parsed = read_signals(data, file_name, options or TradeOptions())
    return store_signals(
        account=account,
        parsed=parsed,
        sha256=hashlib.sha256(data).hexdigest(),
        created_by=created_by,
        dry_run=dry_run,
        progress=progress,
    )


@transaction.atomic
def store_signals(
    *,
    account: Account,
    parsed: ParsedSignals,
    sha256: str,
    created_by: Any = None,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> ImportResult:
    """Store what was read; a dry run does the same and takes everything back.

    A signal that is stored already is a duplicate; one with its id and another content is skipped
    with that reason, and the stored one stays.
    """
    Account.objects.select_for_update().get(pk=account.pk)
    batch = _batch(account, parsed, sha256, created_by)
    instruments, instruments_new = _instruments(parsed.signals)
    new, duplicates, conflicts = _sorted_out(parsed.signals, account, instruments, batch, progress)
    Signal.objects.bulk_create(new, batch_size=500)
    rows = (new, duplicates, [row.as_dict() for row in parsed.skipped] + conflicts)
    made = sorted(i.symbol for i in instruments.values() if i.pk in instruments_new)
    summary: dict[str, Any] = {
        **_counts(parsed, account, *rows),
        "dry_run": dry_run,
        "import_id": None,
        "instruments_new": made,
        "preview": [_shown(row, instruments) for row in parsed.signals[:5]],
    }
    counts = ("rows_read", "rows_skipped", "signals_new", "signals_duplicate")
    batch.counts = {name: summary[name] for name in counts}
    batch.problems = [*summary["warnings"], *summary["skipped"]]
    batch.options = {"instruments_new": instruments_new}
    batch.save(update_fields=["counts", "problems", "options"])
    return concluded(batch, summary, changed=bool(new))


def _batch(account: Account, parsed: ParsedSignals, sha256: str, created_by: Any) -> ImportBatch:
    return ImportBatch.objects.create(
        kind=ImportBatch.Kind.SIGNALS,
        desk=account.desk,
        account=account,
        file_name=parsed.file[:255],
        file_sha256=sha256,
        format=parsed.format,
        time_zone=parsed.time_zone,
        created_by=created_by,
    )


def _counts(
    parsed: ParsedSignals,
    account: Account,
    new: Sequence[Signal],
    duplicates: int,
    skipped: Sequence[dict[str, object]],
) -> dict[str, Any]:
    return {
        "file": parsed.file,
        "account": account.name,
        "format": parsed.format,
        "time_zone": parsed.time_zone,
        "rows_read": len(parsed.signals) + len(parsed.skipped),
        "signals_new": len(new),
        "signals_duplicate": duplicates,
        "rows_skipped": len(skipped),
        "skipped": list(skipped[:MAX_LISTED]),
        "warnings": [problem.as_dict() for problem in parsed.problems],
    }


@transaction.atomic
def post_signal(*, account: Account, row: SignalRow) -> tuple[Signal, bool]:
    """(signal, whether it is new) for one signal that was sent by a program.

    Sending it again changes nothing; the same id with another content is a ConflictError.
    """
    Account.objects.select_for_update().get(pk=account.pk)
    instruments, _ = _instruments([row])
    wanted = _signal(row, account, instruments[row.symbol], None)
    found = Signal.objects.filter(account=account, dedupe_key=wanted.dedupe_key).first()
    if found is None:
        wanted.save()
        return wanted, True
    if not _same(found, wanted):
        raise ConflictError(
            "conflicting_duplicate", f"signal {found.pk} has this id and another content"
        )
    return found, False


def _instruments(rows: Sequence[SignalRow]) -> tuple[dict[str, Instrument], list[int]]:
    places: dict[str, int] = {}
    for row in rows:
        exponent = row.entry.normalize().as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) else 0
        places[row.symbol] = max(places.get(row.symbol, 0), decimals)
    found, new = {}, []
    for symbol, decimals in places.items():
        known = find_instrument(symbol)
        found[symbol] = known or ensure_instrument(symbol=symbol, decimals=decimals)
        if known is None:
            new.append(found[symbol].pk)
    return found, new


def _sorted_out(
    rows: Sequence[SignalRow],
    account: Account,
    instruments: dict[str, Instrument],
    batch: ImportBatch,
    progress: Progress,
) -> tuple[list[Signal], int, list[dict[str, object]]]:
    """(new signals, how many are stored already, those whose id has another content)."""
    wanted = [_signal(row, account, instruments[row.symbol], batch) for row in rows]
    keys = [signal.dedupe_key for signal in wanted]
    known = _stored(account, keys)
    new: list[Signal] = []
    conflicts: list[dict[str, object]] = []
    duplicates = 0
    for row, signal in zip(rows, wanted, strict=True):
        progress(1, len(rows))
        found = known.setdefault(signal.dedupe_key, signal)
        if found is signal:
            new.append(signal)
        elif _same(found, signal):
            duplicates += 1
        else:
            detail = "a signal with this id and another content is stored or stands above"
            conflicts.append({"row": row.line, "code": "conflicting_duplicate", "detail": detail})
    return new, duplicates, conflicts


def _stored(account: Account, keys: Sequence[str]) -> dict[str, Signal]:
    found: dict[str, Signal] = {}
    for start in range(0, len(keys), 500):
        some = Signal.objects.filter(account=account, dedupe_key__in=keys[start : start + 500])
        found |= {signal.dedupe_key: signal for signal in some}
    return found


def _same(left: Signal, right: Signal) -> bool:
    return left.instrument_id == right.instrument_id and all(
        getattr(left, name) == getattr(right, name) for name in _COMPARED
    )


def _signal(
    row: SignalRow, account: Account, instrument: Instrument, batch: ImportBatch | None
) -> Signal:
    return Signal(
        account=account,
        instrument=instrument,
        external_id=row.external_id,
        dedupe_key=signal_key(row, instrument.symbol),
        source=Signal.Source.FEED,
        time=moment(row.time),
        timeframe=row.timeframe,
        side=row.side,
        entry_price=row.entry,
        entry_kind=row.entry_kind,
        stop_loss=row.stop_loss,
        take_profit=row.take_profit,
        score=row.score,
        score_semantics=row.score_semantics,
        min_score=row.min_score,
        strategy=row.strategy,
        strategy_kind=row.strategy_kind,
        claimed_setups=None if row.claimed_setups is None else list(row.claimed_setups),
        model_version=row.model_version,
        confidence=row.confidence,
        truth_index=row.truth_index,
        indicators=dict(row.indicators),
        heads=dict(row.heads),
        regime=row.regime,
        import_batch=batch,
    )


def _shown(row: SignalRow, instruments: dict[str, Instrument]) -> dict[str, object]:
    claims = row.claimed_setups
    return {
        "row": row.line,
        "time": moment(row.time).isoformat(),
        "symbol": instruments[row.symbol].symbol,
        "timeframe": row.timeframe,
        "side": "long" if row.side > 0 else "short",
        "entry": format(row.entry, "f"),
        "stop_loss": None if row.stop_loss is None else format(row.stop_loss, "f"),
        "take_profit": None if row.take_profit is None else format(row.take_profit, "f"),
        "score": row.score,
        "claimed_setups": None if claims is None else list(claims),
    }


@transaction.atomic
def undo_signals(*, batch: ImportBatch) -> dict[str, int]:
    """Take back the signals of an import. One that was traded since stays in the way."""
    mine = Signal.objects.filter(import_batch=batch)
    traded = mine.filter(trades__isnull=False).count()
    if traded:
        raise ConflictError(
            "signals_traded", f"{traded} signals of this import have trades: undo those first"
        )
    n = mine.count()
    mine.delete()
    remove_instruments(batch=batch)
    return {"signals_removed": n}
