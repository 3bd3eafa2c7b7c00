"""Labels of trades that were made: their fills, costs and the levels that they met."""

from __future__ import annotations

from typing import Any

import pytest

from post_mortem.core.types import NO_TIME, ExitReason, Flag
from tests.core.cases import (
    NAN,
    Bar,
    at,
    candles,
    market,
    trade,
)
from tests.core.label_rows import (
    BOTH,
    FAILED,
    NEEDS_REVIEW,
    NEUTRAL,
    PENDING,
    QUIET,
    STOP,
    SUCCEEDED,
    F,
    check,
    judged,
)
from trading.core.candles import empty_candles

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
        "the bar of the exit reached the stop, the fill is above it: the fill is believed",
        [F, (100, 108, 80, 85), F],
        {"exit": 107.0, "exit_time": at(1.1), "file_exit_reason": ExitReason.MANUAL, **BOTH},
        {"outcome": SUCCEEDED, "exit_reason": ExitReason.MANUAL, "r": 0.7}
        | {"mfe_r": 0.7, "mae_r": 0.1, "drawdown_r": 0.1},
        Flag.EXIT_BAR_AMBIGUOUS,
    ),
    (
        "the bar of the exit reached the target, the fill is below it: likewise",
        [F, (100, 125, 95, 124), F],
        {"exit": 96.0, "exit_time": at(1.1), **BOTH},
        {"outcome": FAILED, "exit_reason": ExitReason.MANUAL, "r": -0.4, "mae_r": 0.4}
        | {"mfe_r": 0.1, "drawdown_r": 0.5},
        Flag.EXIT_BAR_AMBIGUOUS,
    ),
    (
        "filled at the target in a bar that reached the stop too: the target",
        [F, (100, 121, 80, 85), F],
        {"exit": 120.0, "exit_time": at(1.1), "file_exit_reason": ExitReason.TP, **BOTH},
        {"outcome": SUCCEEDED, "exit_reason": ExitReason.TP, "r": 2.0, "mfe_r": 2.0},
        Flag.EXIT_BAR_AMBIGUOUS,
    ),
    (
        "filled at the stop in a bar that reached both: which came first is not known",
        [F, (100, 121, 80, 85), F],
        {"exit": 90.0, "exit_time": at(1.1), **BOTH},
        {"outcome": FAILED, "exit_reason": ExitReason.SL, "r": -1.0},
        Flag.AMBIGUOUS,
    ),
    (
        "half a point above the stop is at it",
        [F, (100, 101, 90, 95), F],
        {"exit": 90.5, "exit_time": at(1.1), **BOTH},
        {"outcome": FAILED, "exit_reason": ExitReason.SL, "r": -0.95},
        Flag(0),
    ),
    (
        "more than that is not",
        [F, (100, 101, 90, 95), F],
        {"exit": 90.6, "exit_time": at(1.1), **BOTH},
        {"outcome": FAILED, "exit_reason": ExitReason.MANUAL, "r": -0.94},
        Flag.EXIT_BAR_AMBIGUOUS,
    ),
    (
        "filled below the stop while the bar reached the target only: no level is borne out",
        [F, (100, 121, 95, 96), F],
        {"exit": 89.0, "exit_time": at(1.1), **BOTH},
        {"outcome": FAILED, "exit_reason": ExitReason.MANUAL, "r": -1.1},
        Flag.EXIT_BAR_AMBIGUOUS,
    ),
    (
        "entered and left in one bar that reached the stop: nothing but the fills is known",
        [(100, 108, 80, 85), F],
        {"exit": 107.0, "exit_time": at(0.1), **BOTH},
        {"outcome": SUCCEEDED, "r": 0.7, "mfe_r": NAN},
        Flag.EXIT_BAR_AMBIGUOUS,
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
