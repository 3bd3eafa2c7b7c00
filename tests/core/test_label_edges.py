"""Edges of labels that a careless change would move unseen, a row each as in `label_rows`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from post_mortem.core.labeler import label
from post_mortem.core.replay import entry_bars, replay
from post_mortem.core.types import NO_TIME, ExitReason, Flag, Outcome, SetupView
from tests.core.cases import MINUTE, NAN, Bar, at, batch, candles, market, signal, trade
from tests.core.label_rows import (
    BOTH,
    FAILED,
    LIMIT,
    NEUTRAL,
    PENDING,
    QUIET,
    STOP,
    SUCCEEDED,
    F,
    Row,
    both_ways,
    check,
    check_row,
    each,
    hourly,
    judged,
)
from trading.core.aggregate import aggregate
from trading.core.types import NS_PER_DAY, NS_PER_HOUR

SATURDAY = 1_709_985_600 * 1_000_000_000  # 2024-03-09 12:00 UTC

ROWS = [
    Row(
        "stopped in its first bar: what that bar gained before counts",
        [(100, 105, 90, 95), F, F, F],
        {"outcome": FAILED, "exit_time": at(0), "mfe_r": 0.5, "mae_r": 1.0},
    ),
    Row(
        "stopped in its first bar from an entry off the grid: less than half a point was gained",
        [(100, 100, 90, 95), F, F, F],
        {"outcome": FAILED, "mfe_r": 0.1 / 9.9, "mfe_pips": 0.01},
        case=BOTH | {"entry_price": 99.9},
    ),
    Row(
        "a limit filled at a bar's open and stopped in it has seen all of that bar",
        [(94, 100, 84, 85), F, F, F],
        {"outcome": FAILED, "exit_reason": ExitReason.SL, "mfe_r": 0.5, "mae_r": 1.1},
        case=dict(LIMIT),
    ),
    Row(
        "a limit off the grid that ends with its first bar keeps less than half a point of gain",
        [(94.5, 95, 94, 95), F],
        {"outcome": NEUTRAL, "exit_reason": ExitReason.TIME, "mfe_r": 0.1 / 9.9},
        case=LIMIT | {"entry_price": 94.9, "minutes": 1},
    ),
    Row(
        "one bar is a series: its end is not the end of the horizon",
        [F],
        {"outcome": PENDING, "r": NAN},
    ),
]


@both_ways
@each(ROWS)
def test_signal(row: Row, turned: bool) -> None:
    check_row(row, turned=turned)


@pytest.mark.parametrize(
    ("fields", "expect"),
    [
        # Costs are per unit, also of less than one unit, and of exactly one in all.
        (
            {"quantity": 0.5, "commission": 1.0},
            {"outcome": SUCCEEDED, "r": 0.3, "pips": 0.5},
        ),
        ({"quantity": 1.0, "swap": 1.0}, {"outcome": SUCCEEDED, "r": 0.4}),
        ({"quantity": 0.0, "commission": 1.0}, {"outcome": Outcome.NEEDS_REVIEW, "r": NAN}),
        # Without costs nobody needs to know the quantity.
        ({"quantity": NAN}, {"outcome": SUCCEEDED, "r": 0.5}),
        ({"quantity": NAN, "commission": 2.0, "swap": -2.0}, {"outcome": SUCCEEDED, "r": 0.5}),
    ],
)
def test_costs(fields: dict[str, Any], expect: dict[str, Any]) -> None:
    row = trade(exit=105.0, exit_time=at(3), **STOP, **fields)
    check(judged(market(candles(QUIET)), row), expect, Flag(0))


def test_the_atr_of_a_signal_knows_no_bar_of_its_timeframe_that_is_open() -> None:
    """Two-minute bars of range 20; the one that holds the entry is wild and not over."""
    pair: list[Bar] = [(100, 110, 95, 100), (100, 105, 90, 100)]
    wild: list[Bar] = [(100, 200, 20, 100), F]
    for close, outcome in ((101.9, NEUTRAL), (102.5, SUCCEEDED)):
        bars = candles([*pair * 19, *wild, F, F, (100, 103, 98, close), F])
        views = (SetupView(MINUTE, bars), SetupView(2 * MINUTE, aggregate(bars, 2 * MINUTE)))
        row = signal(entry_time=at(39), setup_bar_ns=2 * MINUTE)
        one = batch(market(bars), row, views=views)
        assert label(one, replay(one)).outcome[0] == outcome


def test_the_band_of_one_case_is_no_matter_of_the_others() -> None:
    """A case without a stop takes its band from the ATR, whatever its neighbours have."""
    before: list[Bar] = [(100, 105, 95, 100)] * 15
    bars = candles([*before, F, F, F, (100, 102, 98, 101.0)])
    rows = [signal(entry_time=at(15), **case) for case in ({}, STOP, {"stop_price": 99.0})]
    one = batch(market(bars), *rows)
    assert label(one, replay(one)).outcome.tolist() == [NEUTRAL, NEUTRAL, FAILED]


def test_bars_of_a_closed_market_cover_nothing() -> None:
    """No bar is expected on a Saturday: coverage is unknown, however many bars are stored."""
    opens = [SATURDAY + hour * NS_PER_HOUR for hour in range(8)]
    where = market(hourly(opens), kind="fx", bar_ns=NS_PER_HOUR)
    row = signal(entry_time=SATURDAY, end_time=SATURDAY + 4 * NS_PER_HOUR, **BOTH)
    with np.errstate(all="raise"):
        check(judged(where, row), {"outcome": NEUTRAL, "coverage": NAN}, Flag(0))
    late = signal(entry_time=SATURDAY, end_time=SATURDAY + NS_PER_DAY, **BOTH)
    check(judged(where, late), {"outcome": PENDING}, Flag(0))


# --- windows with nothing in them -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "after", "container"),
    [((), 0, -1), ((0, 1), 2, -1), ((0, 1, 7), 2, -1), ((4, 5), 0, 0), ((6, 7), 0, -1)],
)
def test_a_time_without_its_bar_has_none(
    minutes: tuple[int, ...], after: int, container: int
) -> None:
    """No bars, after the last, in a hole, on the first bar's open, before the first."""
    bars = candles([F] * len(minutes), minutes=minutes)
    found = entry_bars(bars, MINUTE, np.array([at(4)]))
    assert [array.tolist() for array in found] == [[after], [container]]


@pytest.mark.parametrize(("start", "end"), [(1.25, 1.75), (2, 2)])
def test_a_window_shorter_than_a_bar_holds_none(start: float, end: float) -> None:
    row = signal(entry_time=at(start), end_time=at(end))
    paths = replay(batch(market(candles([F] * 6)), row))
    assert paths.n_bars.tolist() == [0]
    assert paths.last.tolist() == [1]
    assert paths.first.tolist() == [2]
    assert paths.hit.tolist() == [0]


def test_a_trade_still_open_has_no_window() -> None:
    paths = replay(batch(market(candles([F] * 6)), trade(exit=NAN, exit_time=NO_TIME)))
    assert (paths.n_bars.tolist(), paths.last.tolist()) == ([0], [-1])
    assert paths.reached_end.tolist() == [False]


def test_without_any_bar_nothing_was_seen_and_all_is_missing() -> None:
    paths = replay(batch(market(candles([])), signal(end_time=at(30))))
    assert paths.mfe_bar.tolist() == paths.mae_bar.tolist() == [-1]
    assert paths.n_bars.tolist() == [0]
    assert paths.n_expected.tolist() == [30]
