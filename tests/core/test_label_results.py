"""What a label says of the result: bands, units of risk, excursions, scores; a row each."""

from __future__ import annotations

from post_mortem.core.labeler import label
from post_mortem.core.replay import replay
from post_mortem.core.types import ExitReason, Flag, SetupView
from tests.core.cases import (
    MINUTE,
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
    FILTERED_OUT,
    NEUTRAL,
    PENDING,
    STOP,
    SUCCEEDED,
    F,
    Row,
    both_ways,
    check_row,
    each,
    judged,
)
from trading.core.aggregate import aggregate

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


@both_ways
@each(RESULTS)
def test_signal(row: Row, turned: bool) -> None:
    check_row(row, turned=turned)


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
