"""Economic calendars from CSV: time, currency, title, impact, actual, forecast, surprise_z.

Times carry an offset, or the zone is declared; a date without a year needs the year. Rows without
a moment ("All Day", "Tentative") are passed over with their reason and line: a release without a
time cannot be matched with a bar. Impact is a word, or Forex Factory's colour: red is high, orange
medium, yellow low, gray (holidays) low.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from trading.core.errors import Problem, UserError
from trading.core.types import NS_PER_DAY

from .contract import I64, ProblemLog, refuse
from .layouts import plain_name
from .tables import check_first_line, find_delimiter, first_cells
from .values import read_time
from .zones import UTC, Zone, parse_zone, to_utc

MAX_ROWS = 1_000_000
MAX_TITLE = 300
MAX_FIGURE = 40
IMPACTS = {"low": 0, "medium": 1, "high": 2}
_IMPACT_WORDS = {
    **IMPACTS,
    "med": 1, "moderate": 1, "l": 0, "m": 1, "h": 2,
    "low impact expected": 0, "medium impact expected": 1, "high impact expected": 2,
    "non-economic": 0, "holiday": 0, "bank holiday": 0,
    "red": 2, "orange": 1, "yellow": 0, "gray": 0, "grey": 0,
}  # fmt: skip
_NAMES = {
    "time": ("time_utc", "utc_time", "datetime", "date_time", "timestamp", "datetime_utc"),
    "date": ("date", "day"),
    "clock": ("time",),
    "currency": ("currency", "ccy", "cur"),
    "title": ("title", "event", "name", "description"),
    "impact": ("impact", "importance", "volatility"),
    "actual": ("actual",),
    "forecast": ("forecast", "consensus", "expected"),
    "surprise_z": ("surprise_z", "surprise"),
}
_UTC_NAMES = frozenset(("time_utc", "utc_time", "datetime_utc"))
_NO_MOMENT = re.compile(r"(all day|tentative|day \d+|\d+(st|nd|rd|th)(-\d+\w*)?|)", re.IGNORECASE)
_NO_FIGURE = frozenset(("", "n/a", "na", "-", "none", "null", "nan"))
_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES.split(), start=1)}
_NAMED_DATE = re.compile(
    r"(?:[A-Za-z]{3,9},? )?(?P<month>[A-Za-z]{3,9})\.? (?P<day>\d{1,2})(?:,? (?P<year>\d{4}))?",
    re.ASCII,
)
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsOptions:
    """What the user declared: `tz` of times without one, `year` of dates without one."""

    tz: str | None = None
    year: int | None = None
    encoding: str | None = None
    date_order: str | None = None


@dataclass(frozen=True, slots=True)
class NewsRow:
    """One release. `time` ns UTC, `impact` 0 low 1 medium 2 high; empty or None = not known."""

    line: int
    time: int
    currency: str
    title: str
    impact: int
    actual: str
    forecast: str
    surprise_z: float | None

    @property
    def key(self) -> tuple[int, str, str]:
        return self.time, self.currency, self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedNews:
    """Releases by time, each key once. `covers_from`, `covers_to`: ns UTC of the first day's start
    and the last day's end on the file's own clock. `skipped` rows had no moment."""

    file: str
    rows: tuple[NewsRow, ...]
    covers_from: int
    covers_to: int
    tz_of_origin: str
    rows_read: int
    skipped: int
    duplicates: int
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class _Draft:
    """A row whose time is still as written."""

    line: int
    ns: int
    zoned: bool
    timed: bool
    cells: dict[str, str]


def parse_news(blocks: Iterable[bytes], file: str, options: NewsOptions) -> ParsedNews:
    """Read a calendar. Codes: missing_columns, year_required, timezone_required, bad_time,
    out_of_range, date_order, bad_currency, bad_title, bad_impact, bad_number, year_wrap."""
    log = ProblemLog(file)
    reader = _Reader(file, options, log)
    for number, cells in _lines(blocks, file, reader):
        reader.add(number, cells)
    drafts = reader.drafts
    if not drafts and not log.fatal_count:
        log.add("no_rows", "the file has no rows of data")
    zone = _zone(drafts, reader, options, log)
    log.raise_if_fatal()
    times = _in_utc(drafts, zone, log)
    rows = [_row(draft, int(ns), log) for draft, ns in zip(drafts, times, strict=True)]
    log.raise_if_fatal()
    kept, duplicates = _once([row for row in rows if row is not None], log)
    covers_from, covers_to = _span(drafts, zone)
    skipped = [draft.line for draft in drafts if not draft.timed]
    log.add(
        "no_moment",
        "the row has no time of day (all day, tentative): not imported",
        rows=skipped,
        fatal=False,
    )
    return ParsedNews(
        file=file,
        rows=tuple(kept),
        covers_from=covers_from,
        covers_to=covers_to,
        tz_of_origin=zone.name,
        rows_read=len(drafts),
        skipped=len(skipped),
        duplicates=duplicates,
        problems=log.problems,
    )


def _lines(blocks: Iterable[bytes], file: str, reader: _Reader) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every line of data; the header goes to the reader."""
    delimiter = ""
    number = 0
    for block in blocks:
        for line in block.decode().split("\n")[:-1]:
            number += 1
            if number == 1:
                first = check_first_line(line.encode() + b"\n", file)
                delimiter = find_delimiter(first, file)
                reader.header(first_cells(first, delimiter, file))
            elif line.strip():
                try:
                    yield number, next(csv.reader([line], delimiter=delimiter, strict=True))
                except csv.Error as error:
                    detail = f"bad quoting: {error}"
                    raise refuse(file, "malformed_csv", detail, row=number) from error
        if number > MAX_ROWS:
            raise refuse(file, "row_limit", f"a calendar may have {MAX_ROWS:,} rows")


