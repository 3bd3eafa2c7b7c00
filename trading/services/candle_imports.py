"""Import candle files: read and check all of them, then store all or none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
from django.db import transaction

from trading.core.candles import QUOTE_COLUMNS, half_points_to_price
from trading.core.errors import UserError
from trading.core.instruments import InstrumentSpec, canonical_symbol, clean_symbol, describe
from trading.core.types import HALF_POINTS_PER_POINT, NS_PER_DAY, SeriesKind
from trading.importers.candle_checks import check_series
from trading.importers.candle_files import read_candle_file
from trading.importers.contract import (
    PRICE_ROLES,
    Hint,
    ParsedCandles,
    RawCandles,
    ReadOptions,
    blamed_on,
    refuse,
)
from trading.importers.file_names import canonical_timeframe
from trading.importers.scale import median_close
from trading.importers.sources import InputFile
from trading.models import Desk, ImportBatch, Instrument
from trading.selectors.candles import load_candles, series_for

from .candle_undo import undo_record
from .candles import SeriesKey, Stored, moment, store_candles
from .instruments import ensure_instrument, find_instrument

PREVIEW_BARS = 5
_FILE_NAME_LENGTH = 255
_SCALE_FACTOR = 5.0
_NEAR_NS = 7 * NS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What to do with the files. `source` defaults to the format's name; series of different
    sources never mix. `revise` lets a file replace most of what is stored."""

    options: ReadOptions
    format: str = "auto"
    source: str | None = None
    desk: Desk | None = None
    user: Any = None
    dry_run: bool = False
    revise: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    parsed: ParsedCandles
    spec: InstrumentSpec
    sha256: str


@dataclass(slots=True)
class FileResult:
    """What one file held and what storing it did."""

    parsed: ParsedCandles
    symbol: str
    source: str
    stored: Stored
    batch_id: int | None
    preview: list[dict[str, str]]

    def as_dict(self) -> dict[str, object]:
        parsed = self.parsed
        return {
            "file": parsed.file,
            "format": parsed.format,
            "symbol": self.symbol,
            "symbol_from": parsed.symbol.origin,
            "timeframe": parsed.timeframe.value,
            "timeframe_from": parsed.timeframe.origin,
            "kind": parsed.kind.value,
            "source": self.source,
            "time_zone": parsed.tz_of_origin,
            "first": moment(int(parsed.time[0])).isoformat(),
            "last": moment(int(parsed.time[-1])).isoformat(),
            "decimals": parsed.decimals,
            **self.counts(),
            "missing": parsed.missing,
            "warnings": [problem.as_dict() for problem in parsed.problems],
            "notes": list(parsed.notes),
            "import_id": self.batch_id,
            "preview": self.preview,
        }

    def counts(self) -> dict[str, int]:
        return {
            "read": self.parsed.rows_read,
            "inserted": self.stored.inserted,
            "updated": self.stored.updated,
            "unchanged": self.stored.unchanged,
            "duplicates": self.parsed.duplicates,
        }


@dataclass(slots=True)
class ImportResult:
    """Results by file, and their sum."""

    dry_run: bool
    files: list[FileResult] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        totals: dict[str, int] = {}
        for result in self.files:
            for name, count in result.counts().items():
                totals[name] = totals.get(name, 0) + count
        return {
            "dry_run": self.dry_run,
            **totals,
            "files": [result.as_dict() for result in self.files],
        }


def import_candles(
    *,
    files: Sequence[InputFile],
    request: ImportRequest,
    on_file: Callable[[], None] = lambda: None,
) -> ImportResult:
    """Import candle files as one: if any is refused, none is stored.

    Raises FileError with everything wrong in the first bad file. Importing the same bars again
    changes nothing and records no import. A dry run does everything and keeps nothing.
    """
    if not files:
        raise UserError("no_files", "name at least one file", field="file")
    if request.options.symbol is not None:
        clean_symbol(request.options.symbol)
    if request.options.timeframe is not None:
        canonical_timeframe(request.options.timeframe)
    read = []
    for file in files:
        read.append(_read(file, request))
        on_file()
    result = ImportResult(request.dry_run)
    with transaction.atomic():
        for item in read:
            result.files.append(_store(item, request))
        if request.dry_run:
            transaction.set_rollback(True)
    return result


def _read(file: InputFile, request: ImportRequest) -> _Read:
    with file.open() as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        stream.seek(0)
        raw = read_candle_file(stream, file.name, request.options, request.format)
    with blamed_on(file.name):
        symbol = _symbol(raw, request.options)
        spec = _spec(symbol.value, raw.decimals)
        parsed = check_series(raw, spec, symbol, request.options)
        return _Read(parsed, spec, digest)


