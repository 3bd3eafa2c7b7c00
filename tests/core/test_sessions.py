"""Market hours by local clocks, through the weeks in which clocks change."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.core.sessions import (
    expected_bars,
    grid_offsets,
    is_open,
    local_times,
    seen_elsewhere,
    session_bits,
    session_names,
    utc_offsets,
)
from trading.core.types import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND


def utc(text: str) -> int:
    moment = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    return int(moment.timestamp()) * NS_PER_SECOND


def one(text: str) -> np.ndarray:
    return np.array([utc(text)], np.int64)


@pytest.mark.parametrize(
    ("moment", "kind", "expected"),
    [
        ("2024-01-05T21:59", "fx", True),  # Friday 16:59 New York, winter
        ("2024-01-05T22:00", "fx", False),
        ("2024-01-07T21:59", "fx", False),
        ("2024-01-07T22:00", "fx", True),
        ("2024-07-05T20:59", "fx", True),  # summer: an hour earlier in UTC
        ("2024-07-05T21:00", "fx", False),
        ("2024-07-07T21:00", "fx", True),
        ("2024-03-08T21:30", "fx", True),  # closes in winter time,
        ("2024-03-10T21:00", "fx", True),  # opens in summer time
        ("2024-11-01T21:00", "fx", False),  # and the other way round
        ("2024-11-03T21:00", "fx", False),
        ("2024-11-03T22:00", "fx", True),
        ("2024-01-06T12:00", "crypto", True),
        ("2024-01-06T12:00", "other", True),
        ("2024-01-09T22:30", "metal", False),  # the daily pause
        ("2024-01-09T23:00", "metal", True),
        ("2024-01-09T22:30", "fx", True),
        ("2024-01-07T22:30", "metal", False),
    ],
)
def test_is_open(moment: str, kind: str, expected: bool) -> None:
    assert is_open(kind, one(moment)).tolist() == [expected]


@pytest.mark.parametrize(
    ("kind", "start", "stop", "bar", "expected"),
    [
        ("fx", "2024-01-01T00:00", "2024-01-01T01:00", NS_PER_MINUTE, 60),
        ("fx", "2024-01-05T21:00", "2024-01-06T21:00", NS_PER_HOUR, 1),
        ("fx", "2024-01-05T12:00", "2024-01-12T12:00", NS_PER_HOUR, 120),
        ("fx", "2024-03-08T12:00", "2024-03-15T12:00", NS_PER_HOUR, 121),  # a 47-hour weekend
        ("fx", "2024-11-01T12:00", "2024-11-08T12:00", NS_PER_HOUR, 119),  # a 49-hour one
        ("fx", "2024-01-06T00:00", "2024-01-07T00:00", NS_PER_HOUR, 0),
        ("crypto", "2024-01-06T00:00", "2024-01-07T00:00", NS_PER_HOUR, 24),
        ("crypto", "2024-01-06T00:30", "2024-01-06T02:30", NS_PER_HOUR, 2),
        ("crypto", "2024-01-06T02:00", "2024-01-06T01:00", NS_PER_HOUR, 0),
        ("metal", "2024-01-09T00:00", "2024-01-10T00:00", NS_PER_HOUR, 23),
        ("other", "2024-01-09T00:00", "2024-01-10T00:00", NS_PER_HOUR, -1),
    ],
)
def test_expected_bars(kind: str, start: str, stop: str, bar: int, expected: int) -> None:
    assert expected_bars(kind, bar, one(start), one(stop)).tolist() == [expected]


@given(
    st.sampled_from(["fx", "metal"]),
    st.integers(utc("2023-12-28"), utc("2024-12-01")),
    st.integers(0, 15 * 24 * 60),
    st.sampled_from([15, 60, 240]),
    st.integers(0, 3),
)
def test_expected_bars_are_those_that_open_in_market_hours(
    kind: str, start: int, minutes: int, bar_minutes: int, shift: int
) -> None:
    bar = bar_minutes * NS_PER_MINUTE
    offset = shift * 5 * NS_PER_MINUTE
    stop = start + minutes * NS_PER_MINUTE
    first = -((offset - start) // bar) * bar + offset
    opens = np.arange(first, stop, bar, dtype=np.int64)
    got = expected_bars(kind, bar, np.array([start]), np.array([stop]), offset)
    assert got.tolist() == [int(is_open(kind, opens).sum())]


@given(
    st.sampled_from(["America/New_York", "Europe/London", "Asia/Tokyo", "Asia/Kolkata"]),
    st.integers(utc("1995-01-01") // NS_PER_SECOND, utc("2035-01-01") // NS_PER_SECOND),
)
def test_offsets_are_those_of_the_zone_database(zone: str, second: int) -> None:
    moment = dt.datetime.fromtimestamp(second, ZoneInfo(zone)).utcoffset()
    assert moment is not None
    got = utc_offsets(np.array([second * NS_PER_SECOND]), zone)
    assert got.tolist() == [int(moment.total_seconds()) * NS_PER_SECOND]


@pytest.mark.parametrize(
    ("moment", "names"),
    [
        ("2024-01-09T00:00", ("tokyo",)),
        ("2024-01-09T08:30", ("tokyo", "london")),
        ("2024-01-09T13:00", ("london", "new_york")),
        ("2024-07-09T12:00", ("london", "new_york")),
        ("2024-07-09T07:30", ("tokyo", "london")),
        # The United States are on summer time already, Europe is not.
        ("2024-03-12T12:00", ("london", "new_york")),
        ("2024-03-12T16:30", ("london", "new_york")),
        ("2024-03-12T17:00", ("new_york",)),
        ("2024-01-09T22:30", ()),
        ("2024-01-06T13:00", ()),
    ],
)
def test_sessions(moment: str, names: tuple[str, ...]) -> None:
    assert session_names(int(session_bits(one(moment))[0])) == names


def test_local_time() -> None:
    assert local_times(one("2024-07-09T12:00"), "America/New_York")[0] == utc("2024-07-09T08:00")


def test_nothing_in_nothing_out() -> None:
    none = np.zeros(0, np.int64)
    assert utc_offsets(none, "Asia/Tokyo").size == 0
    assert is_open("fx", none).size == 0
    assert session_bits(none).size == 0
    assert expected_bars("fx", NS_PER_DAY, none, none).size == 0


def new_york_days(bar_ns: int) -> np.ndarray:
    """Opens of every bar of 2024 where days begin at 17:00 New York."""
    days = dt.date(2024, 1, 1), dt.date(2025, 1, 1)
    zone, opens = ZoneInfo("America/New_York"), []
    for day in range(days[0].toordinal(), days[1].toordinal()):
        at = dt.datetime.combine(dt.date.fromordinal(day), dt.time(17), zone)
        first = int(at.timestamp()) * NS_PER_SECOND
        opens += range(first, first + NS_PER_DAY, bar_ns)
    time = np.unique(np.array(opens, np.int64))
    return time[is_open("fx", time)]


@pytest.mark.parametrize("hours", [4, 24])
def test_long_bars_are_expected_where_their_season_has_them(hours: int) -> None:
    """Whole windows of a year are covered, whatever the season of the first bar that is stored,
    and those with a bar missing are not."""
    bar_ns = hours * NS_PER_HOUR
    time = new_york_days(bar_ns)
    start = np.arange(utc("2024-01-10"), utc("2024-12-10"), 7 * NS_PER_HOUR // 2)
    for length in (5 * NS_PER_HOUR, 24 * NS_PER_HOUR, 7 * NS_PER_DAY):
        stop = start + length
        expected = expected_bars("fx", bar_ns, start, stop, grid_offsets(time, bar_ns, start, stop))
        present = np.searchsorted(time, stop) - np.searchsorted(time, start)
        assert (present >= expected).all()
        assert (present - expected <= 1).all()
        assert (present == expected).mean() > 0.95
        one_for_all = expected_bars("fx", bar_ns, start, stop, int(time[0]))
        assert (present < one_for_all).any()


def test_a_window_asks_its_own_bars_for_the_grid() -> None:
    hour = NS_PER_HOUR
    time = np.array([2, 6, 105, 109], np.int64) * hour
    cases = {  # window: grid
        (2, 9): 2,  # the bar that opens there
        (3, 9): 2,  # the bar around its start
        (10, 108): 1,  # the first in it
        (10, 104): 0,  # none
        (104, 104): 0,
        (112, 120): 1,
        (113, 120): 0,
        (0, 2): 0,  # the bar at its end is not in it
    }
    start, stop = np.array(list(cases), np.int64).T * hour
    found = grid_offsets(time, 4 * hour, start, stop)
    assert (found // hour).tolist() == list(cases.values())
    assert grid_offsets(time[:0], 4 * hour, start, stop).tolist() == [0] * len(cases)


def test_other_series_tell_when_a_market_of_unknown_hours_traded() -> None:
    minute = NS_PER_MINUTE
    own = np.array([0, 1, 2, 3, 4, 5, 6, 60, 61], np.int64) * minute
    five = np.arange(0, 70, 5) * minute  # all of the time
    start, stop = np.array([[0, 5], [0, 20], [20, 60], [2, 10], [60, 70], [70, 90]]).T * minute
    shares = seen_elsewhere(own, minute, [(five, 5 * minute)], start, stop)
    # Only bars that lie inside a window count: of [2, 10) that is the one of minute 5.
    np.testing.assert_array_equal(shares, [1, 0.5, 0, 1, 0.5, np.nan])
    # The other way round every minute lies in a five-minute bar.
    finer = seen_elsewhere(five, 5 * minute, [(own, minute)], start, stop)
    np.testing.assert_array_equal(finer, [1, 1, np.nan, 1, 1, np.nan])
    # The least of several; and nobody else, nothing known.
    some = [(five, 5 * minute), (own, minute), (own[:0], minute)]
    assert seen_elsewhere(own, minute, some, start, stop)[1] == 0.5
    assert np.isnan(seen_elsewhere(own, minute, [], start, stop)).all()
