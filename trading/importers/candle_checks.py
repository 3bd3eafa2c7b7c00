"""From the rows of a file to the bars of one series: order, duplicates, grid, gaps, unit, clock.

Refused: future_timestamp, timestamp_resolution_lost, conflicting_duplicate, timeframe_required,
timeframe_mismatch, off_grid, scale_suspect. Accepted with a warning and counts: unsorted,
duplicates, gaps, tz_shift_suspect, unfinished_bar.
"""

from __future__ import annotations

import datetime as dt

import numpy as np

from trading.core.errors import FileError
from trading.core.instruments import InstrumentSpec
from trading.core.sessions import UNKNOWN_BARS, expected_bars
from trading.core.types import (
    NS_PER_HOUR,
    NS_PER_MINUTE,
    NS_PER_SECOND,
    timeframe_name,
    timeframe_ns,
)

from .clock_shift import clock_shift
from .contract import F64, I64, Hint, ParsedCandles, ProblemLog, RawCandles, ReadOptions
from .file_names import canonical_timeframe
from .scale import scale_problem

_LOST_SHARE = 0.5  # of rows repeating an earlier time with other prices
_LOST_ROWS = 3


def check_series(
    raw: RawCandles, spec: InstrumentSpec, symbol: Hint, options: ReadOptions
) -> ParsedCandles:
    """Check the rows as a series of `spec`. Raises FileError with all that is fatal."""
    log = ProblemLog(raw.file)
    future = np.flatnonzero(raw.time > options.now_ns)
    log.add("future_timestamp", "the bar opens in the future", rows=raw.line[future])
    detail = scale_problem(raw, spec)
    if detail:
        log.add("scale_suspect", detail, rows=raw.line[:1])
    log.raise_if_fatal()
    keep = _sorted_unique(raw, log)
    log.raise_if_fatal()
    time, line, civil = raw.time[keep], raw.line[keep], raw.civil[keep]
    timeframe = _timeframe(time, line, raw, options, log)
    log.raise_if_fatal()
    missing = _check_times(time, civil, line, timeframe_ns(timeframe.value), spec, options, log)
    log.raise_if_fatal()
    notes = raw.notes if missing is not None else (*raw.notes, _hours_unknown(spec))
    volume: F64 | None = None if raw.volume is None else raw.volume[keep]
    return ParsedCandles(
        file=raw.file,
        format=raw.format,
        kind=raw.kind,
        tz_of_origin=raw.tz_of_origin,
        symbol=symbol,
        timeframe=timeframe,
        time=time,
        prices=tuple(column[keep] for column in raw.prices),
        decimals=raw.decimals,
        volume=volume,
        rows_read=len(raw),
        duplicates=len(raw) - int(time.size),
        missing=missing,
        notes=notes,
        problems=(*raw.problems, *log.problems),
        residue=None if raw.residue is None else raw.residue[keep],
    )


def _check_times(
    time: I64,
    civil: I64,
    line: I64,
    bar_ns: int,
    spec: InstrumentSpec,
    options: ReadOptions,
    log: ProblemLog,
) -> int | None:
    """Checks that need the length of a bar; returns how many bars are missing, None unknown."""
    _check_grid(time, civil, line, bar_ns, log)
    if spec.kind == "fx":
        _report_clock_shift(time, line, bar_ns, log)
    if time[-1] + bar_ns > options.now_ns:
        log.add(
            "unfinished_bar",
            "the last bar is not over yet: import it again later",
            rows=line[-1:],
            fatal=False,
        )
    return _report_gaps(time, line, bar_ns, spec.kind, log)


def _hours_unknown(spec: InstrumentSpec) -> str:
    return f"market hours of {spec.symbol} are not known: missing bars could not be counted"


def _sorted_unique(raw: RawCandles, log: ProblemLog) -> I64 | slice:
    """Indices of the bars in order of time, exact repeats left out."""
    step = np.diff(raw.time)
    if (step > 0).all():
        return slice(None)
    order = np.arange(len(raw))
    if (step < 0).any():
        log.add(
            "unsorted",
            "rows are not in order of time; they were sorted",
            rows=raw.line[1:][step < 0],
            fatal=False,
        )
        order = np.argsort(raw.time, kind="stable")
    time = raw.time[order]
    again = np.flatnonzero(time[1:] == time[:-1]) + 1
    if not again.size:
        return order
    columns = [*raw.prices] if raw.volume is None else [*raw.prices, raw.volume]
    same = np.ones(again.size, np.bool_)
    for column in columns:
        same &= column[order[again]] == column[order[again - 1]]
    _report_repeats(raw, order, again[~same], again[same], log)
    keep = np.ones(order.size, np.bool_)
    keep[again] = False
    return order[keep]