def _symbol(raw: RawCandles, options: ReadOptions) -> Hint:
    """The symbol given, or stated by the file; none is guessed."""
    if options.symbol is None:
        if raw.symbol is None:
            raise refuse(
                raw.file,
                "symbol_required",
                "the file does not say what it holds: name it with --symbol, like EURUSD",
            )
        return raw.symbol
    stated = raw.symbol
    if stated is not None and stated.origin == "content":
        names = {_name_of(stated.value), _name_of(options.symbol)}
        if len(names) > 1:
            detail = f"the file holds {stated.value[:40]}, not {options.symbol}"
            raise refuse(raw.file, "symbol_mismatch", detail)
    return Hint(options.symbol, "argument")


def _name_of(symbol: str) -> str:
    known = find_instrument(symbol)
    return canonical_symbol(symbol) if known is None else known.symbol


def _spec(symbol: str, decimals: int) -> InstrumentSpec:
    """What the instrument is, or would be; the point of a stored one is its own."""
    known = find_instrument(symbol)
    if known is None:
        return describe(canonical_symbol(symbol), decimals=decimals)
    return InstrumentSpec(
        known.symbol, known.base, known.quote, known.kind, known.point, known.pip, known.tick
    )


def _store(item: _Read, request: ImportRequest) -> FileResult:
    parsed = item.parsed
    instrument = ensure_instrument(
        symbol=parsed.symbol.value, decimals=parsed.decimals, refine=True
    )
    source = request.source or parsed.format
    _compare_scale(parsed, instrument, request.desk)
    with blamed_on(parsed.file):
        candles = parsed.to_candles(instrument.point)
    batch = _batch(item, request, source)
    series, stored = store_candles(
        key=SeriesKey(
            instrument=instrument,
            timeframe=parsed.timeframe.value,
            source=source,
            kind=parsed.kind,
            desk=request.desk,
        ),
        candles=candles,
        batch=batch,
        tz_of_origin=parsed.tz_of_origin,
        revise=request.revise,
    )
    result = FileResult(parsed, instrument.symbol, source, stored, None, _preview(parsed))
    if not stored.changed:
        batch.delete()
        return result
    batch.counts = result.counts()
    batch.options |= {"series_id": series.pk}
    batch.undo_data = undo_record(stored)
    batch.save(update_fields=["counts", "options", "undo_data"])
    result.batch_id = None if request.dry_run else batch.pk
    return result


def _batch(item: _Read, request: ImportRequest, source: str) -> ImportBatch:
    parsed = item.parsed
    return ImportBatch.objects.create(
        kind=ImportBatch.Kind.CANDLES,
        desk=request.desk,
        file_name=parsed.file[:_FILE_NAME_LENGTH],
        file_sha256=item.sha256,
        format=parsed.format,
        time_zone=parsed.tz_of_origin,
        problems=[problem.as_dict() for problem in parsed.problems],
        options={
            "symbol": parsed.symbol.value,
            "symbol_from": parsed.symbol.origin,
            "timeframe": parsed.timeframe.value,
            "timeframe_from": parsed.timeframe.origin,
            "source": source,
            "notes": list(parsed.notes),
        },
        created_by=request.user,
    )


def _preview(parsed: ParsedCandles) -> list[dict[str, str]]:
    """The first bars as they are understood."""
    names = QUOTE_COLUMNS if parsed.kind == SeriesKind.BID_ASK else PRICE_ROLES
    rows = []
    for i, time in enumerate(parsed.time[:PREVIEW_BARS].tolist()):
        row = {"time": moment(time).isoformat()}
        for name, column in zip(names, parsed.prices, strict=True):
            row[name] = format(Decimal(int(column[i])).scaleb(-parsed.decimals), "f")
        rows.append(row)
    return rows


def _compare_scale(parsed: ParsedCandles, instrument: Instrument, desk: Desk | None) -> None:
    """Refuse prices several times those stored for the same days."""
    start, end = int(parsed.time[0]) - _NEAR_NS, int(parsed.time[-1]) + _NEAR_NS
    for series in series_for(instrument, desk):
        stored = load_candles(series, start, end)
        if not len(stored):
            continue
        half_point = float(series.point) / HALF_POINTS_PER_POINT
        near = float(np.median(stored.close)) * half_point
        ratio = median_close(parsed) / near
        if not 1 / _SCALE_FACTOR < ratio < _SCALE_FACTOR:
            price = half_points_to_price(int(np.median(stored.close)), series.point)
            raise refuse(
                parsed.file,
                "scale_suspect",
                f"prices are {ratio:.3g} times those stored for the same days (near {price:f}): "
                "they look like another unit",
            )
        return
