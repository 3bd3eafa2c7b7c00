"""Which bars count for a label, and what touches a level: the conventions, a row each."""

from __future__ import annotations

import math

from post_mortem.core.labeler import label
from post_mortem.core.replay import replay
from post_mortem.core.types import NO_TIME, ExitReason, Flag
from tests.core.cases import (
    NAN,
    Bar,
    at,
    batch,
    candles,
    market,
    signal,
)
from tests.core.label_rows import (
    BOTH,
    FAILED,
    NEEDS_REVIEW,
    NEUTRAL,
    PENDING,
    QUIET,
    SUCCEEDED,
    F,
    Row,
    both_ways,
    check,
    check_row,
    each,
    judged,
)
from trading.core.candles import empty_candles

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


# Long from 100, and the market was elsewhere.
ENTRIES = [
    Row(
        "the bar of a market entry opens at the target: the entry was not to be had",
        [(120, 121, 99, 100), F, F, F],
        {"outcome": NEEDS_REVIEW, "r": NAN},
        flags=Flag.ENTRY_OFF_MARKET,
    ),
    Row(
        "it opens half a point short of it",
        [(119.5, 121, 99, 100), F, F, F],
        {"outcome": SUCCEEDED},
    ),
    Row(
        "the bar of a market entry opens beyond the stop",
        [(85, 101, 84, 100), F, F, F],
        {"outcome": NEEDS_REVIEW, "exit_reason": ExitReason.NONE},
        flags=Flag.ENTRY_OFF_MARKET,
    ),
    Row(
        "entered inside a bar that lies beyond the target",
        [(125, 126, 120, 121), (121, 122, 119, 120), F, F, F],
        {"outcome": NEEDS_REVIEW},
        case=BOTH | {"entry_time": at(0.5)},
        flags=Flag.ENTRY_OFF_MARKET,
    ),
    Row(
        "entered inside a bar that reaches between the levels",
        [(125, 126, 119.5, 121), F, F, F, F],
        {"outcome": NEUTRAL},
        case=BOTH | {"entry_time": at(0.5)},
        flags=Flag.ENTRY_BAR_AMBIGUOUS,
    ),
    Row(
        "no barrier, nothing to be beyond",
        [(125, 126, 124, 125), F, F, F],
        {"outcome": NEUTRAL},
        case={"stop_price": 90.0},
    ),
    Row(
        "a later bar may open where it likes",
        [F, (125, 126, 124, 125), F, F],
        {"outcome": SUCCEEDED},
    ),
    Row(
        "an order is no market entry",
        [(125, 126, 99, 125), F, F, F],
        {"outcome": NEUTRAL},
        case=BOTH | {"entry_kind": 1},
        flags=Flag.ENTRY_BAR_AMBIGUOUS,
    ),
    Row(
        "pending before anything",
        [(125, 126, 124, 125), F],
        {"outcome": PENDING},
    ),
]


SOME = [m for m in range(40) if m != 10]
JUMP: list[Bar] = [F] * 10 + [(130, 131, 129, 130)] * 29
FALL: list[Bar] = [F] * 10 + [(80, 81, 79, 80)] * 29
HOLES = [
    Row(
        "the minute before one that opens beyond the target is missing: nobody knows what it did",
        JUMP,
        {"outcome": NEEDS_REVIEW, "r": NAN},
        case=BOTH | {"minutes": 40},
        minutes=SOME,
        flags=Flag.HOLE_BEFORE_TOUCH,
    ),
    Row(
        "or beyond the stop",
        FALL,
        {"outcome": NEEDS_REVIEW, "r": NAN},
        case=BOTH | {"minutes": 40},
        minutes=SOME,
        flags=Flag.HOLE_BEFORE_TOUCH,
    ),
    Row(
        "a bar after the hole that opens between the levels decides as any other",
        [*[F] * 10, (119.5, 120, 119, 120), *[F] * 28],
        {"outcome": SUCCEEDED},
        case=BOTH | {"minutes": 40},
        minutes=SOME,
    ),
    Row(
        "a hole that lies further back is no matter",
        [*[F] * 11, *JUMP[11:]],
        {"outcome": SUCCEEDED},
        case=BOTH | {"minutes": 40},
        minutes=SOME,
    ),
    Row(
        "nor is one before the entry",
        [*[F] * 10, (100, 120, 99, 110), *[F] * 28],
        {"outcome": SUCCEEDED},
        case=BOTH | {"minutes": 20, "entry_time": at(11)},
        minutes=SOME,
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


@both_ways
@each(TOUCHES + ENTRIES + HOLES + WINDOWS)
def test_signal(row: Row, turned: bool) -> None:
    check_row(row, turned=turned)


def test_no_candle_at_all_needs_review() -> None:
    labels = judged(market(empty_candles()), signal(**BOTH))
    flags = Flag.NO_DATA | Flag.ENTRY_BAR_MISSING | Flag.LOW_COVERAGE
    check(labels, {"outcome": NEEDS_REVIEW, "coverage": 0.0}, flags)


def test_a_batch_of_nothing() -> None:
    none = batch(market(candles(QUIET)))
    labels = label(none, replay(none))
    assert labels.outcome.shape == (0,)
    assert not math.isnan(float(labels.r.sum()))
