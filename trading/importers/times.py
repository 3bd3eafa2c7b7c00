"""Time text to integers, a column at a time.

A layout is the text with every digit replaced by `0`: `0000-00-00 00:00:00+00:00`. All rows of one
layout are read together, one character position a step. Dates written day or month first have two
readings; both are kept until the whole file is known, and a file where both are calendars is
refused (`date_order`) unless the order was declared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trading.core.types import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND

from .contract import I64, NO_TIME, Bool, Bytes, ProblemLog

_EARLIEST_YEAR, _LATEST_YEAR = 1980, 2100
_MAX_LAYOUTS = 64
_LONGEST = 40
_UNITS = {9: 1, 10: 1, 12: 2, 13: 2, 15: 3, 16: 3, 18: 4, 19: 4}  # digits -> index of unit
UNIT_NAMES = ("text", "s", "ms", "us", "ns")
_UNIT_NS = (0, NS_PER_SECOND, 1_000_000, 1_000, 1)

_DATE = (
    r"(?P<y>0000)(?P<s>[-/.])(?P<m>00?)(?P=s)(?P<d>00?)"
    r"|(?P<p>00?)(?P<s2>[-/.])(?P<q>00?)(?P=s2)(?P<y2>0000)"
    r"|(?P<y3>0000)(?P<m3>00)(?P<d3>00)"
)
_CLOCK = (
    r"(?P<H>00?):(?P<M>00)(?::(?P<S>00)(?:[.,](?P<f>0{1,9}))?)?(?: ?(?P<half>[AaPp])[Mm])?"
    r"|(?P<H2>00)(?P<M2>00)(?P<S2>00)?"
)
_ZONE = r"(?P<utc> ?(?:Z|UTC|GMT))| ?(?P<sign>[+-])(?P<zh>00)(?::?(?P<zm>00))?"
# MT4 and MT5 write date and time as neighbouring columns: the delimiter stands between them.
_LAYOUT = re.compile(rf"(?:{_DATE})(?:[T \t,;\x1f]?(?:{_CLOCK})(?:{_ZONE})?)?")


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Times of n rows. `ns`: UTC where `zoned`, else wall clock. `month_first`: the other reading
    of the date, or None when there is one only; NO_TIME marks a date that does not exist.
    `unit`: index into UNIT_NAMES."""

    ns: I64
    month_first: I64 | None
    zoned: Bool
    unit: NDArray[np.int8]
    bad: Bool


@dataclass(frozen=True, slots=True)
class _Layout:
    """Character positions of the parts of one layout, (from, to)."""

    parts: dict[str, tuple[int, int]]
    unit: int = 0
    zoned: bool = False
    sign: int = 1
    afternoon: bool | None = None

    @property
    def two_readings(self) -> bool:
        return "p" in self.parts


@lru_cache(maxsize=256)
def _layout(shape: str) -> _Layout | None:
    if shape.strip("0") == "" and len(shape) in _UNITS:
        return _Layout({"epoch": (0, len(shape))}, unit=_UNITS[len(shape)], zoned=True)
    match = _LAYOUT.fullmatch(shape)
    if not match:
        return None
    groups = match.groupdict()
    parts = {
        name.rstrip("23"): match.span(name)
        for name, text in groups.items()
        if text and name not in ("s", "s2", "utc", "sign", "half")
    }
    half = groups["half"]
    return _Layout(
        parts,
        zoned=bool(groups["utc"] or groups["sign"]),
        sign=-1 if groups["sign"] == "-" else 1,
        afternoon=half.lower() == "p" if half else None,
    )


def read_times(data: Bytes, start: I64, end: I64, line: I64, name: str, log: ProblemLog) -> Times:
    """Read a time column. Logs bad_time and out_of_range with lines."""
    n = start.size
    ns, other = np.zeros(n, np.int64), np.zeros(n, np.int64)
    zoned, unit = np.zeros(n, np.bool_), np.zeros(n, np.int8)
    bad = np.zeros(n, np.bool_)
    two = False
    left = np.arange(n)
    for _ in range(_MAX_LAYOUTS):
        if not left.size:
            break
        shape, hit, chars = _rows_like_first(data, start[left], end[left])
        rows = left[hit]
        layout = _layout(shape)
        if layout is None:
            bad[rows] = True
            first = data[start[rows[0]] : end[rows[0]]].tobytes().decode("utf-8", "replace")
            log.add(
                "bad_time", f"{name} is {first[:40]!a}, not a time", rows=line[rows], column=name
            )
        else:
            ns[rows], other[rows] = _values(layout, chars)
            zoned[rows], unit[rows] = layout.zoned, layout.unit
            two |= layout.two_readings
        left = left[~hit]
    bad[left] = True
    log.add("bad_time", f"{name} is written in too many ways", rows=line[left], column=name)
    if not two:
        _refuse_impossible(ns, bad, line, name, log)
    return Times(ns, other if two else None, zoned, unit, bad)


def _rows_like_first(data: Bytes, start: I64, end: I64) -> tuple[str, Bool, list[Bytes]]:
    """The layout of the first row, which rows share it, and the characters of those rows."""
    length = int(min(end[0] - start[0], _LONGEST))
    text = data[start[0] : start[0] + length].tobytes().decode("latin-1")
    shape = "".join("0" if char in "0123456789" else char for char in text)
    hit = end - start == int(end[0] - start[0])
    last = data.size - 1
    columns = []
    for j, char in enumerate(shape):
        values = data[np.minimum(start + j, last)]
        hit &= (values - np.uint8(48) < 10) if char == "0" else (values == ord(char))
        columns.append(values)
    if not hit.all():
        columns = [values[hit] for values in columns]
    return shape, hit, columns