class _Reader:
    """Collects drafts of rows under one header."""

    def __init__(self, file: str, options: NewsOptions, log: ProblemLog) -> None:
        self.drafts: list[_Draft] = []
        self.states_utc = False
        self.lacking_year = False
        self._file = file
        self._options = options
        self._log = log
        self._columns: dict[str, int] = {}
        self._width = 0
        self._month = 0

    def header(self, cells: list[str]) -> None:
        names = [plain_name(cell) for cell in cells]
        twice = [name for name in names if name and names.count(name) > 1]
        if twice:
            raise refuse(self._file, "duplicate_column", f"{twice[0]} occurs twice", row=1)
        self._width = len(cells)
        for role, known in _NAMES.items():
            found = next((names.index(name) for name in known if name in names), None)
            if found is not None:
                self._columns[role] = found
        # A single column named time or date holds the whole moment.
        if "time" not in self._columns and not {"date", "clock"} <= self._columns.keys():
            whole = self._columns.get("clock", self._columns.get("date"))
            self._columns |= {} if whole is None else {"time": whole}
        if "time" in self._columns:
            self.states_utc = names[self._columns["time"]] in _UTC_NAMES
        wanted = ("time_or_date", "currency", "title", "impact")
        has = self._columns.keys() | ({"time_or_date"} if self._has_time() else set())
        missing = [role for role in wanted if role not in has]
        if missing:
            detail = f"missing columns: {', '.join(missing)}"
            raise refuse(self._file, "missing_columns", detail, row=1)

    def _has_time(self) -> bool:
        return "time" in self._columns or {"date", "clock"} <= self._columns.keys()

    def add(self, line: int, cells: list[str]) -> None:
        if len(cells) != self._width:
            detail = f"the line has {len(cells)} cells, the header {self._width}"
            self._log.add("column_count", detail, rows=[line])
            return
        row = {role: cells[i].strip() for role, i in self._columns.items()}
        try:
            ns, zoned, timed = self._moment(row)
        except UserError as error:
            self._log.add(error.code, error.detail, rows=[line], column=error.field)
            return
        self.drafts.append(_Draft(line, ns, zoned, timed, row))

    def _moment(self, row: dict[str, str]) -> tuple[int, bool, bool]:
        """(ns, whether that is UTC, whether there was a time of day at all)."""
        order = self._options.date_order
        if "time" in row:
            written = read_time(row["time"], "time", date_order=order)
            return written.ns, written.zoned, True
        date = self._iso_date(row["date"])
        if _NO_MOMENT.fullmatch(row["clock"]):
            return read_time(f"{date} 00:00", "date", date_order=order).ns, False, False
        written = read_time(f"{date} {row['clock']}", "time", date_order=order)
        return written.ns, written.zoned, True

    def _iso_date(self, text: str) -> str:
        match = _NAMED_DATE.fullmatch(text)
        month = _MONTHS.get(match["month"][:3].lower()) if match else None
        if match is None or month is None:
            return text
        year = match["year"] or self._options.year
        if year is None:
            self.lacking_year = True
            raise UserError(
                "year_required",
                "dates have no year: declare it with --year, like --year 2023",
                field="year",
            )
        if not match["year"]:
            if self._month - month >= 6:
                raise UserError(
                    "year_wrap",
                    "dates without a year pass a new year: split the file and import each part",
                    field="date",
                )
            self._month = month
        return f"{year}-{month:02}-{int(match['day']):02}"


