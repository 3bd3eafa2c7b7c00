"""Each reason in words, and the one action that helps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from post_mortem.core.reasons import Judged, reason_of, why_no_r
from post_mortem.core.types import Flag, Outcome

FAILED = Judged("EURUSD", "4H", Outcome.FAILED, 0, timeframe="5m", coverage=1.0, r=-1.0)


def test_a_plain_verdict_needs_no_reason() -> None:
    assert reason_of(FAILED) is None
    assert reason_of(replace(FAILED, flags=int(Flag.GAP_THROUGH_STOP | Flag.STOP_MOVED))) is None


@pytest.mark.parametrize(
    ("changes", "code", "text", "action"),
    [
        (
            {"outcome": Outcome.FILTERED_OUT, "flags": Flag.BELOW_THRESHOLD, "score": 61.0,
             "min_score": 70.0, "shadow_outcome": Outcome.SUCCEEDED, "r": 1.2},
            "below_threshold",
            "Filtered out: score 61, rule asks 70. It would have won +1.20 R.",
            "",
        ),
        (
            {"outcome": Outcome.FILTERED_OUT, "flags": Flag.BELOW_THRESHOLD, "score": 61.5,
             "min_score": 70.0, "shadow_outcome": Outcome.FAILED, "r": -1.0},
            "below_threshold",
            "Filtered out: score 61.50, rule asks 70. It would have lost \N{MINUS SIGN}1.00 R.",
            "",
        ),
        (
            {"outcome": Outcome.FILTERED_OUT, "flags": Flag.BELOW_THRESHOLD, "score": 61.0,
             "min_score": 70.0, "shadow_outcome": Outcome.PENDING, "r": None},
            "below_threshold",
            "Filtered out: score 61, rule asks 70.",
            "",
        ),
        (
            {"outcome": Outcome.FILTERED_OUT, "flags": Flag.NOT_FILLED},
            "not_filled",
            "Filtered out: the price never reached the entry order before the horizon ended.",
            "",
        ),
        (
            {"outcome": Outcome.NEEDS_REVIEW, "flags": Flag.HORIZON_TOO_SHORT, "horizon": "1H",
             "timeframe": "4h"},
            "horizon_too_short",
            "Not judged: a horizon of 1 h is shorter than one 4 h bar.",
            "Import 1 h candles, or finer",
        ),
        (
            {"outcome": Outcome.NEEDS_REVIEW, "flags": Flag.NO_DATA, "timeframe": ""},
            "no_data",
            "Not judged: no candles of EURUSD are stored for this time.",
            "Import EURUSD candles",
        ),
        (
            {"outcome": Outcome.NEEDS_REVIEW, "flags": Flag.ENTRY_BAR_MISSING},
            "entry_bar_missing",
            "Not judged: the candle of EURUSD at the entry is not stored.",
            "Import EURUSD candles",
        ),
        (
            {"outcome": Outcome.NEEDS_REVIEW, "flags": Flag.LOW_COVERAGE, "coverage": 0.62},
            "low_coverage",
            "Not judged: only 62 % of the expected 5 min bars are stored.",
            "Import the missing candles",
        ),
        (
            {"outcome": Outcome.NEEDS_REVIEW, "horizon": "TRADE"},
            "no_quantity",
            "Not judged: its costs are known but not its quantity, so its net result is not.",
            "Import the trade with its quantity",
        ),
        (
            {"outcome": Outcome.PENDING},
            "pending",
            "Not judged yet: candles of EURUSD do not reach the end of its horizon.",
            "Import newer candles",
        ),
        (
            {"flags": Flag.AMBIGUOUS},
            "ambiguous",
            "Stop and target lie in one 5 min bar. Counted as the stop.",
            "Import 1 min candles",
        ),
        (
            {"flags": Flag.AMBIGUOUS | Flag.RESOLVED_FINER, "resolved_by": "1m"},
            "ambiguous",
            "Stop and target lie in one 1 min bar. Counted as the stop.",
            "Import 1 s candles",
        ),
        (
            {"flags": Flag.ENTRY_BAR_AMBIGUOUS},
            "entry_bar_ambiguous",
            "Entered inside a 5 min bar that reached a level, before or after the entry."
            " Counted from the next bar on.",
            "Import 1 min candles",
        ),
        (
            {"outcome": Outcome.NEEDS_REVIEW, "flags": Flag.ENTRY_OFF_MARKET, "coverage": 1.0},
            "entry_off_market",
            "Not judged: when the signal was sent, EURUSD was already at or beyond its stop or"
            " target, so its entry price was not to be had.",
            "",
        ),
        (
            {"outcome": Outcome.NEEDS_REVIEW, "flags": Flag.HOLE_BEFORE_TOUCH, "coverage": 0.97},
            "hole_before_touch",
            "Not judged: candles of EURUSD are missing right before the one that opened at or"
            " beyond its stop or target.",
            "Import the missing candles",
        ),
        (
            {"flags": Flag.EXIT_BAR_AMBIGUOUS},
            "exit_bar_ambiguous",
            "The 5 min bar of the exit also reached the stop or target, before or after the exit."
            " Judged by the exit price.",
            "Import 1 min candles",
        ),
        (
            {"flags": Flag.RESOLVED_FINER, "resolved_by": "1m"},
            "resolved_finer",
            "Decided on 1 min candles inside one 5 min bar.",
            "",
        ),
    ],
)  # fmt: skip
def test_every_reason(changes: dict[str, Any], code: str, text: str, action: str) -> None:
    changes = {k: int(v) if isinstance(v, Flag) else v for k, v in changes.items()}
    found = reason_of(replace(FAILED, **changes))
    assert found is not None
    assert (found.code, found.text, found.action) == (code, text, action)
    assert bool(found.imports) == bool(action)


def test_an_empty_r_has_its_own_reason() -> None:
    judged = (Outcome.SUCCEEDED, 0)
    assert why_no_r(*judged, has_stop=False) == "no initial stop"
    assert why_no_r(*judged, has_stop=False, has_final=True) == "only the final stop is known"
    assert why_no_r(Outcome.NEEDS_REVIEW, Flag.NO_DATA, has_stop=True) == "not judged"
    assert why_no_r(Outcome.PENDING, 0, has_stop=True) == "not judged"
    assert "never filled" in why_no_r(Outcome.FILTERED_OUT, Flag.NOT_FILLED, has_stop=True)
    assert "profit side" in why_no_r(Outcome.FAILED, Flag.BAD_STOP_SIDE, has_stop=True)
