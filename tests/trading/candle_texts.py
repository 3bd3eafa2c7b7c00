"""Candle files for tests, written as text with one thing wrong at a time."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import UTC, datetime, timedelta

from trading.core.errors import FileError, Problem
from trading.core.instruments import canonical_symbol, describe
from trading.importers.candle_checks import check_series
from trading.importers.candle_files import read_candle_file
from trading.importers.contract import Hint, ParsedCandles, ReadOptions

NOW = datetime(2024, 6, 1, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
MONDAY = datetime(2024, 1, 8, tzinfo=UTC)
HEADER = "time,open,high,low,close,volume"
BAR = ("1.10010", "1.10030", "1.10000", "1.10020", "5")


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def lines(count: int = 10, *, start: datetime = MONDAY, minutes: float = 1) -> list[str]:
    """Rows of a clean file, a bar a step."""
    return [",".join((stamp(start + timedelta(minutes=minutes * i)), *BAR)) for i in range(count)]


def text(rows: list[str] | None = None, header: str = HEADER) -> bytes:
    return ("\n".join([header, *(lines() if rows is None else rows)]) + "\n").encode()


def with_row(row: str, at: int = 4) -> bytes:
    """A clean file whose line `at` (the header is line 1) is replaced."""
    rows = lines()
    rows[at - 2] = row
    return text(rows)


def with_cell(column: str, value: str, at: int = 4) -> bytes:
    cells = lines()[at - 2].split(",")
    cells[HEADER.split(",").index(column)] = value
    return with_row(",".join(cells), at)


def with_times(times: list[str]) -> bytes:
    return text([",".join((time, *BAR)) for time in times])


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=9)


def read(
    data: bytes,
    *,
    name: str = "bars.csv",
    symbol: str = "EURUSD",
    format: str = "auto",
    **declared: object,
) -> ParsedCandles:
    """Parse and check a file the way an import does, without a database."""
    options = ReadOptions(now_ns=NOW_NS, **declared)  # type: ignore[arg-type]
    raw = read_candle_file(io.BytesIO(data), name, options, format)
    spec = describe(canonical_symbol(symbol), decimals=raw.decimals)
    return check_series(raw, spec, Hint(symbol, "argument"), options)


def problems(data: bytes, **declared: object) -> dict[str, Problem]:
    """Everything found in a file by code, refused or not."""
    try:
        found = read(data, **declared).problems  # type: ignore[arg-type]
    except FileError as error:
        found = error.problems
    return {problem.code: problem for problem in found}