def _zone(drafts: list[_Draft], reader: _Reader, options: NewsOptions, log: ProblemLog) -> Zone:
    local = [draft.line for draft in drafts if draft.timed and not draft.zoned]
    # Dates that lack a year were not read, and never carry an offset: ask for both at once.
    lacking = reader.lacking_year or bool(local)
    if not lacking or (reader.states_utc and options.tz is None):
        return UTC
    if options.tz is not None:
        return parse_zone(options.tz)
    log.add(
        "timezone_required",
        "times have no zone: declare it with --tz, like --tz UTC or --tz Asia/Jakarta",
        rows=local[:1],
        count=1,
        column="tz",
    )
    return UTC


def _in_utc(drafts: list[_Draft], zone: Zone, log: ProblemLog) -> I64:
    ns = np.array([draft.ns for draft in drafts], np.int64)
    local = np.array([not draft.zoned for draft in drafts])
    timed = np.array([draft.timed for draft in drafts])
    lines = np.array([draft.line for draft in drafts])
    moved = to_utc(ns, zone)
    for code, mask, what in (
        ("nonexistent_time", moved.missing, "was skipped by a clock change"),
        ("ambiguous_time", moved.double, "occurred twice in a clock change"),
    ):
        log.add(
            code,
            f"this wall-clock time {what} in {zone.name}",
            rows=lines[mask & local & timed],
        )
    result: I64 = np.where(local, moved.utc, ns)
    return result


def _span(drafts: list[_Draft], zone: Zone) -> tuple[int, int]:
    """Start of the first and end of the last day in the file, ns UTC."""
    # A time with an offset names no zone to take days in: UTC days are used.
    starts = np.array([draft.ns // NS_PER_DAY * NS_PER_DAY for draft in drafts], np.int64)
    if all(draft.zoned for draft in drafts):
        return int(starts.min()), int(starts.max()) + NS_PER_DAY
    bounds = to_utc(np.array([starts.min(), starts.max() + NS_PER_DAY]), zone).utc
    return int(bounds[0]), int(bounds[1])


def _row(draft: _Draft, ns: int, log: ProblemLog) -> NewsRow | None:
    cells, line = draft.cells, draft.line
    currency, title = cells["currency"].upper(), " ".join(cells["title"].split())
    if not _CURRENCY.fullmatch(currency):
        detail = f"currency is {cells['currency'][:20]!a}, expected three letters"
        log.add("bad_currency", detail, rows=[line], column="currency")
    if not title or len(title) > MAX_TITLE or not title.isprintable():
        detail = f"title must be printable text of 1 to {MAX_TITLE} characters"
        log.add("bad_title", detail, rows=[line], column="title")
    impact = _IMPACT_WORDS.get(cells["impact"].lower())
    if impact is None:
        detail = f"impact is {cells['impact'][:20]!a}: expected high, medium or low"
        log.add("bad_impact", detail, rows=[line], column="impact")
    figures = [_figure(cells.get(name, ""), name, line, log) for name in ("actual", "forecast")]
    surprise = _number(cells.get("surprise_z", ""), line, log)
    if not draft.timed:
        return None
    return NewsRow(line, ns, currency, title, impact or 0, figures[0], figures[1], surprise)


def _figure(text: str, name: str, line: int, log: ProblemLog) -> str:
    if text.lower() in _NO_FIGURE:
        return ""
    if len(text) > MAX_FIGURE or not text.isprintable():
        detail = f"{name} must be printable text of at most {MAX_FIGURE} characters"
        log.add("bad_figure", detail, rows=[line], column=name)
        return ""
    return text


def _number(text: str, line: int, log: ProblemLog) -> float | None:
    if text.lower() in _NO_FIGURE:
        return None
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", text, re.ASCII):
        detail = f"surprise_z is {text[:20]!a}, not a number"
        log.add("bad_number", detail, rows=[line], column="surprise_z")
        return None
    return float(text)


def _once(rows: list[NewsRow], log: ProblemLog) -> tuple[list[NewsRow], int]:
    """Rows in order of time, each key once: the last of its kind wins."""
    found: dict[tuple[int, str, str], NewsRow] = {}
    exact: list[int] = []
    other: list[int] = []
    for row in rows:
        before = found.get(row.key)
        if before is not None:
            same = (before.impact, before.actual, before.forecast, before.surprise_z) == (
                row.impact, row.actual, row.forecast, row.surprise_z,
            )  # fmt: skip
            (exact if same else other).append(row.line)
        found[row.key] = row
    log.add("duplicates", "the row repeats another exactly", rows=exact, fatal=False)
    log.add(
        "conflicting_duplicate",
        "the release occurs before with other figures; the last one is kept",
        rows=other,
        fatal=False,
    )
    return sorted(found.values(), key=lambda row: row.key), len(exact) + len(other)
