"""Other plans on the same candles, worked out by hand: point 1, pip 10, one bar a minute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from post_mortem.core.alternatives import Alternative, Slippage, wider_stop, without_slippage
from post_mortem.core.labeler import label
from post_mortem.core.replay import replay
from post_mortem.core.types import NO_TIME, CaseBatch, ExitReason
from tests.core.cases import NAN, Bar, at, batch, candles, market, quote_candles, signal, trade

# Long at 100, stop 90, target 120: down to 88 in the second bar, then up to 121 in the fourth.
RECOVERS: list[Bar] = [
    (100, 102, 98, 99),
    (99, 100, 88, 92),
    (92, 110, 91, 108),
    (108, 121, 107, 119),
    (119, 120, 118, 119),
    (119, 119, 117, 118),
]
PLAN: dict[str, Any] = {"stop_price": 90.0, "target_price": 120.0}
SL = int(ExitReason.SL)


def wider(cases: CaseBatch, factor: float = 1.5, **options: Any) -> Alternative:
    paths = replay(cases)
    return wider_stop(cases, paths, label(cases, paths), factor, **options)


def one(row: dict[str, Any], bars: list[Bar] = RECOVERS, **options: Any) -> Alternative:
    return wider(batch(market(candles(bars)), row), **options)


def said(found: Alternative) -> tuple[float, int, int]:
    minute = (int(found.exit_time[0]) - at(0)) / 60e9
    return float(found.r[0]), int(found.hit[0]), int(minute)


# --- a signal is followed to the end of its horizon -----------------------------------------------
def test_a_wider_stop_lives_to_see_the_target() -> None:
    found = one(signal(**PLAN))
    assert said(found) == (2.0, 2, 3)
    assert found.stop_price[0] == 85
    assert found.exit_price[0] == 120


def test_a_short_is_the_mirror() -> None:
    turned = [(200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in RECOVERS]
    found = one(signal(side=-1, stop_price=110.0, target_price=80.0), turned)
    assert said(found) == (2.0, 2, 3)
    assert found.stop_price[0] == 115


def test_a_wider_stop_that_is_reached_loses_more_of_the_same_risk() -> None:
    bars = [(100, 102, 98, 99), (99, 100, 88, 89), (89, 90, 84, 86), (86, 87, 80, 81)]
    assert said(one(signal(**PLAN), bars)) == (-1.5, 1, 2)
    assert said(one(signal(**PLAN), bars, factor=2.0)) == (-2.0, 1, 3)


def test_a_bar_that_opens_beyond_the_wider_stop_ends_at_its_open() -> None:
    bars = [(100, 102, 98, 99), (99, 100, 88, 92), (82, 84, 80, 83), (83, 84, 82, 83)]
    assert said(one(signal(**PLAN), bars)) == (pytest.approx(-1.8), 1, 2)


def test_one_bar_that_reaches_both_is_the_wider_stop() -> None:
    bars = [(100, 102, 98, 99), (99, 121, 85, 100), (100, 101, 99, 100), (100, 101, 99, 100)]
    assert said(one(signal(**PLAN), bars)) == (-1.5, 1, 1)


def test_neither_by_the_end_is_the_close_of_the_last_bar() -> None:
    bars = [(100, 102, 98, 99), (99, 100, 88, 92), (92, 94, 91, 93), (93, 97, 92, 96)]
    assert said(one(signal(**PLAN), bars)) == (pytest.approx(-0.4), 0, 4)


def test_a_long_leaves_at_the_bid() -> None:
    bid = [(o - 1, h - 1, low - 1, c - 1) for o, h, low, c in RECOVERS[:4]]
    cases = batch(market(quote_candles(bid, RECOVERS[:4])), signal(**PLAN))
    # The bid never sees 121, only 120: that is the target.
    assert said(wider(cases)) == (2.0, 2, 3)


# --- the silence ----------------------------------------------------------------------------------
def test_nothing_is_said_beyond_the_stored_candles() -> None:
    found = one(signal(minutes=30, **PLAN))
    # The target was reached, but the end of the horizon is not stored: it is not judged yet.
    assert np.isnan(found.r[0])
    assert found.exit_time[0] == NO_TIME
    assert np.isnan(found.stop_price[0])


@pytest.mark.parametrize(
    "row",
    [
        signal(stop_price=80.0, target_price=120.0),  # won
        signal(stop_price=80.0, target_price=130.0, minutes=2),  # ended by its clock, at a loss
        signal(stop_price=NAN, target_price=120.0),  # no risk to count in
        signal(stop_price=110.0, target_price=120.0),  # a stop on the wrong side
        trade(exit=92.0, exit_time=at(1.5), stop_price=80.0, target_price=120.0),  # by hand
    ],
)
def test_nothing_is_said_where_no_stop_ended_it(row: dict[str, Any]) -> None:
    assert np.isnan(one(row).r[0])


@pytest.mark.parametrize("factor", [1.0, 0.5, -1.0])
def test_a_nearer_stop_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="farther away"):
        one(signal(**PLAN), factor=factor)


# --- a trade is followed to its own exit, or to a moment ------------------------------------------
STOPPED = trade(exit=89.0, exit_time=at(1.5), file_exit_reason=SL, **PLAN)


def test_a_trade_is_judged_through_the_bar_of_its_exit() -> None:
    assert said(one(STOPPED)) == (pytest.approx(-0.8), 0, 2)


def test_a_trade_may_be_followed_further() -> None:
    assert said(one(STOPPED, until=np.array([at(5)]))) == (2.0, 2, 3)


def test_a_trade_is_not_followed_beyond_the_candles() -> None:
    assert np.isnan(one(STOPPED, until=np.array([at(50)])).r[0])


def test_a_trade_that_outlived_its_stop_ended_as_it_did() -> None:
    """The trader had moved the stop: the touch counts, but what ended the trade is known."""
    row = trade(exit=107.5, exit_time=at(2.5), stop_final=70.0, file_exit_reason=4, **PLAN)
    found = one(row)
    assert said(found)[:2] == (0.75, 0)
    assert found.exit_time[0] == at(2.5)


def test_costs_stay_what_they_were() -> None:
    row = STOPPED | {"commission": 2.0, "quantity": 2.0}
    assert said(one(row)) == (pytest.approx(-0.9), 0, 2)


def test_risk_is_counted_from_the_planned_entry() -> None:
    row = trade(
        exit=89.0, exit_time=at(1.5), entry_price=101.0, requested_entry=100.0, **PLAN
    )  # fmt: skip
    found = one(row)
    assert found.stop_price[0] == 85
    assert found.r[0] == pytest.approx(-0.9)


def test_a_batch_is_its_cases() -> None:
    rows = [signal(**PLAN), STOPPED, signal(stop_price=80.0, target_price=120.0)]
    together = wider(batch(market(candles(RECOVERS)), *rows))
    assert np.array_equal(together.r, np.concatenate([one(row).r for row in rows]), equal_nan=True)


# --- slippage -------------------------------------------------------------------------------------
def slippage(row: dict[str, Any], bars: list[Bar] = RECOVERS) -> Slippage:
    cases = batch(market(candles(bars)), row)
    paths = replay(cases)
    return without_slippage(cases, paths, label(cases, paths))


def test_both_fills_worse_than_asked() -> None:
    row = STOPPED | {"entry_price": 101.0, "fill_entry": 101.0, "requested_entry": 100.0}
    found = slippage(row)
    assert found.price[0] == 2  # 1 at the entry, 1 below the stop
    assert found.r[0] == pytest.approx(-1.0)


def test_a_better_fill_is_negative() -> None:
    found = slippage(STOPPED | {"fill_exit": 91.0})
    assert (found.price[0], found.r[0]) == (-1.0, pytest.approx(-1.0))


def test_an_exit_by_hand_is_compared_with_what_was_asked() -> None:
    row = trade(exit=91.0, exit_time=at(2.5), requested_exit=93.0, stop_price=80.0)
    assert slippage(row).price[0] == 2
    assert np.isnan(slippage(row | {"requested_exit": NAN}).price[0])


def test_a_gap_could_not_have_been_had() -> None:
    bars = [(100, 102, 98, 99), (86, 88, 84, 87), (87, 88, 86, 87)]
    assert np.isnan(slippage(STOPPED | {"fill_exit": 86.0}, bars).price[0])


def test_a_moved_stop_is_what_was_asked() -> None:
    row = trade(exit=94.0, exit_time=at(2.5), stop_final=95.0, file_exit_reason=SL, **PLAN)
    assert slippage(row).price[0] == 1


def test_a_signal_has_no_fills() -> None:
    assert np.isnan(slippage(signal(**PLAN)).price[0])
