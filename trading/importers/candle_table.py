"""Columns of candles from blocks of cells: exact integers, every value checked, times in UTC.

Shared by the delimited, JSON and Lean formats. What is kept of a row is some 60 bytes of columns;
the text is not. Checked a value: finite, positive, at most 8 decimals, high and low around open
and close, volume not negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from trading.core.types import NS_PER_DAY

from .bar_checks import check_bars, warn_crossed
from .contract import (
    F64,
    I64,
    NO_TIME,
    Bool,
    Hint,
    ProblemLog,
    RawCandles,
    ReadOptions,
    refuse,
)
from .layouts import Layout
from .numbers import Decimals, read_decimals, read_floats
from .sources import count_lines
from .tables import Cells, split_block
from .times import UNIT_NAMES, Times, one_reading, read_times
from .zones import UTC, Zone, parse_zone, to_utc

MAX_FATAL = 10_000  # enough to show what is wrong with a file; reading on would only cost time
TimeReader = Callable[[Cells, I64, I64, str, ProblemLog], Times]


@dataclass(slots=True)
class _Columns:
    """Checked columns of the blocks read so far."""

    times: list[Times] = field(default_factory=list)
    prices: list[list[I64]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    volume: list[F64] = field(default_factory=list)
    line: list[I64] = field(default_factory=list)
    symbol: str | None = None
    crossed: list[I64] = field(default_factory=list)


class TableReader:
    """Turns blocks of cells into the columns of one file."""

    def __init__(
        self,
        layout: Layout,
        options: ReadOptions,
        log: ProblemLog,
        first_line: int,
        read_time: TimeReader | None = None,
    ) -> None:
        self._layout = layout
        self._options = options
        self._log = log
        self._line = first_line
        self._read_time = read_time or _time_text
        self._kept = _Columns()
        self._mark = "," if options.decimal_comma else "."
        if options.decimal_comma and layout.delimiter == ",":
            raise refuse(log.file, "dialect", "a decimal comma needs another delimiter than ,")

    def add(self, block: bytes) -> None:
        """Read one block of whole lines."""
        if not block:
            return
        layout, log = self._layout, self._log
        cells = split_block(block, self._line, layout.delimiter, layout.columns, log)
        self._line += count_lines(block)
        if not len(cells):
            return
        columns = [self._price(cells, role) for role in layout.price_roles]
        scaled = [c.at_common_places() for c in columns]
        places = max(p for _, p in scaled)
        prices = [values * 10 ** (places - p) for values, p in scaled]
        bad: Bool = np.logical_or.reduce([c.bad for c in columns])
        start, end = self._time_range(cells)
        self._kept.times.append(self._read_time(cells, start, end, "time", log))
        self._kept.prices.append(prices)
        self._kept.places.append(places)
        self._kept.line.append(cells.line.astype(np.int32))
        self._volume(cells)
        self._symbol(cells)
        positive = not self._options.allow_non_positive
        self._kept.crossed.append(check_bars(prices, bad, cells.line, log, positive=positive))

    def finish(
        self,
        format_name: str,
        *,
        symbol: Hint | None = None,
        timeframe: Hint | None = None,
        notes: tuple[str, ...] = (),
    ) -> RawCandles:
        """The whole file as columns; raises FileError when anything in it is fatal."""
        log, kept = self._log, self._kept
        if not kept.line:
            if not log.fatal_count:
                log.add("no_rows", "the file has no rows of data")
            log.raise_if_fatal()
        line = np.concatenate(kept.line).astype(np.int64)
        zone = self._zone()
        time, civil, tz_of_origin = _resolve_times(kept, line, zone, self._options, log)
        log.raise_if_fatal()
        warn_crossed(np.concatenate(kept.crossed), log)
        prices, decimals = _common_decimals(kept)
        volume, more = _whole_volume(kept, line, log)
        log.raise_if_fatal()
        if self._layout.ignored:
            more = (*more, "columns not used: " + ", ".join(self._layout.ignored)[:200])
        found = None if kept.symbol is None else Hint(kept.symbol, "content")
        return RawCandles(
            file=log.file,
            format=format_name,
            kind=self._layout.kind,
            tz_of_origin=tz_of_origin,
            time=time,
            civil=civil,
            prices=prices,
            decimals=decimals,
            volume=volume,
            line=line,
            symbol=found or symbol,
            timeframe=timeframe,
            notes=(*notes, *more),
            problems=log.problems,
        )

    def _zone(self) -> Zone | None:
        name = self._options.tz or self._layout.zone
        return None if name is None else parse_zone(name)

    def _time_range(self, cells: Cells) -> tuple[I64, I64]:
        column = self._layout.roles["time"]
        start, end = cells.trimmed(column)
        return (
            (start, cells.trimmed(column + 1)[1]) if self._layout.date_and_clock else (start, end)
        )

    def _price(self, cells: Cells, role: str) -> Decimals:
        start, end = cells.trimmed(self._layout.roles[role])
        return read_decimals(cells.data, start, end, cells.line, role, self._mark, self._log)

    def _volume(self, cells: Cells) -> None:
        column = self._layout.roles.get("volume")
        if column is None:
            return
        start, end = cells.trimmed(column)
        values = read_floats(cells.data, start, end, cells.line, "volume", self._mark, self._log)
        negative = np.flatnonzero(values < 0)
        self._log.add(
            "bad_volume", "volume is negative", rows=cells.line[negative], column="volume"
        )
        self._kept.volume.append(values)

    def _symbol(self, cells: Cells) -> None:
        column = self._layout.roles.get("symbol")
        if column is None:
            return
        if self._kept.symbol is None:
            self._kept.symbol = cells.text(column, 0)
        expected = np.frombuffer(self._kept.symbol.encode(), np.uint8)
        start, end = cells.trimmed(column)
        same = end - start == expected.size
        for j, char in enumerate(expected):
            same &= cells.data[np.minimum(start + j, cells.data.size - 1)] == char
        other = np.flatnonzero(~same)
        self._log.add(
            "mixed_symbols",
            "the file holds more than one symbol: import one at a time",
            rows=cells.line[other],
            column="symbol",
        )


def _time_text(cells: Cells, start: I64, end: I64, name: str, log: ProblemLog) -> Times:
    return read_times(cells.data, start, end, cells.line, name, log)


def _whole_times(parts: list[Times]) -> Times:
    # A block whose dates have one reading reads the same either way.
    other = None
    if any(part.month_first is not None for part in parts):
        other = np.concatenate([p.ns if p.month_first is None else p.month_first for p in parts])
    return Times(
        np.concatenate([p.ns for p in parts]),
        other,
        np.concatenate([p.zoned for p in parts]),
        np.concatenate([p.unit for p in parts]),
        np.concatenate([p.bad for p in parts]),
    )


def _resolve_times(
    kept: _Columns, line: I64, zone: Zone | None, options: ReadOptions, log: ProblemLog
) -> tuple[I64, I64, str]:
    """UTC ns, wall clock ns as written, and the zone they were written in."""
    times = _whole_times(kept.times)
    kept.times.clear()
    units = np.unique(times.unit[~times.bad])
    if units.size > 1:
        minority = times.unit == min(units, key=lambda u: int((times.unit == u).sum()))
        shown = " and ".join(UNIT_NAMES[unit] for unit in units)
        log.add("timestamp_unit", f"times are mixed: {shown}", rows=line[minority], column="time")
    ns = one_reading(times, options.date_order, line, log)
    local = ~times.zoned & ~times.bad & (ns != NO_TIME)
    if not local.any():
        return ns, ns, UTC.name
    if zone is None:
        log.add(
            "timezone_required",
            "times have no zone: declare it with --tz, like --tz UTC or --tz Europe/Berlin",
            rows=line[local][:1],
            column="tz",
        )
        return ns, ns, ""
    if zone == UTC or log.fatal_count:
        return ns, ns, zone.name
    where = slice(None) if local.all() else np.flatnonzero(local)
    moved = to_utc(ns[where], zone)
    lines = line[where]
    for code, mask, what in (
        ("nonexistent_time", moved.missing, "was skipped by a clock change"),
        ("ambiguous_time", moved.double, "occurred twice in a clock change"),
    ):
        log.add(code, f"this wall-clock time {what} in {zone.name}", rows=lines[mask])
    utc = ns.copy()
    utc[where] = moved.utc
    return utc, ns, zone.name


def _common_decimals(kept: _Columns) -> tuple[tuple[I64, ...], int]:
    """All prices as integers with the fewest decimals that hold them exactly."""
    places = max(kept.places)
    columns = []
    for role in range(len(kept.prices[0])):
        parts = [
            block[role] if p == places else block[role] * 10 ** (places - p)
            for block, p in zip(kept.prices, kept.places, strict=True)
        ]
        columns.append(np.concatenate(parts) if len(parts) > 1 else parts[0])
    kept.prices.clear()
    while places and not any((c[:1000] % 10).any() or (c % 10).any() for c in columns):
        columns = [c // 10 for c in columns]
        places -= 1
    return tuple(columns), places


def _whole_volume(kept: _Columns, line: I64, log: ProblemLog) -> tuple[F64 | None, tuple[str, ...]]:
    """Volume, or None with a note when the column says nothing."""
    if not kept.volume:
        return None, ()
    volume = np.concatenate(kept.volume)
    kept.volume.clear()
    empty = np.isnan(volume)
    if not volume[~empty].any():
        return None, ("volume is empty or zero throughout: taken as not known",)
    log.add("not_finite", "volume is empty", rows=line[empty], column="volume")
    return volume, ()


def clock_since(midnight_ns: int) -> TimeReader:
    """Reader of milliseconds since a midnight on the wall clock (Lean's minute files)."""

    def read(cells: Cells, start: I64, end: I64, name: str, log: ProblemLog) -> Times:
        value = read_decimals(cells.data, start, end, cells.line, name, ".", log)
        ms, places = value.at_common_places()
        wrong = ~value.bad & ((ms < 0) | (ms * 1_000_000 >= NS_PER_DAY * 10**places) | bool(places))
        log.add("bad_time", "not milliseconds since midnight", rows=cells.line[wrong], column=name)
        n = len(cells)
        no = np.zeros(n, np.bool_)
        ns = midnight_ns + ms * 1_000_000
        return Times(ns, None, no, np.zeros(n, np.int8), value.bad | wrong)

    return read
