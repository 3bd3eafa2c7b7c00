"""Store bars in packed chunks and keep what a later import revised.

A whole file is one transaction: it is stored or it is not, whatever kills the process. Parsing
comes before; what happens inside is merging and writing chunks, some 20 ms for a year of minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from django.db import transaction
from django.db.models import Max, Min, Sum

from trading.core.candles import (
    I64,
    Candles,
    blob_sha256,
    pack,
)
from trading.core.errors import ConflictError, UserError
from trading.core.merging import Columns, merge
from trading.core.types import NS_PER_SECOND, SeriesKind, timeframe_ns
from trading.models import (
    CandleChunk,
    CandleRevision,
    CandleSeries,
    Desk,
    ImportBatch,
    Instrument,
)
from trading.selectors.candles import bucket_of, decode_chunk

_CHUNKS_A_BATCH = 100
# A stored series and a file that disagree in most of many common bars are two venues, or the file
# was read in another zone: not a revision.
_CONFLICT_BARS = 200
_CONFLICT_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesKey:
    """What makes a series: one per instrument, timeframe, source, kind and desk."""

    instrument: Instrument
    timeframe: str
    source: str
    kind: SeriesKind
    desk: Desk | None = None

    @property
    def scope(self) -> str:
        desk = "" if self.desk is None else str(self.desk.pk)
        parts = (desk, self.instrument.symbol, self.timeframe, self.source, self.kind.value)
        return "|".join(parts)


@dataclass(slots=True)
class Stored:
    """What a store did: bars new, revised, already there; and the new ones' times."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    new_times: list[I64] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.inserted or self.updated)


@transaction.atomic
def store_candles(
    *,
    key: SeriesKey,
    candles: Candles,
    batch: ImportBatch,
    tz_of_origin: str = "",
    revise: bool = False,
) -> tuple[CandleSeries, Stored]:
    """Merge bars (half-points of the instrument's point, sorted, unique) into their series.

    A stored bar with other values is replaced and kept as `CandleRevision` of the batch. Storing
    the same bars again changes nothing. Unless `revise`, a disagreement in more than half of many
    common bars is a ConflictError `source_conflict`.
    """
    series = _locked_series(key, tz_of_origin)
    if series.point != key.instrument.point:
        raise UserError(
            "precision",
            f"{series} is stored with the point {series.point:f}, the instrument has "
            f"{key.instrument.point:f}",
        )
    new = Columns.of(candles)
    stored = Stored()
    for weeks, parts in _batches(new, timeframe_ns(key.timeframe)):
        _store_weeks(series, batch, weeks, parts, stored)
    common = stored.updated + stored.unchanged
    if not revise and common >= _CONFLICT_BARS and stored.updated > _CONFLICT_SHARE * common:
        raise ConflictError(
            "source_conflict",
            f"{stored.updated:,} of {common:,} common bars differ from the stored {series}: name "
            "another --source, correct --tz, or pass --revise to replace them",
        )
    if stored.changed:
        refresh(series)
    return series, stored


def _locked_series(key: SeriesKey, tz_of_origin: str) -> CandleSeries:
    series, _ = CandleSeries.objects.get_or_create(
        scope_key=key.scope,
        defaults={
            "instrument": key.instrument,
            "timeframe": key.timeframe,
            "source": key.source,
            "kind": key.kind.value,
            "point": key.instrument.point,
            "tz_of_origin": tz_of_origin,
            "desk": key.desk,
        },
    )
    return lock_series(series.pk)


def lock_series(pk: int) -> CandleSeries:
    """The series, locked until the transaction ends: importers of one series take turns."""
    locked: CandleSeries = CandleSeries.objects.select_for_update(of=("self",)).get(pk=pk)
    return locked


def _batches(new: Columns, bar_ns: int) -> Iterator[tuple[list[int], list[Columns]]]:
    """The bars split by chunk, a batch of chunks at a time."""
    bucket = bucket_of(new.time, bar_ns)
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))
    bounds = [*starts.tolist(), bucket.size]
    for first in range(0, len(starts), _CHUNKS_A_BATCH):
        spans = list(zip(bounds[:-1], bounds[1:], strict=True))[first : first + _CHUNKS_A_BATCH]
        yield [int(bucket[a]) for a, _ in spans], [new.rows(slice(a, b)) for a, b in spans]


def _store_weeks(
    series: CandleSeries,
    batch: ImportBatch,
    weeks: list[int],
    parts: list[Columns],
    stored: Stored,
) -> None:
    existing = {c.week: c for c in CandleChunk.objects.filter(series=series, week__in=weeks)}
    chunks: list[CandleChunk] = []
    revisions: list[CandleRevision] = []
    for week, part in zip(weeks, parts, strict=True):
        result = merge(bars_of(existing.get(week), series.kind), part)
        stored.unchanged += result.unchanged
        stored.inserted += int(result.inserted.size)
        stored.updated += len(result.revised)
        if not result.changed:
            continue
        stored.new_times.append(result.inserted)
        chunks.append(packed_chunk(series, week, result.bars))
        revisions.extend(_revisions(series, batch, result.revised))
    write_chunks(chunks)
    CandleRevision.objects.bulk_create(revisions, batch_size=500)


def bars_of(chunk: CandleChunk | None, kind: str) -> Columns | None:
    if chunk is None:
        return None
    return Columns.of(decode_chunk(chunk.blob, chunk.n, chunk.sha256, kind))


def packed_chunk(series: CandleSeries, week: int, bars: Columns) -> CandleChunk:
    blob = pack(bars.candles(), series.kind)
    return CandleChunk(
        series=series,
        week=week,
        n=len(bars),
        first_time=int(bars.time[0]),
        last_time=int(bars.time[-1]),
        blob=blob,
        sha256=blob_sha256(blob),
    )


def write_chunks(chunks: list[CandleChunk]) -> None:
    CandleChunk.objects.bulk_create(
        chunks,
        update_conflicts=True,
        unique_fields=["series", "week"],
        update_fields=["n", "first_time", "last_time", "blob", "sha256"],
        batch_size=50,
    )


def _revisions(series: CandleSeries, batch: ImportBatch, old: Columns) -> Iterator[CandleRevision]:
    for i in range(len(old)):
        bar = old.rows(slice(i, i + 1))
        yield CandleRevision(
            series=series,
            batch=batch,
            time=moment(int(bar.time[0])),
            before=pack(bar.candles(), series.kind),
        )


def moment(ns: int) -> datetime:
    """UTC datetime of ns (bar opens are whole seconds)."""
    return datetime.fromtimestamp(ns // NS_PER_SECOND, UTC)


def refresh(series: CandleSeries) -> None:
    facts = CandleChunk.objects.filter(series=series).aggregate(
        n=Sum("n"), first=Min("first_time"), last=Max("last_time")
    )
    series.n_bars = facts["n"] or 0
    series.first_time = None if facts["first"] is None else moment(facts["first"])
    series.last_time = None if facts["last"] is None else moment(facts["last"])
    series.save(update_fields=["n_bars", "first_time", "last_time"])
