"""Take an import of candles back."""

from __future__ import annotations

import zlib

import numpy as np
from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone

from trading.core.candles import I64, unpack
from trading.core.errors import ConflictError, UserError
from trading.core.merging import Columns, unite
from trading.core.types import NS_PER_SECOND, timeframe_ns
from trading.models import CandleChunk, CandleRevision, CandleSeries, ImportBatch
from trading.selectors.candles import bucket_of

from .candles import Stored, bars_of, lock_series, packed_chunk, refresh, write_chunks


def undo_record(stored: Stored) -> bytes:
    """The times a batch inserted, packed; regular bars need a few bytes a thousand."""
    times = np.concatenate(stored.new_times) if stored.new_times else np.zeros(0, np.int64)
    return zlib.compress(np.diff(times, prepend=0).astype("<i8").tobytes())


def _inserted_times(batch: ImportBatch) -> I64:
    steps = np.frombuffer(zlib.decompress(bytes(batch.undo_data or zlib.compress(b""))), "<i8")
    times: I64 = np.cumsum(steps.astype(np.int64))
    return times


@transaction.atomic
def undo_candles(*, batch: ImportBatch) -> ImportBatch:
    """Take the bars that an import inserted out again and put back the ones it revised.

    A bar that a later import held too goes as well: it was there already, so that import did not
    insert it; importing that file again brings it back.

    ConflictError `already_undone`, or `later_import` when a later import revised a bar of this
    one: that import must be undone first.
    """
    batch = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if batch.kind != ImportBatch.Kind.CANDLES:
        raise UserError("not_candles", f"import {batch.pk} holds no candles")
    if batch.status == ImportBatch.Status.UNDONE:
        raise ConflictError("already_undone", f"import {batch.pk} was undone before")
    if CandleSeries.objects.filter(pk=batch.options.get("series_id")).exists():
        _take_out(lock_series(batch.options["series_id"]), batch)
    batch.status = ImportBatch.Status.UNDONE
    batch.undone_at = timezone.now()
    batch.undo_data = None
    batch.save(update_fields=["status", "undone_at", "undo_data"])
    return batch


def _take_out(series: CandleSeries, batch: ImportBatch) -> None:
    inserted = _inserted_times(batch)
    revised = CandleRevision.objects.filter(batch=batch, series=series)
    before = [Columns.of(unpack(bytes(r.before), 1, series.kind)) for r in revised]
    touched = np.concatenate([inserted, *(bar.time for bar in before)])
    _refuse_if_revised_later(series, batch, touched)
    bar_ns = timeframe_ns(series.timeframe)
    by_week: dict[int, list[Columns]] = {}
    for bar in before:
        by_week.setdefault(int(bucket_of(bar.time, bar_ns)[0]), []).append(bar)
    chunks = []
    for week in np.unique(bucket_of(touched, bar_ns)).tolist():
        chunk = CandleChunk.objects.filter(series=series, week=week).first()
        old = bars_of(chunk, series.kind)
        if chunk is None or old is None:
            continue
        left = unite([old.rows(~np.isin(old.time, touched)), *by_week.get(week, [])])
        if len(left):
            chunks.append(packed_chunk(series, week, left))
        else:
            chunk.delete()
    write_chunks(chunks)
    revised.delete()
    refresh(series)
    if not series.n_bars:
        _drop_if_unused(series)


def _refuse_if_revised_later(series: CandleSeries, batch: ImportBatch, touched: I64) -> None:
    later = CandleRevision.objects.filter(series=series, batch_id__gt=batch.pk)
    rows = list(later.values_list("time", "batch_id"))
    mine = set(touched.tolist())
    for time, batch_id in rows:
        if int(time.timestamp()) * NS_PER_SECOND in mine:
            raise ConflictError(
                "later_import", f"import {batch_id} revised bars of this one: undo it first"
            )


def _drop_if_unused(series: CandleSeries) -> None:
    try:
        with transaction.atomic():
            series.delete()
    except ProtectedError:
        return
