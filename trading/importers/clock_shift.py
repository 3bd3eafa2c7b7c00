"""Does a currency file keep the right clock through daylight saving? A warning, never a repair.

Currencies open on Sunday at 17:00 New York, summer and winter. In UTC that is 22:00 in winter and
21:00 in summer, and a file whose clock was converted with the wrong daylight-saving rule opens an
hour off in part of the year: from March to November with no rule at all, or only in the two to
three weeks in which Europe and the United States disagree.

Method: every gap of 30 to 80 hours that spans a Saturday is a weekend. The deviation of a weekend
is the New York wall clock of the first bar after it minus 17:00, in whole quarters of an hour.
Weeks are grouped by whether the United States and Europe are on summer time. A group of three
weeks or more has a typical deviation when 80 % of them share it. When two groups' typical
deviations differ by exactly an hour, the clock is suspect, and the weeks of the group that does
not open on time are named. A constant deviation is a late opening or a coarse bar: it says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.core.sessions import NEW_YORK, local_times, utc_offsets
from trading.core.types import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE

from .contract import I64

_BERLIN = "Europe/Berlin"
_STEP = 15 * NS_PER_MINUTE
_MIN_WEEKS = 3
_MIN_SHARE = 0.8
_OPEN_HOUR = 17 * NS_PER_HOUR
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True, slots=True)
class ClockShift:
    """`minutes` the clock is off in `weeks` weeks, in these months; `row` is the index of the
    first bar of the first such week."""

    minutes: int
    weeks: int
    months: tuple[str, ...]
    row: int


def clock_shift(time: I64, bar_ns: int) -> ClockShift | None:
    """The suspected shift of a currency series (sorted UTC ns), or None."""
    if bar_ns > NS_PER_HOUR or time.size < 2:
        return None
    opens = _week_opens(time)
    if opens.size < 2 * _MIN_WEEKS:
        return None
    local = local_times(time[opens], NEW_YORK)
    since_midnight = (local + NS_PER_DAY - _OPEN_HOUR) % NS_PER_DAY
    deviation = (since_midnight + NS_PER_DAY // 2) % NS_PER_DAY - NS_PER_DAY // 2
    deviation = deviation // _STEP * _STEP
    group = _summer(time[opens], NEW_YORK) * 2 + _summer(time[opens], _BERLIN)
    typical = _typical_by_group(deviation, group)
    if len(typical) < 2:
        return None
    # The largest group counts as right, unless another one opens on time.
    weeks = {g: int((group == g).sum()) for g in typical}
    right = min(typical, key=lambda g: (typical[g] != 0, -weeks[g]))
    off = [g for g in typical if abs(typical[g] - typical[right]) == NS_PER_HOUR]
    if not off:
        return None
    shift = typical[off[0]] - typical[right]
    wrong = opens[np.isin(group, off) & (deviation == typical[off[0]])]
    months = np.unique(
        time[wrong].astype("datetime64[ns]").astype("datetime64[M]").astype(int) % 12
    )
    return ClockShift(
        int(shift // NS_PER_MINUTE),
        int(wrong.size),
        tuple(_MONTHS[month] for month in months),
        int(wrong[0]),
    )


def _week_opens(time: I64) -> I64:
    """Indices of the first bars after weekends."""
    step = np.diff(time)
    at = np.flatnonzero((step >= 30 * NS_PER_HOUR) & (step <= 80 * NS_PER_HOUR))
    # Noon of the Saturday before the bar after the gap must lie inside the gap.
    day = (time[at + 1] // NS_PER_DAY + 3) % 7  # 0 is Monday
    saturday = (time[at + 1] // NS_PER_DAY - (day + 2) % 7) * NS_PER_DAY + NS_PER_DAY // 2
    inside = (saturday > time[at]) & (saturday < time[at + 1])
    result: I64 = at[inside] + 1
    return result


def _summer(time: I64, zone: str) -> I64:
    """1 where the zone is on summer time at noon after the given times."""
    winter = {NEW_YORK: -5, _BERLIN: 1}[zone] * NS_PER_HOUR
    result: I64 = (utc_offsets(time + NS_PER_DAY // 2, zone) != winter).astype(np.int64)
    return result


def _typical_by_group(deviation: I64, group: I64) -> dict[int, int]:
    """The deviation that most weeks of a group share; groups without one are left out."""
    typical = {}
    for g in np.unique(group):
        values, counts = np.unique(deviation[group == g], return_counts=True)
        if counts.sum() >= _MIN_WEEKS and counts.max() >= _MIN_SHARE * counts.sum():
            typical[int(g)] = int(values[counts.argmax()])
    return typical