def _values(layout: _Layout, chars: list[Bytes]) -> tuple[I64, I64]:
    """Both readings in ns (equal when there is one)."""
    if layout.unit:
        value = _digits(chars, *layout.parts["epoch"])
        return _epoch_ns(value, layout.unit), _epoch_ns(value, layout.unit)
    get = {name: _digits(chars, *span) for name, span in layout.parts.items()}
    clock = _clock_ns(layout, get)
    if layout.two_readings:
        day_first = _day_ns(get["y"], get["q"], get["p"])
        month_first = _day_ns(get["y"], get["p"], get["q"])
        return _joined(day_first, clock), _joined(month_first, clock)
    value = _joined(_day_ns(get["y"], get["m"], get["d"]), clock)
    return value, value


def _digits(chars: list[Bytes], start: int, stop: int) -> I64:
    value = (chars[start] - np.uint8(48)).astype(np.int64)
    for j in range(start + 1, stop):
        value = value * 10 + (chars[j] - np.uint8(48))
    return value


def _epoch_ns(value: I64, unit: int) -> I64:
    latest = (_LATEST_YEAR - 1970) * 366 * NS_PER_DAY // _UNIT_NS[unit]
    result: I64 = np.where(value <= latest, value * _UNIT_NS[unit], NO_TIME)
    return result


def _clock_ns(layout: _Layout, get: dict[str, I64]) -> I64:
    """Time of day in ns minus the written offset; NO_TIME where it is no time of day."""
    if "H" not in get:
        return np.zeros(1, np.int64)
    zero = np.zeros(1, np.int64)
    hour, minute, second = get["H"], get["M"], get.get("S", zero)
    valid = (hour < 24) & (minute < 60) & (second < 60)
    if layout.afternoon is not None:
        valid &= (hour >= 1) & (hour <= 12)
        hour = hour % 12 + (12 if layout.afternoon else 0)
    value = hour * NS_PER_HOUR + minute * NS_PER_MINUTE + second * NS_PER_SECOND
    if "f" in get:
        first, last = layout.parts["f"]
        value = value + get["f"] * 10 ** (9 - (last - first))
    if "zh" in get:
        offset = get["zh"] * NS_PER_HOUR + get.get("zm", zero) * NS_PER_MINUTE
        valid &= offset <= 14 * NS_PER_HOUR
        value = value - layout.sign * offset
    result: I64 = np.where(valid, value, NO_TIME)
    return result


_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def _day_ns(year: I64, month: I64, day: I64) -> I64:
    """Midnight of a date in ns; NO_TIME where the calendar has no such date or the year is out of
    range. Consecutive rows mostly share their date, so each run is computed once."""
    if not year.size:
        return year
    key = (year * 100 + month) * 100 + day
    change = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    year, month, day = year[change], month[change], day[change]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    valid = (month >= 1) & (month <= 12) & (year >= _EARLIEST_YEAR) & (year <= _LATEST_YEAR)
    safe_month = np.where(valid, month, 1)
    longest = _MONTH_DAYS[safe_month] + (leap & (safe_month == 2))
    valid &= (day >= 1) & (day <= longest)
    safe_year = np.where(valid, year, 2000)
    months = ((safe_year - 1970) * 12 + safe_month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]").astype(np.int64) + np.where(valid, day, 1) - 1
    ns = np.where(valid, days * NS_PER_DAY, NO_TIME)
    return np.repeat(ns, np.diff(change, append=key.size))


def _joined(day: I64, clock: I64) -> I64:
    result: I64 = np.where((day == NO_TIME) | (clock == NO_TIME), NO_TIME, day + clock)
    return result


def _refuse_impossible(ns: I64, bad: Bool, line: I64, name: str, log: ProblemLog) -> None:
    impossible = np.flatnonzero((ns == NO_TIME) & ~bad)
    if impossible.size:
        log.add(
            "out_of_range",
            f"{name} is no date and time between {_EARLIEST_YEAR} and {_LATEST_YEAR}",
            rows=line[impossible],
            column=name,
        )
        bad[impossible] = True
    early = np.flatnonzero(~bad & (ns < (_EARLIEST_YEAR - 1970) * 365 * NS_PER_DAY))
    if early.size:
        log.add("out_of_range", f"{name} is before {_EARLIEST_YEAR}", rows=line[early], column=name)
        bad[early] = True


def one_reading(times: Times, declared: str | None, line: I64, log: ProblemLog) -> I64:
    """Wall clock or UTC ns of a whole file once day and month are told apart.

    Logs date_order when both readings are calendars and differ, out_of_range when neither is one.
    """
    if times.month_first is None:
        return times.ns
    choice = {"dmy": times.ns, "mdy": times.month_first}.get(declared or "")
    if choice is None:
        fine = [r for r in (times.ns, times.month_first) if not (r[~times.bad] == NO_TIME).any()]
        if len(fine) == 2 and not np.array_equal(fine[0], fine[1]):
            differ = np.flatnonzero(fine[0] != fine[1])
            log.add(
                "date_order",
                "day and month cannot be told apart: declare --date-order dmy or mdy",
                rows=line[differ[:1]],
                column="time",
            )
            return times.ns
        choice = fine[0] if fine else times.ns
    ns, bad = choice.copy(), times.bad.copy()
    _refuse_impossible(ns, bad, line, "time", log)
    return ns
