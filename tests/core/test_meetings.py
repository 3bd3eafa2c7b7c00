"""Periods of local days, figures of one, and minutes that show a change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from post_mortem.core.meetings import (
    Period,
    canonical,
    due_week,
    fingerprint,
    month_of,
    period_between,
    plain,
    score,
    usual,
    week_of,
)
from trading.core.errors import UserError

NAN = float("nan")


def days(first: str, last: str) -> Period:
    return Period(date.fromisoformat(first), date.fromisoformat(last))


# --- periods --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("first", "last", "kind", "before"),
    [
        ("2014-06-02", "2014-06-08", "week", ("2014-05-26", "2014-06-01")),
        ("2014-06-03", "2014-06-09", "span", ("2014-05-27", "2014-06-02")),
        ("2014-06-05", "2014-06-05", "day", ("2014-06-04", "2014-06-04")),
        ("2014-03-01", "2014-03-31", "month", ("2014-02-01", "2014-02-28")),
        ("2016-03-01", "2016-03-31", "month", ("2016-02-01", "2016-02-29")),
        ("2014-01-01", "2014-01-31", "month", ("2013-12-01", "2013-12-31")),
        ("2014-02-01", "2014-03-31", "span", ("2013-12-04", "2014-01-31")),
    ],
)
def test_a_period_knows_its_kind_and_the_one_before(
    first: str, last: str, kind: str, before: tuple[str, str]
) -> None:
    period = days(first, last)
    assert period.kind == kind
    assert period.moved(-1) == days(*before)


@given(st.dates(date(1995, 1, 1), date(2090, 1, 1)), st.integers(-30, 30))
def test_weeks_and_months_lie_side_by_side(day: date, steps: int) -> None:
    for period in (week_of(day), month_of(day), Period(day, day + timedelta(days=9))):
        assert period.moved(steps).moved(-steps) == period
        assert period.moved(1).first == period.last + timedelta(days=1)
        assert period.first <= day <= period.last


@pytest.mark.parametrize(
    ("zone", "monday", "start", "hours"),
    [
        ("UTC", "2014-06-02", "2014-06-02T00:00", 168),
        ("Europe/London", "2014-06-02", "2014-06-01T23:00", 168),
        # The clocks go forward on Sunday 30 March, back on Sunday 26 October.
        ("Europe/London", "2014-03-24", "2014-03-24T00:00", 167),
        ("Europe/London", "2014-10-20", "2014-10-19T23:00", 169),
        ("America/New_York", "2014-03-03", "2014-03-03T05:00", 167),
        ("Asia/Kolkata", "2014-06-02", "2014-06-01T18:30", 168),
        # Midnight does not exist on Sunday 19 October in São Paulo, and comes after 23:00 twice on
        # Saturday 15 February.
        ("America/Sao_Paulo", "2014-10-13", "2014-10-13T03:00", 167),
        ("America/Sao_Paulo", "2014-02-10", "2014-02-10T02:00", 169),
    ],
)
def test_a_week_is_one_of_local_days(zone: str, monday: str, start: str, hours: int) -> None:
    begin, end = week_of(date.fromisoformat(monday)).span(ZoneInfo(zone))
    assert begin == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert end - begin == timedelta(hours=hours)
    _, before = week_of(date.fromisoformat(monday)).moved(-1).span(ZoneInfo(zone))
    assert before == begin


def test_a_day_without_a_midnight_begins_where_the_clocks_jump() -> None:
    begin, end = days("2014-10-19", "2014-10-19").span(ZoneInfo("America/Sao_Paulo"))
    assert begin == datetime(2014, 10, 19, 3, tzinfo=UTC)
    assert end - begin == timedelta(hours=23)


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        ("2014-06-08", "2014-06-02", "to"),
        ("2013-01-01", "2014-06-02", "to"),
        ("1950-01-01", "1950-01-07", "from"),
        ("2014-01-01", "9999-12-31", "from"),
    ],
)
def test_a_period_that_cannot_be_reviewed_is_refused(first: str, last: str, field: str) -> None:
    with pytest.raises(UserError) as caught:
        period_between(date.fromisoformat(first), date.fromisoformat(last))
    assert (caught.value.code, caught.value.field) == ("bad_period", field)


def test_a_whole_leap_year_can_be_reviewed() -> None:
    assert period_between(date(2016, 1, 1), date(2016, 12, 31)).last == date(2016, 12, 31)


def test_the_week_that_is_due_was_traded_or_runs() -> None:
    today = date(2014, 6, 11)
    assert due_week(today, date(2014, 6, 8)) == days("2014-06-02", "2014-06-08")
    assert due_week(today, date(2014, 4, 30)) == days("2014-04-28", "2014-05-04")
    assert due_week(today, None) == days("2014-06-09", "2014-06-15")


# --- figures --------------------------------------------------------------------------------------
def test_a_few_trades_are_counted_and_summed_not_rated() -> None:
    found = score(np.array([1.5, -1.0, 0.0, NAN]))
    assert (found.n, found.unknown_n, found.won, found.lost, found.flat) == (4, 1, 1, 1, 1)
    assert (found.total_r, found.best_r, found.worst_r) == (0.5, 1.5, -1.0)
    assert (found.win_rate, found.expectancy_r, found.profit_factor) == (None, None, None)


@pytest.mark.parametrize(("n", "rated"), [(29, False), (30, True)])
def test_rates_begin_at_thirty(n: int, rated: bool) -> None:
    found = score(np.array([2.0] + [-1.0] * (n - 1)))
    assert (found.win_rate is not None) is rated
    if rated:
        assert found.win_rate == pytest.approx(1 / 30)
        assert found.expectancy_r == pytest.approx(-27 / 30)
        assert found.profit_factor == pytest.approx(2 / 29)


def test_thirty_trades_without_r_give_no_rate() -> None:
    found = score(np.array([NAN] * 29 + [1.0]))
    assert (found.n, found.unknown_n, found.win_rate, found.total_r) == (30, 29, None, 1.0)


def test_no_trades_have_no_result() -> None:
    found = score(np.array([]))
    assert (found.n, found.total_r, found.best_r) == (0, None, None)


def test_usual_is_a_mean_over_periods_not_trades() -> None:
    found = usual([score(np.array([2.4, 0.6])), score(np.array([])), score(np.array([-0.9]))])
    assert found is not None
    assert (found.periods, found.total_r, found.n) == (3, pytest.approx(0.7), 1.0)


def test_usual_is_unknown_without_periods_or_without_r() -> None:
    assert usual([]) is None
    assert usual([score(np.array([NAN])), score(np.array([NAN, NAN]))]) is None


# --- minutes --------------------------------------------------------------------------------------
def test_plain_is_what_any_database_gives_back() -> None:
    made = plain(
        {
            1: -0.0,
            "r": (1.23456789, NAN, -0.00001),
            "day": date(2014, 6, 2),
            "at": datetime(2014, 6, 2, 12, tzinfo=UTC),
            "n": 3,
            "none": None,
            "yes": True,
        }
    )
    assert canonical(made) == (
        '{"1":0.0,"at":"2014-06-02T12:00:00+00:00","day":"2014-06-02","n":3,"none":null,'
        '"r":[1.2346,null,0.0],"yes":true}'
    )


@pytest.mark.parametrize("changed", [{"r": 1.2}, {"r": 1.1, "x": 1}, {"R": 1.1}, {}])
def test_any_change_shows_in_the_fingerprint(changed: dict[str, Any]) -> None:
    assert fingerprint(changed) != fingerprint({"r": 1.1})


def test_the_order_of_keys_does_not_show() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})


def test_what_is_not_finite_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"r": NAN})
