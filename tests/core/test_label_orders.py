"""Entries by limit and by stop, and which side of a quote fills and ends a trade."""

from __future__ import annotations

from typing import Any

import pytest

from post_mortem.core.types import NO_TIME, ExitReason, Flag
from tests.core.cases import (
    NAN,
    Bar,
    at,
    market,
    quote_candles,
    signal,
)
from tests.core.label_rows import (
    FAILED,
    FILTERED_OUT,
    LIMIT,
    PENDING,
    SUCCEEDED,
    F,
    Row,
    both_ways,
    check,
    check_row,
    each,
    judged,
)

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
        "a stop entry that a bar opens beyond fills at its open; risk stays as planned",
        [F, (110, 112, 109, 111), (111, 125, 110, 120), F],
        {"outcome": SUCCEEDED, "exit_time": at(2), "r": 1.5, "risk_price": 10.0}
        | {"judged_entry": 110.0, "mfe_r": 1.5, "mae_r": 0.1},
        case=dict(STOP_ENTRY),
        flags=Flag.ENTRY_GAP,
    ),
    Row(
        "gapped over and stopped: it lost more than was planned",
        [F, (110, 112, 109, 111), (111, 112, 95, 96), F],
        {"outcome": FAILED, "exit_reason": ExitReason.SL, "r": -1.5},
        case=dict(STOP_ENTRY),
        flags=Flag.ENTRY_GAP,
    ),
    Row(
        "gapped over with its target: that is no target any more",
        [F, (130, 131, 119, 120), (120, 121, 119, 120), F],
        {"outcome": FAILED, "exit_reason": ExitReason.TIME, "r": -3.0, "mfe_r": 0.1},
        case=dict(STOP_ENTRY),
        flags=Flag.ENTRY_GAP,
    ),
    Row(
        "a bar that opens at the stop entry fills it there",
        [F, (105, 106, 104, 105), (105, 125, 104, 120), F],
        {"outcome": SUCCEEDED, "r": 2.0, "judged_entry": 105.0},
        case=dict(STOP_ENTRY),
    ),
    Row(
        "filled in the last bar: no bar is left, the fill bar's close ends it",
        [F, F, F, (100, 107, 99, 107)],
        {"outcome": SUCCEEDED, "exit_reason": ExitReason.TIME, "r": 0.2, "mfe_r": NAN},
        case=dict(STOP_ENTRY),
    ),
]


@both_ways
@each(ORDERS)
def test_signal(row: Row, turned: bool) -> None:
    check_row(row, turned=turned)


# --- quotes ---------------------------------------------------------------------------------------

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
