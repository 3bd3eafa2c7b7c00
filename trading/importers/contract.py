"""What an importer of market data takes and returns. Pure: no database, no clock, no settings.

An importer reads one file in two steps. `parse` knows the format and returns `RawCandles`: the
rows as columns in file order, exact integers, with the line each came from. `check_series`
(candle_checks.py) knows the market and returns `ParsedCandles`: sorted, unique, on the grid of
one timeframe. Either raises `FileError` with everything it found wrong; warnings travel with the
result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from trading.core.candles import Candles, Quotes, from_quotes
from trading.core.errors import FileError, Problem, UserError
from trading.core.types import HALF_POINTS_PER_POINT, SeriesKind

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

MAX_DECIMALS = 8
MAX_ROWS_NAMED = 20
PRICE_ROLES = ("open", "high", "low", "close")
NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What the user declared about a file; None means: the content must say it.

    `now_ns` is the present, UTC ns. `tz` is an IANA zone or an offset such as UTC-5. `date_order`
    is dmy or mdy. `allow_non_positive` admits prices at or below zero (crude oil in 2020).
    """

    now_ns: int
    symbol: str | None = None
    timeframe: str | None = None
    tz: str | None = None
    encoding: str | None = None
    decimal_comma: bool = False
    date_order: str | None = None
    allow_non_positive: bool = False


@dataclass(frozen=True, slots=True)
class Hint:
    """A value and where it was read: 'argument', 'content' or 'file name'."""

    value: str
    origin: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RawCandles:
    """Rows of one file in file order.

    `time` is UTC ns. `prices` holds int64 arrays in units of 10**-decimals: open, high, low, close,
    or the eight of `QUOTE_COLUMNS` for kind bid_ask. `volume` may be None. `residue` says where
    binary prices lie from their decimals (`trading.core.candles.pack_residue`). `line` is the
    1-based line (or record) of each row. `civil` is the wall clock as written (`time` where it
    was UTC).
    """

    file: str
    format: str
    kind: SeriesKind
    tz_of_origin: str
    time: I64
    civil: I64
    prices: tuple[I64, ...]
    decimals: int
    volume: F64 | None
    line: I64
    symbol: Hint | None
    timeframe: Hint | None
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    residue: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return int(self.time.shape[0])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ParsedCandles:
    """Bars of one series: strictly increasing times on the grid of `timeframe`, checked prices.

    Fields as in `RawCandles`; `rows_read` counts the rows of the file, `duplicates` those dropped
    because they repeat another exactly, `missing` the bars absent inside trading hours (None: the
    hours of this market are not known, so that could not be checked).
    """

    file: str
    format: str
    kind: SeriesKind
    tz_of_origin: str
    symbol: Hint
    timeframe: Hint
    time: I64
    prices: tuple[I64, ...]
    decimals: int
    volume: F64 | None
    rows_read: int
    duplicates: int
    missing: int | None
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]
    residue: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return int(self.time.shape[0])

    def to_candles(self, point: Decimal) -> Candles:
        """The bars in half-points of `point`.

        A price between two points (half-points for mids) is a UserError `precision`: it is never
        rounded.
        """
        columns = [self._half_points(column, point) for column in self.prices]
        if self.kind == SeriesKind.BID_ASK:
            return from_quotes(self.time, Quotes(*columns), self.volume)
        opened, high, low, close = columns
        return Candles(self.time, opened, high, low, close, self.volume, residue=self.residue)

    def _half_points(self, column: I64, point: Decimal) -> I64:
        # A trade price must be a whole point, a mid may be half of one.
        unit = point / HALF_POINTS_PER_POINT if self.kind == SeriesKind.MID else point
        numerator, denominator = (Decimal(1).scaleb(-self.decimals) / unit).as_integer_ratio()
        scaled = column * numerator
        off = np.flatnonzero(scaled % denominator) if denominator > 1 else column[:0]
        if off.size:
            price = Decimal(int(column[off[0]])).scaleb(-self.decimals)
            raise UserError(
                "precision",
                f"{self.file}: the price {price} is off the grid of {unit:f} "
                f"({off.size:,} such prices); prices are never rounded",
            )
        halves = 1 if self.kind == SeriesKind.MID else HALF_POINTS_PER_POINT
        return scaled // denominator * halves


@dataclass(slots=True)
class ProblemLog:
    """Collects problems of one file; the same code and field becomes one problem with a count."""

    file: str
    _found: dict[tuple[str, str | None], Problem] = field(default_factory=dict)

    def add(
        self,
        code: str,
        detail: str,
        *,
        rows: I64 | list[int] | None = None,
        column: str | None = None,
        fatal: bool = True,
        count: int | None = None,
    ) -> None:
        """Note a problem at the given lines. The detail of the first occurrence is kept."""
        lines = [] if rows is None else [int(row) for row in rows[:MAX_ROWS_NAMED]]
        total = count if count is not None else (1 if rows is None else len(rows))
        if not total:
            return
        key = (code, column)
        old = self._found.get(key)
        if old is not None:
            lines = [*old.rows, *lines][:MAX_ROWS_NAMED]
            detail, total = old.detail, old.count + total
        self._found[key] = Problem(code, detail, fatal, column, tuple(lines), total)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._found.values())

    @property
    def fatal_count(self) -> int:
        return sum(problem.count for problem in self._found.values() if problem.fatal)

    def raise_if_fatal(self) -> None:
        if self.fatal_count:
            raise FileError(self.file, self.problems)


def refuse(
    file: str, code: str, detail: str, *, row: int | None = None, field: str | None = None
) -> FileError:
    """The error of a file with one fatal problem."""
    rows = () if row is None else (row,)
    return FileError(file, (Problem(code, detail, True, field, rows),))


@contextmanager
def blamed_on(file: str) -> Iterator[None]:
    """Turn a UserError raised inside into a FileError of `file`."""
    try:
        yield
    except FileError:
        raise
    except UserError as error:
        rows = () if error.row is None else (error.row,)
        problem = Problem(error.code, error.detail, True, error.field, rows)
        raise FileError(file, (problem,)) from error
