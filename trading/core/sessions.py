"""Market hours: which bars can exist, and which sessions a moment belongs to.

Everything follows local clocks of the IANA zones, so daylight saving is right in the weeks in
which the United States and Europe disagree. Closures are regular ones only; public holidays are
not known here and show as missing bars.

- fx: open from Sunday 17:00 to Friday 17:00 New York.
- metal: as fx, with an hour's pause from 17:00 to 18:00 New York every day.
- crypto: always open.
- other: nothing is known; only the bars that are stored tell (`seen_elsewhere`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from .candles import F64, I64
from .types import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND

UNKNOWN_BARS = -1

NEW_YORK = "America/New_York"
_WEEK = 7 * NS_PER_DAY
_EPOCH_TO_FRIDAY = NS_PER_DAY  # 1970-01-01 was a Thursday
_FX_DAY_ENDS = 17 * NS_PER_HOUR

# name, zone, opens, closes (local hours)
SESSIONS: tuple[tuple[str, str, int, int], ...] = (
    ("tokyo", "Asia/Tokyo", 9, 18),
    ("london", "Europe/London", 8, 17),
    ("new_york", NEW_YORK, 8, 17),
)


@lru_cache(maxsize=1024)
def _year_offsets(zone: str, year: int) -> tuple[tuple[int, int], ...]:
    """(UTC second from which it holds, offset in seconds) for one year, the first at its start."""
    tz = ZoneInfo(zone)

    def offset(second: int) -> int:
        moment = dt.datetime.fromtimestamp(second, tz).utcoffset()
        return int(moment.total_seconds()) if moment is not None else 0

    start = int(dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp())
    end = int(dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC).timestamp())
    table = [(start, offset(start))]
    for day in range(start, end, 86_400):
        low, high = day, min(day + 86_400, end)
        if offset(high) == table[-1][1]:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == table[-1][1] else (low, middle)
        table.append((high, offset(high)))
    return tuple(table)


def _year(ns: int) -> int:
    return dt.datetime.fromtimestamp(ns // NS_PER_SECOND, dt.UTC).year


def utc_offsets(times: I64, zone: str) -> I64:
    """Offset of local time from UTC in ns at each time (ns UTC)."""
    if times.size == 0:
        return np.zeros(0, np.int64)
    years = range(_year(int(times.min())), _year(int(times.max())) + 1)
    table = np.array([row for year in years for row in _year_offsets(zone, year)], np.int64)
    index = np.searchsorted(table[:, 0] * NS_PER_SECOND, times, side="right") - 1
    result: I64 = table[index, 1] * NS_PER_SECOND
    return result


def local_times(times: I64, zone: str) -> I64:
    """ns since the epoch on the wall clock of a zone."""
    return times + utc_offsets(times, zone)


def session_bits(times: I64) -> NDArray[np.int8]:
    """Bit i is set where SESSIONS[i] is open (local clock, working days)."""
    bits = np.zeros(times.shape, np.int8)
    for i, (_, zone, opens, closes) in enumerate(SESSIONS):
        local = local_times(times, zone)
        hour = (local % NS_PER_DAY) // NS_PER_HOUR
        weekday = (local // NS_PER_DAY + 3) % 7  # 0 is Monday
        bits |= (((hour >= opens) & (hour < closes) & (weekday < 5)) << i).astype(np.int8)
    return bits


def session_names(bits: int) -> tuple[str, ...]:
    """Names of the sessions in a value of `session_bits`; empty means none is open."""
    return tuple(name for i, (name, *_) in enumerate(SESSIONS) if bits >> i & 1)


def closures(kind: str, start: int, end: int) -> tuple[I64, I64]:
    """Closed spans (from, to) in ns UTC, sorted, covering at least [start, end)."""
    none = np.zeros(0, np.int64)
    if kind not in ("fx", "metal") or end <= start:
        return none, none
    first, last = (start - _EPOCH_TO_FRIDAY) // _WEEK - 1, (end - _EPOCH_TO_FRIDAY) // _WEEK + 1
    fridays = np.arange(first, last + 1) * _WEEK + _EPOCH_TO_FRIDAY + _FX_DAY_ENDS
    closed, opened = _new_york_to_utc(fridays), _new_york_to_utc(fridays + 2 * NS_PER_DAY)
    if kind == "metal":
        days = (fridays[:, None] + np.arange(3, 7) * NS_PER_DAY).ravel()  # Monday to Thursday
        pauses = _new_york_to_utc(days)
        opened = opened + NS_PER_HOUR
        closed = np.concatenate([closed, pauses])
        opened = np.concatenate([opened, pauses + NS_PER_HOUR])
    order = np.argsort(closed, kind="stable")
    return closed[order], opened[order]


def _new_york_to_utc(local: I64) -> I64:
    # Clocks change at two in the night; five hours on, the offset of 17:00 holds on both sides.
    return local - utc_offsets(local + 5 * NS_PER_HOUR, NEW_YORK)


def is_open(kind: str, times: I64) -> NDArray[np.bool_]:
    """Whether the market trades at each time; a kind without known hours is always open."""
    if times.size == 0:
        return np.zeros(0, np.bool_)
    closed, opened = closures(kind, int(times.min()), int(times.max()) + 1)
    if not closed.size:
        return np.ones(times.shape, np.bool_)
    index = np.searchsorted(closed, times, side="right") - 1
    return times >= opened[np.maximum(index, 0)]


def hours_known(kind: str) -> bool:
    """Whether it is known when markets of this kind trade."""
    return kind in ("fx", "metal", "crypto")


def grid_offsets(time: I64, bar_ns: int, start: I64, stop: I64) -> I64:
    """Where on the grid of `bar_ns` the bars of each window [start, stop) open, shape (m,).

    `time`: opens of the stored bars. Told by the bar at the start of the window or around it, else
    by the first one in it, and 0 without any: long bars follow their market's clock, which is
    changed twice a year, so bars of another season say nothing.
    """
    if not time.size:
        return np.zeros(start.shape, np.int64)
    after = np.searchsorted(time, start)
    next_open = time[np.minimum(after, time.size - 1)]
    before = time[np.maximum(after - 1, 0)]
    around = (after > 0) & (before + bar_ns > start) & (next_open != start)
    inside = (next_open >= start) & (next_open < np.maximum(stop, start + 1))
    return np.where(around, before, np.where(inside, next_open, 0)) % bar_ns


def expected_bars(kind: str, bar_ns: int, start: I64, stop: I64, offset: int | I64 = 0) -> I64:
    """How many bars open in [start, stop) while the market trades.

    `start`, `stop`: ns UTC, shape (m,); `offset`: open of any bar, which fixes the grid, one for
    all or one a window (`grid_offsets`). UNKNOWN_BARS (-1) for a kind whose hours are not known.
    """
    if not hours_known(kind):
        return np.full(start.shape, UNKNOWN_BARS, np.int64)
    if start.size == 0:
        return np.zeros(0, np.int64)
    stop = np.maximum(stop, start)
    grids = np.broadcast_to(np.asarray(offset) % bar_ns, start.shape)
    first = int(grids[0])
    if (grids == first).all():
        return _expected_on(kind, bar_ns, start, stop, first)
    result = np.zeros(start.shape, np.int64)
    for grid in np.unique(grids).tolist():
        rows = grids == grid
        result[rows] = _expected_on(kind, bar_ns, start[rows], stop[rows], grid)
    return result


def _expected_on(kind: str, bar_ns: int, start: I64, stop: I64, offset: int) -> I64:

    def opens_before(times: I64) -> I64:
        return -((offset - times) // bar_ns)

    closed, opened = closures(kind, int(start.min()), int(stop.max()))
    lost = np.concatenate([[0], np.cumsum(opens_before(opened) - opens_before(closed))])

    def lost_before(times: I64) -> I64:
        index = np.searchsorted(closed, times, side="right")
        if not closed.size:
            return np.zeros(times.shape, np.int64)
        inside = np.maximum(opened[np.maximum(index - 1, 0)] - times, 0)
        still_to_come = opens_before(times + inside) - opens_before(times)
        result: I64 = lost[index] - np.where(index > 0, still_to_come, 0)
        return result

    result: I64 = opens_before(stop) - opens_before(start)
    result -= lost_before(stop) - lost_before(start)
    return result


def seen_elsewhere(
    time: I64, bar_ns: int, others: Iterable[tuple[I64, int]], start: I64, stop: I64
) -> F64:
    """Share of the time in which a market of unknown hours traded that a series has bars of.

    `time`, `bar_ns`: its bars, of which those that reach into the windows [start, stop) must be
    there; `others`: the same of other series of the market. A bar of another series that lies
    inside a window says that the market traded then. The least share that any of them gives,
    shape (m,); NaN where none has a bar.
    """
    result = np.full(start.shape, np.nan)
    for other, length in others:
        met = np.searchsorted(time, other + length) > np.searchsorted(time, other - bar_ns, "right")
        count = np.concatenate([[0], np.cumsum(met)])
        first = np.searchsorted(other, start)
        last = np.maximum(np.searchsorted(other, stop - length, "right"), first)
        share = (count[last] - count[first]) / np.maximum(last - first, 1)
        result = np.fmin(result, np.where(last > first, share, np.nan))
    return result
