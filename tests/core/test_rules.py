"""Which rule applies, and what follows from it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from post_mortem.core.rules import (
    DEFAULT_RULE,
    DEFAULT_RULES,
    Rule,
    barriers,
    choose_rule,
    minimum_score,
    neutral_band,
)

PIP = Decimal("0.0001")
NAN = float("nan")

EVERYWHERE = Rule(id=9, success_tp_pips=1)
SWING = Rule(id=3, strategy="swing")
SWING_EUR = Rule(id=4, strategy="swing", symbol="EURUSD")
EUR_H1 = Rule(id=5, symbol="EURUSD", horizon="1H")
EUR_5M = Rule(id=6, symbol="EURUSD", timeframe="5m", priority=1)
ALL = (EVERYWHERE, SWING, SWING_EUR, EUR_H1, EUR_5M)


@pytest.mark.parametrize(
    ("strategy", "symbol", "timeframe", "horizon", "expected"),
    [
        ("x", "USDJPY", "1m", "4H", EVERYWHERE),
        ("swing", "USDJPY", "1m", "4H", SWING),
        ("swing", "EURUSD", "1m", "4H", SWING_EUR),
        ("x", "EURUSD", "1m", "1H", EUR_H1),
        ("swing", "EURUSD", "1m", "1H", SWING_EUR),  # two fields each, same priority: lowest id
        ("swing", "EURUSD", "5m", "1H", EUR_5M),  # two fields each: priority
    ],
)
def test_the_most_specific_rule(
    strategy: str, symbol: str, timeframe: str, horizon: str, expected: Rule
) -> None:
    for rules in (ALL, ALL[::-1]):
        assert choose_rule(rules, strategy, symbol, timeframe, horizon) == expected


def test_specific_beats_priority() -> None:
    loud = Rule(id=1, priority=99)
    assert choose_rule((loud, SWING), "swing", "EURUSD", "1m", "1H") == SWING


def test_no_rule_is_the_default() -> None:
    assert choose_rule((SWING,), "x", "EURUSD", "1m", "1H") == DEFAULT_RULE
    assert choose_rule((), "x", "EURUSD", "1m", "1H") == DEFAULT_RULE
    assert DEFAULT_RULES == (DEFAULT_RULE,)


def levels(rule: Rule, side: int, stop: float, target: float) -> tuple[float, float]:
    one = barriers(
        rule,
        np.array([side], np.int8),
        np.array([1.1]),
        np.array([stop]),
        np.array([target]),
        PIP,
    )
    return float(one[0][0]), float(one[1][0])


@pytest.mark.parametrize(
    ("rule", "side", "stop", "target", "expected"),
    [
        (Rule(1), 1, NAN, NAN, (NAN, NAN)),
        (Rule(1, success_tp_pips=20, fail_sl_pips=10), 1, NAN, NAN, (1.099, 1.102)),
        (Rule(1, success_tp_pips=20, fail_sl_pips=10), -1, NAN, NAN, (1.101, 1.098)),
        (Rule(1, success_tp_pips=20, fail_sl_pips=10), 1, 1.09, 1.2, (1.09, 1.2)),  # its own
        (Rule(1, success_tp_pips=20, success_rr_ratio=9), 1, 1.09, NAN, (1.09, 1.102)),
        (Rule(1, success_rr_ratio=1.5), 1, 1.098, NAN, (1.098, 1.103)),
        (Rule(1, success_rr_ratio=1.5), -1, 1.102, NAN, (1.102, 1.097)),
        (Rule(1, success_rr_ratio=1.5), 1, NAN, NAN, (NAN, NAN)),  # no risk to multiply
        (Rule(1, success_rr_ratio=2, fail_sl_pips=10), 1, NAN, NAN, (1.099, 1.102)),
        (Rule(1, fail_adverse_pct=1), 1, NAN, NAN, (1.089, NAN)),
        (Rule(1, fail_adverse_pct=1), -1, NAN, NAN, (1.111, NAN)),
        (Rule(1, fail_sl_pips=10, fail_adverse_pct=1), 1, NAN, NAN, (1.099, NAN)),
    ],
)
def test_barriers(
    rule: Rule, side: int, stop: float, target: float, expected: tuple[float, float]
) -> None:
    assert levels(rule, side, stop, target) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(1), (0.1, NAN)),
        (Rule(1, neutral_band_r=None), (0.1, NAN)),
        (Rule(1, neutral_band_r=0.0), (0.0, NAN)),
        (Rule(1, neutral_band_r=0.25), (0.25, NAN)),
        (Rule(1, neutral_band_r=0.25, neutral_band_pips=5), (NAN, 0.0005)),
    ],
)
def test_the_neutral_band(rule: Rule, expected: tuple[float, float]) -> None:
    assert neutral_band(rule, PIP) == pytest.approx(expected, nan_ok=True)


def test_the_minimum_score_of_a_signal_comes_first() -> None:
    own = np.array([NAN, 40.0])
    assert minimum_score(Rule(1, min_score=60), own).tolist() == [60, 40]
    assert minimum_score(Rule(1), own)[1] == 40
    assert np.isnan(minimum_score(Rule(1), own)[0])