def _report_repeats(
    raw: RawCandles, order: I64, conflicting: I64, exact: I64, log: ProblemLog
) -> None:
    lines = np.sort(raw.line[order[conflicting]])
    share = conflicting.size / len(raw)
    if conflicting.size >= _LOST_ROWS and share >= _LOST_SHARE:
        log.add(
            "timestamp_resolution_lost",
            f"{share:.0%} of the rows repeat an earlier time with other prices: the times lost "
            "their minutes or seconds",
            rows=lines,
        )
    elif conflicting.size:
        log.add("conflicting_duplicate", "the time occurs before with other values", rows=lines)
    log.add(
        "duplicates",
        "the row repeats another exactly; one is kept",
        rows=np.sort(raw.line[order[exact]]),
        fatal=False,
    )


def _timeframe(
    time: I64, line: I64, raw: RawCandles, options: ReadOptions, log: ProblemLog
) -> Hint:
    """The length of a bar: given, stated by the file, or the most frequent step."""
    stated = raw.timeframe
    if options.timeframe:
        stated = Hint(canonical_timeframe(options.timeframe), "argument")
    modal, share, common = _steps(time)
    if stated is None:
        if modal == 0 or share < 0.5 or modal % NS_PER_SECOND:
            detail = "the length of a bar is not clear: declare it with --timeframe, like 5m"
            log.add("timeframe_required", detail, column="timeframe")
            raise FileError(log.file, log.problems)
        return Hint(timeframe_name(modal), "content")
    bar_ns = timeframe_ns(stated.value)
    finer = modal and modal < bar_ns and share >= 0.5
    coarser = modal and common > bar_ns and common % bar_ns == 0 and time.size > 2
    if finer or coarser:
        detail = f"{stated.value} was declared, the bars are {_shown(modal)} apart"
        log.add("timeframe_mismatch", detail, rows=line[:1], column="timeframe")
    return stated


def _steps(time: I64) -> tuple[int, float, int]:
    """The most frequent step between bars, its share, and the greatest common divisor of all."""
    if time.size < 2:
        return 0, 0.0, 0
    steps, counts = np.unique(np.diff(time), return_counts=True)
    best = int(counts.argmax())
    return int(steps[best]), float(counts[best] / counts.sum()), int(np.gcd.reduce(steps))


def _shown(ns: int) -> str:
    return timeframe_name(ns) if ns % NS_PER_SECOND == 0 else f"{ns / NS_PER_SECOND:g} s"


def _check_grid(time: I64, civil: I64, line: I64, bar_ns: int, log: ProblemLog) -> None:
    """Bars up to an hour open at multiples of their length, in UTC or on the file's own clock;
    longer ones follow their market's day and must open on the hour (or half hour)."""
    grid = bar_ns
    if bar_ns > NS_PER_HOUR:
        grid = NS_PER_HOUR // 2 if bar_ns % NS_PER_HOUR == 0 else NS_PER_MINUTE
    off = np.flatnonzero((time % grid != 0) & (civil % grid != 0))
    log.add("off_grid", f"the bar does not open on the grid of {_shown(bar_ns)}", rows=line[off])


def _report_gaps(time: I64, line: I64, bar_ns: int, kind: str, log: ProblemLog) -> int | None:
    """Bars missing while the market is open, or None where its hours are not known."""
    step = np.diff(time)
    at = np.flatnonzero(step > bar_ns)
    if kind not in ("fx", "metal", "crypto"):
        return None
    if not at.size:
        return 0
    missing = expected_bars(kind, bar_ns, time[at] + 1, time[at + 1], time[at])
    if (missing == UNKNOWN_BARS).any():
        return None
    gaps = np.flatnonzero(missing > 0)
    total = int(missing[gaps].sum())
    if total:
        worst = gaps[missing[gaps].argmax()]
        log.add(
            "gaps",
            f"bars are missing inside market hours: {total:,} in {gaps.size:,} "
            f"gap{'s' * (gaps.size > 1)}, the longest of {int(missing[worst]):,} after "
            f"{_utc(int(time[at[worst]]))} UTC",
            rows=line[at[gaps]],
            fatal=False,
            count=total,
        )
    return total


def _report_clock_shift(time: I64, line: I64, bar_ns: int, log: ProblemLog) -> None:
    shift = clock_shift(time, bar_ns)
    if shift is None:
        return
    log.add(
        "tz_shift_suspect",
        f"{shift.minutes:+d} min in {', '.join(shift.months)}: the week opens at another New York "
        f"time in {shift.weeks} weeks, as with a wrong daylight-saving rule",
        rows=line[shift.row : shift.row + 1],
        fatal=False,
        count=shift.weeks,
    )


def _utc(ns: int) -> str:
    return dt.datetime.fromtimestamp(ns // NS_PER_SECOND, dt.UTC).strftime("%Y-%m-%d %H:%M")
