"""The conventions of a label, one row each, on candles small enough to work out by hand.

point = 1, pip = 10. Unless a row says otherwise: long from 100 at the open of minute 0, stop 90,
target 120, horizon 4 minutes. Every signal row runs twice: as written, and mirrored around 100
(long becomes short), where nothing but the prices may change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from post_mortem.core.labeler import label
from post_mortem.core.replay import replay
from post_mortem.core.rules import barrier_half_points
from post_mortem.core.types import NO_TIME, ExitReason, Flag, Labels, Market, Outcome, SetupView
from tests.core.cases import (
    MINUTE,
    NAN,
    Bar,
    at,
    batch,
    candles,
    market,
    quote_candles,
    signal,
    trade,
)
from trading.core.aggregate import aggregate
from trading.core.candles import empty_candles
from trading.core.instruments import describe
from trading.core.types import NS_PER_DAY, NS_PER_HOUR

F: Bar = (100, 101, 99, 100)  # a quiet bar
STOP = {"stop_price": 90.0}
BOTH = {"stop_price": 90.0, "target_price": 120.0}
SUCCEEDED, FAILED, NEUTRAL = Outcome.SUCCEEDED, Outcome.FAILED, Outcome.NEUTRAL
FILTERED_OUT, PENDING, NEEDS_REVIEW = (
    Outcome.FILTERED_OUT,
    Outcome.PENDING,
    Outcome.NEEDS_REVIEW,
)


@dataclass
class Row:
    name: str
    bars: list[Bar]
    expect: dict[str, Any]
    case: dict[str, Any] = field(default_factory=lambda: dict(BOTH))
    minutes: list[float] | None = None
    flags: Flag = Flag(0)


def judged(where: Market, row: dict[str, Any]) -> Labels:
    one = batch(where, row)
    return label(one, replay(one))


def check(labels: Labels, expect: dict[str, Any], flags: Flag) -> None:
    for name, value in expect.items():
        got = getattr(labels, name)[0]
        if isinstance(value, float):
            assert got == pytest.approx(value, abs=1e-12, nan_ok=True), name
        else:
            assert got == value, name
    assert Flag(int(labels.flags[0])) == flags


def mirrored(row: Row) -> Row:
    def turn(price: float) -> float:
        return 200 - price

    bars = [(turn(o), turn(low), turn(h), turn(c)) for o, h, low, c in row.bars]
    case = {"entry_price": 100.0} | row.case
    for name in ("entry_price", "stop_price", "target_price"):
        if name in case:
            case[name] = turn(case[name])
    expect = dict(row.expect)
    if "exit_price" in expect:
        expect["exit_price"] = turn(expect["exit_price"])
    return Row(row.name, bars, expect, case | {"side": -1}, row.minutes, row.flags)


TOUCHES = [
    Row(
        "a high equal to the target hits it, at the level",
        [F, (100, 120, 99, 110), F, F],
        {"outcome": SUCCEEDED, "exit_reason": ExitReason.TP, "exit_price": 120.0, "r": 2.0}
        | {"exit_time": at(1), "pips": 2.0, "pnl_pct": 20.0, "risk_price": 10.0, "coverage": 1.0},
    ),
    Row(
        "a high half a point short of the target does not",
        [F, (100, 119.5, 99, 110), F, (100, 101, 99, 100)],
        {"outcome": NEUTRAL, "exit_reason": ExitReason.TIME, "exit_price": 100.0, "r": 0.0},
    ),
    Row(
        "a low equal to the stop hits it",
        [F, F, (99, 100, 90, 95), F],
        {"outcome": FAILED, "exit_reason": ExitReason.SL, "exit_price": 90.0, "r": -1.0}
        | {"exit_time": at(2), "pips": -1.0, "pnl_pct": -10.0},
    ),
    Row(
        "a low half a point above the stop does not",
        [F, F, (99, 100, 90.5, 95), F],
        {"outcome": NEUTRAL, "exit_reason": ExitReason.TIME},
    ),
    Row(
        "an entry off the grid has gained less than half a point, and that counts",
        [(100, 100, 99, 99), (99, 100, 90, 95), F, F],
        {"outcome": FAILED, "mfe_r": 0.1 / 9.9, "mae_r": 1.0, "mfe_pips": 0.01},
        case=BOTH | {"entry_price": 99.9},
    ),
    Row(
        "one bar that touches both is the stop, and flagged",
        [F, (100, 121, 89, 100), F, F],
        {"outcome": FAILED, "exit_reason": ExitReason.SL, "exit_price": 90.0},
        flags=Flag.AMBIGUOUS,
    ),
    Row(
        "the first touch decides: target, then stop",
        [F, (100, 120, 95, 110), (110, 110, 85, 90), F],
        {"outcome": SUCCEEDED, "exit_time": at(1)},
    ),
    Row(
        "the first touch decides: stop, then target",
        [F, (100, 105, 90, 95), (95, 130, 95, 125), F],
        {"outcome": FAILED, "exit_time": at(1)},
    ),
    Row(
        "a bar that opens beyond the stop fills at its open",
        [F, (85, 88, 84, 86), F, F],
        {"outcome": FAILED, "exit_price": 85.0, "r": -1.5, "mae_r": 1.6},
        flags=Flag.GAP_THROUGH_STOP,
    ),
    Row(
        "a bar that opens at the stop fills there, without a gap",
        [F, (90, 92, 88, 91), F, F],
        {"outcome": FAILED, "exit_price": 90.0, "r": -1.0},
    ),
    Row(
        "a bar that opens beyond the target still fills at the target, to be conservative",
        [F, (130, 132, 129, 131), F, F],
        {"outcome": SUCCEEDED, "exit_price": 120.0, "r": 2.0, "mfe_r": 3.2},
    ),
    Row(
        "a stop between two grid prices is touched by the price below it only",
        [F, (99, 100, 92, 95), F, F],
        {"outcome": NEUTRAL, "r": 0.0},
        case={"stop_price": 91.8, "target_price": 120.0},
    ),
    Row(
        "a touched stop between two grid prices fills at the stop as given",
        [F, (99, 100, 91.5, 95), F, F],
        {"outcome": FAILED, "exit_price": 91.8, "r": -1.0},
        case={"stop_price": 91.8, "target_price": 120.0},
    ),
    Row(
        "an open just below a stop between two grid prices is a gap",
        [F, (91.5, 92, 91.5, 92), F, F],
        {"outcome": FAILED, "exit_price": 91.5, "r": -8.5 / 8.2},
        case={"stop_price": 91.8, "target_price": 120.0},
        flags=Flag.GAP_THROUGH_STOP,
    ),
    Row(
        "half a point is a distance: levels that near are barriers",
        [(100, 100, 100, 100), (100, 100.5, 100, 100), F, F],
        {"outcome": SUCCEEDED, "r": 1.0, "risk_price": 0.5},
        case={"stop_price": 99.5, "target_price": 100.5},
    ),
    Row(
        "float dirt in a level is not a miss",
        [F, (100, 120, 99, 110), F, F],
        {"outcome": SUCCEEDED},
        case={"stop_price": 89.99999999999999, "target_price": 120.00000000000001},
    ),
]

WINDOWS = [
    Row(
        "entered exactly on a bar's open: that bar counts",
        [(100, 120, 99, 110), F, F, F],
        {"outcome": SUCCEEDED, "exit_time": at(0)},
    ),
    Row(
        "entered inside a bar: judged from the next; the skipped bar could have touched",
        [(100, 120, 99, 110), F, (100, 101, 90, 95), F, F],
        {"outcome": FAILED, "exit_time": at(2), "mfe_r": 0.1},
        case=BOTH | {"entry_time": at(0.5)},
        flags=Flag.ENTRY_BAR_AMBIGUOUS,
    ),
    Row(
        "entered inside a bar whose low is the stop: it could have touched",
        [(100, 101, 90, 95), F, F, F, F],
        {"outcome": NEUTRAL},
        case=BOTH | {"entry_time": at(0.5)},
        flags=Flag.ENTRY_BAR_AMBIGUOUS,
    ),
    Row(
        "entered inside a bar that could not have touched: no flag",
        [F, F, (100, 101, 90, 95), F, F],
        {"outcome": FAILED, "exit_time": at(2)},
        case=BOTH | {"entry_time": at(0.5)},
    ),
    Row(
        "the last bar is the one that closes by the horizon's end",
        [F, F, F, (100, 120, 99, 110)],
        {"outcome": SUCCEEDED, "exit_time": at(3)},
    ),
    Row(
        "a bar that closes after the horizon's end does not count",
        [F, F, F, F, (100, 120, 99, 110)],
        {"outcome": NEUTRAL, "exit_reason": ExitReason.TIME, "exit_time": at(4)},
    ),
    Row(
        "entered inside a bar, the horizon ends inside one: that one does not count",
        [F, F, F, F, (100, 120, 99, 110)],
        {"outcome": NEUTRAL, "exit_time": at(4), "coverage": 1.0},
        case=BOTH | {"entry_time": at(0.5)},
    ),
    Row(
        "pending until data passes the horizon's end, even if touched",
        [F, (100, 120, 99, 110), F],
        {"outcome": PENDING, "exit_reason": ExitReason.NONE, "exit_time": NO_TIME}
        | {"exit_price": NAN, "r": NAN, "mfe_r": NAN},
    ),
    Row(
        "no bar since the entry yet: pending",
        [F, F, F],
        {"outcome": PENDING},
        case=BOTH | {"entry_time": at(3)},
    ),
    Row(
        "a horizon shorter than a bar is not judged",
        [F, F, F, F],
        {"outcome": NEEDS_REVIEW, "exit_reason": ExitReason.NONE, "r": NAN},
        case=BOTH | {"minutes": 0.5},
        flags=Flag.HORIZON_TOO_SHORT,
    ),
    Row(
        "a horizon of one bar, entered inside a bar, holds no bar",
        [F, F, F, F],
        {"outcome": NEEDS_REVIEW},
        case=BOTH | {"minutes": 1, "entry_time": at(0.5)},
        flags=Flag.NO_DATA,
    ),
    Row(
        "the bar of the entry is not stored",
        [F] * 3,
        {"outcome": NEEDS_REVIEW, "r": NAN},
        case=BOTH | {"minutes": 40},
        minutes=[-1, *range(1, 41)],
        flags=Flag.ENTRY_BAR_MISSING,
    ),
    Row(
        "more than 5 % of the expected bars missing",
        [F] * 3,
        {"outcome": NEEDS_REVIEW, "coverage": 0.925},
        case=BOTH | {"minutes": 40},
        minutes=[m for m in range(40) if m not in (10, 20, 30)],
        flags=Flag.LOW_COVERAGE,
    ),
    Row(
        "exactly 95 % of the expected bars is enough",
        [F] * 3,
        {"outcome": NEUTRAL, "coverage": 0.95},
        case=BOTH | {"minutes": 40},
        minutes=[m for m in range(40) if m not in (10, 20)],
    ),
    Row(
        "no bar in the window",
        [F] * 2,
        {"outcome": NEEDS_REVIEW, "coverage": 0.0},
        minutes=[-1, 40],
        flags=Flag.NO_DATA | Flag.ENTRY_BAR_MISSING | Flag.LOW_COVERAGE,
    ),
]

RESULTS = [
    Row(
        "at the end: a result exactly on the neutral band is neutral",
        [F, F, F, (100, 101, 99, 101)],
        {"outcome": NEUTRAL, "r": 0.1, "exit_reason": ExitReason.TIME, "exit_price": 101.0},
    ),
    Row(
        "at the end: beyond the neutral band the sign decides, up",
        [F, F, F, (100, 102, 99, 101.5)],
        {"outcome": SUCCEEDED, "r": 0.15},
    ),
    Row(
        "at the end: beyond the neutral band the sign decides, down",
        [F, F, F, (100, 101, 98, 98.5)],
        {"outcome": FAILED, "r": -0.15, "pnl_pct": -1.5, "pips": -0.15},
    ),
    Row(
        "a neutral band in price units replaces the one in R",
        [F, F, F, (100, 104, 99, 103)],
        {"outcome": NEUTRAL, "r": 0.3},
        case=BOTH | {"neutral_r": NAN, "neutral_price": 3.0},
    ),
    Row(
        "a band of zero: only exactly nothing is neutral",
        [F, F, F, (100, 101, 99, 100.5)],
        {"outcome": SUCCEEDED},
        case=BOTH | {"neutral_r": 0.0},
    ),
    Row(
        "without a stop R is unknown, pips are not, and no bar before the entry gives an ATR",
        [F, (100, 120, 80, 110), F, F],
        {"outcome": SUCCEEDED, "r": NAN, "mfe_r": NAN, "risk_price": NAN, "pips": 2.0}
        | {"mfe_pips": 2.0, "mae_pips": 2.0},
        case={"target_price": 120.0},
        flags=Flag.RISK_FROM_ATR,
    ),
    Row(
        "without a target only the stop and the clock end it",
        [F, (100, 500, 99, 110), F, (100, 115, 99, 110)],
        {"outcome": SUCCEEDED, "exit_reason": ExitReason.TIME, "r": 1.0, "mfe_r": 40.0},
        case=dict(STOP),
    ),
    Row(
        "neither stop nor target: the clock ends it",
        [F, (100, 500, 1, 110), F, (100, 115, 99, 110)],
        {"outcome": SUCCEEDED, "exit_reason": ExitReason.TIME, "pips": 1.0},
        case={},
        flags=Flag.NO_BARRIER | Flag.RISK_FROM_ATR,
    ),
    Row(
        "a stop on the profit side is no barrier and no risk",
        [F, (100, 110, 80, 100), F, (100, 116, 99, 115)],
        {"outcome": SUCCEEDED, "exit_reason": ExitReason.TIME, "r": NAN, "pips": 1.5},
        case={"stop_price": 105.0, "target_price": 120.0},
        flags=Flag.BAD_STOP_SIDE | Flag.STOP_MOVED | Flag.RISK_FROM_ATR,
    ),
    Row(
        "a stop at the entry is no risk to divide by",
        [F, (100, 110, 80, 100), F, (100, 116, 99, 115)],
        {"outcome": SUCCEEDED, "r": NAN},
        case={"stop_price": 100.0, "target_price": 120.0},
        flags=Flag.BAD_STOP_SIDE | Flag.STOP_MOVED | Flag.RISK_FROM_ATR,
    ),
    Row(
        "excursions count up to and including the exit bar, not beyond",
        [(100, 104, 97, 103), (103, 112, 101, 105), (105, 106, 88, 95), (95, 200, 10, 95)],
        {"outcome": FAILED, "mfe_r": 1.2, "mae_r": 1.2, "drawdown_r": 2.4}
        | {"mfe_pips": 1.2, "mae_pips": 1.2, "drawdown_pips": 2.4},
    ),
    Row(
        "drawdown falls from an earlier best, never from a later one",
        [(100, 101, 96, 98), (98, 110, 99, 108), (108, 109, 107, 108), F],
        {"outcome": NEUTRAL, "mfe_r": 1.0, "mae_r": 0.4, "drawdown_r": 1.1},
    ),
    Row(
        "a path that never fell below the entry: drawdown from the entry is nothing",
        [(100, 101, 100, 101), (101, 120, 101, 119), F, F],
        {"outcome": SUCCEEDED, "mae_r": 0.0, "drawdown_r": 0.0, "mfe_r": 2.0},
    ),
    Row(
        "a score below the minimum is filtered out and replayed all the same",
        [F, (100, 120, 99, 110), F, F],
        {"outcome": FILTERED_OUT, "shadow_outcome": SUCCEEDED, "r": 2.0},
        case=BOTH | {"score": 54.9, "min_score": 55.0},
        flags=Flag.BELOW_THRESHOLD,
    ),
    Row(
        "a signal below the minimum that was taken all the same is judged",
        [F, (100, 120, 99, 110), F, F],
        {"outcome": SUCCEEDED, "shadow_outcome": 0, "r": 2.0},
        case=BOTH | {"score": 54.9, "min_score": 55.0, "executed": True},
        flags=Flag.BELOW_THRESHOLD,
    ),
    Row(
        "a signal that was taken below the minimum is judged, and flagged",
        [F, (100, 120, 99, 110), F, F],
        {"outcome": SUCCEEDED, "shadow_outcome": 0, "r": 2.0},
        case=BOTH | {"score": 54.9, "min_score": 55.0, "executed": True},
        flags=Flag.BELOW_THRESHOLD,
    ),
    Row(
        "a score at the minimum is not filtered out",
        [F, (100, 120, 99, 110), F, F],
        {"outcome": SUCCEEDED, "shadow_outcome": 0},
        case=BOTH | {"score": 55.0, "min_score": 55.0},
    ),
    Row(
        "an unknown score is not below any minimum",
        [F, (100, 120, 99, 110), F, F],
        {"outcome": SUCCEEDED},
        case=BOTH | {"min_score": 55.0},
    ),
    Row(
        "filtered out with data still missing: what it would have been is pending",
        [F, (100, 120, 99, 110)],
        {"outcome": FILTERED_OUT, "shadow_outcome": PENDING, "r": NAN},
        case=BOTH | {"score": 54.9, "min_score": 55.0},
        flags=Flag.BELOW_THRESHOLD,
    ),
]

LIMIT = {"entry_price": 95.0, "stop_price": 85.0, "target_price": 115.0, "entry_kind": 1}
STOP_ENTRY = {"entry_price": 105.0, "stop_price": 95.0, "target_price": 125.0, "entry_kind": 2}
ORDERS = [
    Row(
        "a limit entry that is never reached is filtered out as not filled",
        [(100, 101, 95.5, 100), F, F, F],
        {"outcome": FILTERED_OUT, "shadow_outcome": 0, "r": NAN, "exit_time": NO_TIME},
        case=dict(LIMIT),
        flags=Flag.NOT_FILLED,
    ),
    Row(
        "a limit entry fills when touched and is judged from the next bar",
        [F, (100, 101, 95, 99), (99, 115, 98, 110), F],
        {"outcome": SUCCEEDED, "exit_time": at(2), "r": 2.0},
        case=dict(LIMIT),
    ),
    Row(
        "a bar that opens beyond the limit fills it at once and counts whole",
        [F, (94, 115, 93, 110), F, F],
        {"outcome": SUCCEEDED, "exit_time": at(1), "r": 2.0},
        case=dict(LIMIT),
    ),
    Row(
        "a limit filled and stopped in one bar: the price had to pass the limit first",
        [F, (100, 101, 85, 99), (99, 115, 98, 110), F],
        {"outcome": FAILED, "exit_reason": ExitReason.SL, "exit_time": at(1), "r": -1.0}
        | {"mae_r": 1.0, "mfe_r": 0.0},
        case=dict(LIMIT),
    ),
    Row(
        "a limit filled in a bar that also reached the target: which came first is unknown",
        [F, (100, 116, 95, 99), (99, 100, 85, 86), F],
        {"outcome": FAILED, "exit_time": at(2)},
        case=dict(LIMIT),
        flags=Flag.ENTRY_BAR_AMBIGUOUS,
    ),
    Row(
        "a limit not reached yet, horizon not over: pending",
        [F, F],
        {"outcome": PENDING},
        case=dict(LIMIT),
    ),
    Row(
        "a stop entry fills when the price rises to it",
        [F, (100, 105, 99, 104), (104, 125, 103, 120), F],
        {"outcome": SUCCEEDED, "exit_time": at(2), "r": 2.0},
        case=dict(STOP_ENTRY),
    ),
    Row(
        "a stop entry half a point away is not filled",
        [F, (100, 104.5, 99, 104), F, F],
        {"outcome": FILTERED_OUT},
        case=dict(STOP_ENTRY),
        flags=Flag.NOT_FILLED,
    ),
    Row(
        "filled in the last bar: no bar is left, the fill bar's close ends it",
        [F, F, F, (100, 107, 99, 107)],
        {"outcome": SUCCEEDED, "exit_reason": ExitReason.TIME, "r": 0.2, "mfe_r": NAN},
        case=dict(STOP_ENTRY),
    ),
]


@pytest.mark.parametrize("turned", [False, True], ids=["long", "short"])
@pytest.mark.parametrize(
    "row", TOUCHES + WINDOWS + RESULTS + ORDERS, ids=lambda row: row.name.replace(" ", "_")
)
def test_signal(row: Row, turned: bool) -> None:
    used = mirrored(row) if turned else row
    rows = used.bars
    if used.minutes is not None:
        rows = [F] * len(used.minutes)
    labels = judged(market(candles(rows, minutes=used.minutes)), signal(**used.case))
    check(labels, used.expect, used.flags)


def test_no_candle_at_all_needs_review() -> None:
    labels = judged(market(empty_candles()), signal(**BOTH))
    flags = Flag.NO_DATA | Flag.ENTRY_BAR_MISSING | Flag.LOW_COVERAGE
    check(labels, {"outcome": NEEDS_REVIEW, "coverage": 0.0}, flags)


def test_without_a_stop_the_band_is_a_tenth_of_the_atr_before_the_entry() -> None:
    # 15 bars of range 10 before the entry: ATR14 = 10, so a result of 1 is inside the band.
    before: list[Bar] = [(100, 105, 95, 100)] * 15
    for close, outcome in ((101.0, NEUTRAL), (101.5, SUCCEEDED), (98.5, FAILED)):
        bars = [*before, F, F, F, (100, 102, 98, close)]
        labels = judged(market(candles(bars)), signal(entry_time=at(15)))
        assert labels.outcome[0] == outcome


def test_that_atr_is_of_the_timeframe_of_the_signal() -> None:
    """Two-minute bars of range 20 from one-minute bars of range 15: the band is 2, not 1.5."""
    pair: list[Bar] = [(100, 110, 95, 100), (100, 105, 90, 100)]
    bars = candles([*pair * 20, F, F, F, (100, 102, 98, 101.9)])
    coarse = SetupView(2 * MINUTE, aggregate(bars, 2 * MINUTE))
    row = signal(entry_time=at(40), setup_bar_ns=2 * MINUTE)
    one = batch(market(bars), row, views=(SetupView(MINUTE, bars), coarse))
    assert label(one, replay(one)).outcome[0] == NEUTRAL
    plain = batch(market(bars), row | {"setup_bar_ns": MINUTE})
    assert label(plain, replay(plain)).outcome[0] == SUCCEEDED


# --- weekends ------------------------------------------------------------------------------------

FRIDAY_21 = 1_709_931_600 * 1_000_000_000  # 2024-03-08 21:00 UTC, an hour before New York's 17:00


def hourly(opens: list[int]) -> Any:
    n = len(opens)
    base = candles([F] * n)
    return base.__class__(np.array(opens, np.int64), base.open, base.high, base.low, base.close)


def week_of_hours(start: int, hours: int, *, skip: range = range(0)) -> list[int]:
    return [start + h * NS_PER_HOUR for h in range(hours) if h not in skip]


@pytest.mark.parametrize(
    ("kind", "length", "coverage", "outcome"),
    [
        # Open 21:00; the weekend is hours 1..47 (clocks change: New York's Sunday 17:00 is 21:00).
        ("fx", NS_PER_DAY, 1.0, NEUTRAL),
        ("fx", 7 * NS_PER_DAY, 1.0, NEUTRAL),
        ("crypto", NS_PER_DAY, 1 / 24, NEEDS_REVIEW),
        ("crypto", 7 * NS_PER_DAY, 121 / 168, NEEDS_REVIEW),
        ("other", NS_PER_DAY, NAN, NEUTRAL),
    ],
)
def test_weekend(kind: str, length: int, coverage: float, outcome: Outcome) -> None:
    where = market(
        hourly(week_of_hours(FRIDAY_21, 200, skip=range(1, 48))), kind=kind, bar_ns=NS_PER_HOUR
    )
    row = signal(entry_time=FRIDAY_21, end_time=FRIDAY_21 + length, **BOTH)
    labels = judged(where, row)
    assert labels.outcome[0] == outcome
    assert labels.coverage[0] == pytest.approx(coverage, nan_ok=True)


def test_bars_beyond_the_expected_ones_do_not_count_twice() -> None:
    """A venue that trades through the weekend: coverage is whole, not more."""
    where = market(hourly(week_of_hours(FRIDAY_21, 60)), kind="fx", bar_ns=NS_PER_HOUR)
    labels = judged(where, signal(entry_time=FRIDAY_21, end_time=FRIDAY_21 + NS_PER_DAY, **BOTH))
    check(labels, {"outcome": NEUTRAL, "coverage": 1.0}, Flag(0))


def test_a_week_in_the_currency_market_with_holes() -> None:
    """121 bars are expected in the seven days; 8 % of them are missing."""
    hours = week_of_hours(FRIDAY_21, 200, skip=range(1, 58))
    where = market(hourly(hours), kind="fx", bar_ns=NS_PER_HOUR)
    row = signal(entry_time=FRIDAY_21, end_time=FRIDAY_21 + 7 * NS_PER_DAY, **BOTH)
    labels = judged(where, row)
    check(labels, {"outcome": NEEDS_REVIEW, "coverage": 111 / 121}, Flag.LOW_COVERAGE)


# --- quotes --------------------------------------------------------------------------------------

# Spread 4: bid = price - 2, ask = price + 2.
QB: Bar = (98, 99, 97, 98)
QA: Bar = (102, 103, 101, 102)


@pytest.mark.parametrize(
    ("side", "bid", "ask", "expect"),
    [
        # A long exits at the bid: the ask at 120 is no exit, the bid at 120 is.
        (1, (98, 119.0, 97, 98), (102, 123.0, 101, 102), {"outcome": FAILED, "exit_price": 98.0}),
        (1, (98, 120, 97, 98), (102, 124, 101, 102), {"outcome": SUCCEEDED, "exit_price": 120.0}),
        (1, (98, 99, 90, 98), (102, 103, 94, 102), {"outcome": FAILED, "exit_price": 90.0}),
        (1, (98, 99, 91, 98), (102, 103, 95, 102), {"exit_reason": ExitReason.TIME}),
        # A short exits at the ask.
        (-1, (98, 99, 78, 98), (102, 103, 82, 102), {"outcome": FAILED, "exit_price": 102.0}),
        (-1, (98, 99, 76, 98), (102, 103, 80, 102), {"outcome": SUCCEEDED, "exit_price": 80.0}),
        (-1, (98, 107, 97, 98), (102, 111, 101, 102), {"outcome": FAILED, "exit_price": 110.0}),
        (-1, (98, 105, 97, 98), (102, 109, 101, 102), {"exit_reason": ExitReason.TIME}),
    ],
)
def test_quotes(side: int, bid: Bar, ask: Bar, expect: dict[str, Any]) -> None:
    where = market(quote_candles([QB, bid, QB, QB], [QA, ask, QA, QA]))
    levels = {"stop_price": 100.0 - side * 10, "target_price": 100.0 + side * 20}
    check(judged(where, signal(side=side, **levels)), expect, Flag(0))


@pytest.mark.parametrize(
    ("side", "kind", "price", "filled"),
    [
        (1, 1, 98.0, True),  # buy limit: the ask must fall to it
        (1, 1, 97.0, False),
        (-1, 1, 103.0, True),  # sell limit: the bid must rise to it
        (-1, 1, 103.5, False),
        (1, 2, 107.0, True),  # buy stop: the ask must rise to it
        (1, 2, 107.5, False),
        (-1, 2, 94.0, True),  # sell stop: the bid must fall to it
        (-1, 2, 93.5, False),
    ],
)
def test_orders_fill_on_the_entry_side(side: int, kind: int, price: float, filled: bool) -> None:
    bid, ask = (98, 103, 94, 98), (102, 107, 98, 102)
    where = market(quote_candles([QB, bid, QB, QB], [QA, ask, QA, QA]))
    labels = judged(where, signal(side=side, entry_kind=kind, entry_price=price))
    assert bool(labels.flags[0] & Flag.NOT_FILLED) is not filled


# --- TRADE ---------------------------------------------------------------------------------------

QUIET = [F] * 6
TRADES: list[tuple[str, list[Bar], dict[str, Any], dict[str, Any], Flag]] = [
    (
        "the initial stop touched: sl, whatever the file says; R is that of the fills",
        [F, (100, 101, 90, 95), F, F],
        {"exit": 89.0, "exit_time": at(2), "file_exit_reason": ExitReason.MANUAL, **STOP},
        {"outcome": FAILED, "exit_reason": ExitReason.SL, "r": -1.1, "exit_price": 89.0}
        | {"exit_time": at(2)},
        Flag(0),
    ),
    (
        "the signal's target touched: tp",
        [F, (100, 120, 99, 110), F, F],
        {"exit": 120.0, "exit_time": at(1.4), **BOTH},
        {"outcome": SUCCEEDED, "exit_reason": ExitReason.TP, "r": 2.0},
        Flag(0),
    ),
    (
        "the bar of the exit counts for touches",
        [F, F, (100, 101, 90, 95), F],
        {"exit": 90.0, "exit_time": at(2), **STOP},
        {"exit_reason": ExitReason.SL, "outcome": FAILED},
        Flag(0),
    ),
    (
        "the bar after the exit does not",
        [F, F, (100, 101, 98, 98), (98, 98, 80, 85)],
        {"exit": 98.0, "exit_time": at(2.9), **STOP},
        {"exit_reason": ExitReason.MANUAL, "outcome": FAILED, "r": -0.2},
        Flag(0),
    ),
    (
        "no level touched: the file's reason and the sign of the result",
        QUIET,
        {"exit": 101.5, "exit_time": at(3), "file_exit_reason": ExitReason.TIME, **STOP},
        {"exit_reason": ExitReason.TIME, "outcome": SUCCEEDED, "r": 0.15, "pips": 0.15},
        Flag(0),
    ),
    (
        "no level touched and no reason: manual; costs turn the result",
        QUIET,
        {
            "exit": 103.0,
            "exit_time": at(3),
            "quantity": 2.0,
            "commission": 6.0,
            "swap": 4.0,
            **STOP,
        },
        {"exit_reason": ExitReason.MANUAL, "outcome": FAILED, "r": -0.2, "pips": 0.3}
        | {"pnl_pct": -2.0},
        Flag(0),
    ),
    (
        "a net result inside the neutral band is neutral",
        QUIET,
        {
            "exit": 103.0,
            "exit_time": at(3),
            "quantity": 2.0,
            "commission": 6.0,
            "swap": -2.0,
            **STOP,
        },
        {"outcome": NEUTRAL, "r": 0.1},
        Flag(0),
    ),
    (
        "risk is the planned one: requested entry to initial stop",
        QUIET,
        {"exit": 98.0, "exit_time": at(3), "entry_price": 101.0, "requested_entry": 100.0, **STOP},
        {"outcome": FAILED, "r": -0.3, "risk_price": 10.0},
        Flag(0),
    ),
    (
        "entered and left inside one bar: no bar to judge, the fills decide",
        [F, (100, 140, 60, 100), F],
        {"entry_time": at(1.2), "exit": 105.0, "exit_time": at(1.8), **BOTH},
        {"outcome": SUCCEEDED, "exit_reason": ExitReason.MANUAL, "r": 0.5, "mfe_r": NAN},
        Flag.ENTRY_BAR_AMBIGUOUS,
    ),
    (
        "an open trade is pending",
        QUIET,
        {"exit": NAN, "exit_time": NO_TIME, **STOP},
        {"outcome": PENDING, "r": NAN},
        Flag(0),
    ),
    (
        "pending until the bar of the exit is stored",
        QUIET,
        {"exit": 105.0, "exit_time": at(6), **STOP},
        {"outcome": PENDING},
        Flag(0),
    ),
    (
        "no stop: R unknown, the result is judged all the same",
        QUIET,
        {"exit": 105.0, "exit_time": at(3)},
        {"outcome": SUCCEEDED, "r": NAN, "pips": 0.5, "pnl_pct": 5.0},
        Flag.RISK_FROM_ATR | Flag.NO_BARRIER,
    ),
    (
        "a moved stop is flagged; the initial one judges",
        [F, (100, 101, 89, 95), F, F],
        {"exit": 105.0, "exit_time": at(3), "stop_final": 80.0, **STOP},
        {"outcome": FAILED, "exit_reason": ExitReason.SL, "r": 0.5, "risk_price": 10.0},
        Flag.STOP_MOVED,
    ),
    (
        "a score below the minimum does not filter a trade that was made",
        QUIET,
        {"exit": 105.0, "exit_time": at(3), "score": 40.0, "min_score": 50.0, **STOP},
        {"outcome": SUCCEEDED},
        Flag.BELOW_THRESHOLD,
    ),
    (
        "costs that cannot be put per unit leave the result unknown",
        QUIET,
        {"exit": 105.0, "exit_time": at(3), "quantity": NAN, "commission": 6.0, **STOP},
        {"outcome": NEEDS_REVIEW, "r": NAN, "pips": 0.5},
        Flag(0),
    ),
    (
        "what the caller proved about the fills is kept",
        QUIET,
        {"exit": 105.0, "exit_time": at(3), "extra_flags": int(Flag.EXIT_OUTSIDE_CANDLE), **STOP},
        {"outcome": SUCCEEDED},
        Flag.EXIT_OUTSIDE_CANDLE,
    ),
]


@pytest.mark.parametrize(
    ("bars", "fields", "expect", "flags"),
    [pytest.param(*row[1:], id=row[0].replace(" ", "_")) for row in TRADES],
)
def test_trade(
    bars: list[Bar], fields: dict[str, Any], expect: dict[str, Any], flags: Flag
) -> None:
    check(judged(market(candles(bars)), trade(**fields)), expect, flags)


def test_a_trade_without_candles_keeps_the_numbers_of_its_fills() -> None:
    labels = judged(market(empty_candles()), trade(exit=105.0, exit_time=at(3), **STOP))
    check(
        labels,
        {"outcome": NEEDS_REVIEW, "r": 0.5, "pips": 0.5, "mfe_r": NAN, "exit_price": 105.0},
        Flag.NO_DATA | Flag.ENTRY_BAR_MISSING | Flag.LOW_COVERAGE,
    )


# --- units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "decimals", "entry", "stop", "target", "pips"),
    [
        ("EURUSD", None, 1.10325, 1.10225, 1.10525, 20.0),
        ("USDJPY", None, 151.234, 151.134, 151.434, 20.0),
        ("XAUUSD", None, 2034.57, 2033.57, 2036.57, 20.0),
        ("ETH/BTC", 6, 0.052001, 0.051901, 0.052201, 200.0),
        ("BTC/USDT", 2, 64123.45, 64023.45, 64323.45, 20000.0),
    ],
)
def test_units_of_real_instruments(
    symbol: str, decimals: int | None, entry: float, stop: float, target: float, pips: float
) -> None:
    """The exact touch of a level that binary floats cannot hold; one half-point less misses."""
    spec = describe(symbol, decimals=decimals)
    point = str(spec.point)
    for short_by, outcome in ((0.0, SUCCEEDED), (float(spec.point) / 2, NEUTRAL)):
        high = target - short_by
        rows: list[Bar] = [(entry, entry, entry, entry), (entry, high, entry, entry)] * 2
        where = market(
            candles(rows, point=point), point=spec.point, pip=spec.pip, symbol=symbol, kind="crypto"
        )
        labels = judged(where, signal(entry_price=entry, stop_price=stop, target_price=target))
        assert labels.outcome[0] == outcome
        if outcome == SUCCEEDED:
            assert labels.exit_price[0] == target
            assert labels.pips[0] == pytest.approx(pips, rel=1e-9)
            assert labels.r[0] == pytest.approx(2.0, rel=1e-9)


@pytest.mark.parametrize(
    ("price", "side", "what", "expected"),
    [
        (1.1, 1, "stop", 220000),
        (1.1000000000000003, 1, "target", 220000),
        (1.0999999999999999, 1, "stop", 220000),
        (1.1000012, 1, "stop", 220000),  # off the grid: a long's stop rounds down,
        (1.1000012, 1, "target", 220001),  # its target up,
        (1.1000012, -1, "stop", 220001),  # a short's stop up,
        (1.1000012, -1, "target", 220000),  # its target down
    ],
)
def test_levels_are_rounded_away_from_false_touches(
    price: float, side: int, what: str, expected: int
) -> None:
    got = barrier_half_points(
        np.array([price]), np.array([side], np.int8), Decimal("0.00001"), what
    )
    assert got.tolist() == [expected]


def test_prices_out_of_labels_are_the_nearest_floats_of_their_decimals() -> None:
    rows: list[Bar] = [(1.1, 1.1, 1.1, 1.1), (1.10003, 1.10003, 1.10003, 1.10003)] * 2
    where = market(candles(rows, point="0.00001"), point=Decimal("0.00001"))
    labels = judged(where, signal(entry_price=1.1))
    assert labels.exit_price[0] == 1.10003
    assert labels.exit_time[0] == at(0) + 4 * MINUTE


def test_a_batch_of_nothing() -> None:
    none = batch(market(candles(QUIET)))
    labels = label(none, replay(none))
    assert labels.outcome.shape == (0,)
    assert not math.isnan(float(labels.r.sum()))
