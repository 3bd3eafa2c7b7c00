"""Candles from freqtrade's feather files: date, open, high, low, close, volume.

Prices are binary floats there. One within a few units in the last place of a number of at most 8
decimals denotes that number: the grid is 1e-8 and the float's own error far below it, so the
decimal is unique. Anything further away is refused (`precision`). The decimal is stored; on which
side of it the float lies is kept too (`residue`), so that fills are compared with the candle as it
was given.
"""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import pack_residue
from trading.core.types import SeriesKind

from .bar_checks import check_bars
from .contract import (
    F64,
    I64,
    MAX_DECIMALS,
    PRICE_ROLES,
    Bool,
    ProblemLog,
    RawCandles,
    ReadOptions,
    refuse,
)
from .sources import MAX_UNPACKED_BYTES
from .zones import UTC, parse_zone, to_utc

MAGIC = b"ARROW1"
_COLUMNS = ("date", *PRICE_ROLES, "volume")
_MAX_ULPS = 8
_MAX_PRICE = 1e9


def parse_feather(stream: IO[bytes], file: str, options: ReadOptions) -> RawCandles:
    """Read a feather file. Codes of its own: missing_extra, malformed_feather."""
    columns = _columns(stream, file)
    log = ProblemLog(file)
    line = np.arange(1, len(columns["date"]) + 1)
    if not line.size:
        raise refuse(file, "no_rows", "the file has no rows")
    time, civil, zone = _times(columns["date"], line, options, log)
    prices, decimals, bad, residue = _prices(columns, line, log)
    check_bars(prices, bad, line, log, positive=not options.allow_non_positive)
    volume = _volume(columns["volume"], line, log)
    log.raise_if_fatal()
    return RawCandles(
        file=file,
        format="freqtrade",
        kind=SeriesKind.TRADE,
        tz_of_origin=zone,
        time=time,
        civil=civil,
        prices=tuple(prices),
        decimals=decimals,
        volume=volume,
        line=line,
        symbol=None,
        timeframe=None,
        notes=("row numbers count records",),
        problems=log.problems,
        residue=residue,
    )


def _columns(stream: IO[bytes], file: str) -> dict[str, Any]:
    try:
        import pyarrow
        from pyarrow import ipc
    except ImportError as error:
        raise refuse(
            file,
            "missing_extra",
            "feather files need pyarrow, the extra `feather`: .venv/bin/pip install pyarrow",
        ) from error
    try:
        reader = ipc.open_file(stream)
        absent = [name for name in _COLUMNS if name not in reader.schema.names]
        if absent:
            raise refuse(file, "missing_columns", f"missing columns: {', '.join(absent)}")
        batches, size = [], 0
        for i in range(reader.num_record_batches):
            batches.append(reader.get_batch(i).select(_COLUMNS))
            size += batches[-1].nbytes
            if size > MAX_UNPACKED_BYTES:
                raise refuse(file, "decompressed_limit", "the file unpacks to more than 2 GB")
        table = pyarrow.Table.from_batches(batches, reader.schema if not batches else None)
        return {name: table[name] for name in _COLUMNS}
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise refuse(file, "malformed_feather", f"not a readable feather file: {reason}") from error


def _times(column: Any, line: I64, options: ReadOptions, log: ProblemLog) -> tuple[I64, I64, str]:
    import pyarrow

    log.add("bad_time", "date is empty", rows=line[_nulls(column)], column="date")
    if not pyarrow.types.is_timestamp(column.type):
        log.add("bad_time", f"date is a column of {column.type}, not of times", column="date")
    log.raise_if_fatal()
    ns: I64 = column.to_numpy().astype("datetime64[ns]").astype(np.int64)
    # Arrow keeps UTC inside; a zone on the column says that the moment is known.
    if column.type.tz is not None:
        return ns, ns, UTC.name
    if options.tz is None:
        log.add("timezone_required", "times have no zone: declare it with --tz", column="tz")
        return ns, ns, ""
    zone = parse_zone(options.tz)
    moved = to_utc(ns, zone)
    log.add("nonexistent_time", "skipped by a clock change", rows=line[moved.missing])
    log.add("ambiguous_time", "occurred twice in a clock change", rows=line[moved.double])
    return moved.utc, ns, zone.name


def _nulls(column: Any) -> Bool:
    result: Bool = column.is_null().to_numpy()
    return result


def _floats(column: Any, name: str, line: I64, log: ProblemLog) -> F64:
    try:
        values: F64 = column.cast("float64").to_numpy()
    except (ValueError, NotImplementedError, TypeError):
        log.add("bad_number", f"{name} is a column of {column.type}", column=name)
        return np.ones(line.shape)
    bad = ~np.isfinite(values)
    log.add("not_finite", f"{name} is empty or not finite", rows=line[bad], column=name)
    return np.where(bad, 1.0, values)


def _prices(
    columns: dict[str, Any], line: I64, log: ProblemLog
) -> tuple[list[I64], int, Bool, NDArray[np.int8] | None]:
    """Exact integers of the four prices, their decimals, the rows reported as bad, the residue."""
    floats = [_floats(columns[name], name, line, log) for name in PRICE_ROLES]
    bad = np.zeros(line.shape, np.bool_)
    whole, signs = [], []
    for name, values in zip(PRICE_ROLES, floats, strict=True):
        large = np.abs(values) >= _MAX_PRICE
        log.add("out_of_range", f"{name} is too large", rows=line[large], column=name)
        values = np.where(large, 1.0, values)
        nearest, off = exact_decimals(values)
        log.add(
            "precision",
            f"{name} is no number of at most {MAX_DECIMALS} decimals; prices are never rounded",
            rows=line[off],
            column=name,
        )
        bad |= off | large
        whole.append(nearest)
        # The double nearest to the decimal is the decimal; any other lies beside it.
        signs.append(np.sign(values - nearest / 10.0**MAX_DECIMALS).astype(np.int8))
    decimals = MAX_DECIMALS
    while decimals and not any((column % 10).any() for column in whole):
        whole = [column // 10 for column in whole]
        decimals -= 1
    return whole, decimals, bad, pack_residue(signs)


def exact_decimals(values: F64) -> tuple[I64, Bool]:
    """The integers k with k / 10**8 denoted by the floats, and where there is none."""
    nearest = np.rint(values * 10.0**MAX_DECIMALS)
    error = np.abs(nearest / 10.0**MAX_DECIMALS - values)
    return nearest.astype(np.int64), error > _MAX_ULPS * np.spacing(np.abs(values))


def _volume(column: Any, line: I64, log: ProblemLog) -> F64 | None:
    values = _floats(column, "volume", line, log)
    log.add("bad_volume", "volume is negative", rows=line[values < 0], column="volume")
    return values if values.any() else None
