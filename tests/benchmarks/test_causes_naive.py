"""The naive rules do what they say: each fires on its threshold's far side and not on the near."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.causes import naive

ENTRY, EXIT = 60, 80
START = 1_700_000_100 // 300 * 300


def iso(bar: float) -> str:
    from benchmarks.causes.market import iso as written

    return written(START + bar * 300)


def case(**changes: Any) -> dict[str, Any]:
    """A flat market with a ripple of two points, a long trade, and nothing that fires."""
    n = 100
    close = [1.1 + 0.0001 * (i % 2) for i in range(n)]
    high, low = [x + 0.0002 for x in close], [x - 0.0002 for x in close]
    high[ENTRY + 1] += 0.0001  # "confirms" any setup
    result: dict[str, Any] = {
        "symbol": "EURUSD",
        "pip": 0.0001,
        "candles": {
            "time": [START + i * 300 for i in range(n)],
            "open": close,
            "high": high,
            "low": low,
            "close": close,
        },
        "signal": {"time": iso(ENTRY), "side": "long", "score": 75.0, "claimed_setups": ["fvg"]},
        "trade": {
            "requested_entry": 1.1,
            "entry": 1.1,
            "requested_exit": 1.1,
            "exit": 1.1,
            "exit_time": iso(EXIT),
        },
        "news": [],
        "setup_history": [],
    }
    for name, value in changes.items():
        parent, _, key = name.rpartition("__")
        (result[parent] if parent else result)[key] = value
    return result


def first(made: dict[str, Any]) -> str:
    return naive.answer(made)[0][0]


def release(minutes: float, **changes: Any) -> dict[str, Any]:
    row = {"time": iso(ENTRY + minutes / 5), "currency": "USD", "impact": "high"}
    return {"news": [{**row, **changes}]}


def results(wins: int, losses: int, setup: str = "fvg") -> dict[str, Any]:
    rows = [{"setup": setup, "won": i < wins} for i in range(wins + losses)]
    return {"setup_history": rows}


def spike(size: float) -> dict[str, Any]:
    high = list(case()["candles"]["high"])
    high[ENTRY + 5] += size
    return {"candles__high": high}


def falling() -> dict[str, Any]:
    close = list(case()["candles"]["close"])
    for i in range(ENTRY, len(close)):
        close[i] -= 0.0001 * (i - ENTRY)
    return {"candles__close": close}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, "unknown"),
        (release(29), "news_shock"),
        (release(-30), "news_shock"),
        (release(35), "unknown"),
        (release(5, impact="medium"), "unknown"),
        (release(5, currency="SEK"), "unknown"),
        ({"signal__score": 69.9}, "model_error"),
        ({"signal__score": 80.1}, "model_error"),
        ({"signal__score": 70.0}, "unknown"),
        ({"signal__score": 80.0}, "unknown"),
        ({"signal__score": None}, "unknown"),
        ({"trade__entry": 1.10031}, "spread_slippage"),
        ({"trade__entry": 1.10029}, "unknown"),
        ({"trade__exit": 1.0995}, "spread_slippage"),
        ({"trade": None}, "unknown"),
        (results(3, 6), "false_positive"),
        (results(4, 6), "unknown"),
        (results(0, 9, setup="bos"), "unknown"),
        (spike(0.0005), "volatility_spike"),
        (spike(0.0003), "unknown"),
        (falling(), "regime_drift"),
        ({"candles__high": [1.1003] * 100}, "detector_misid"),
        ({"candles__high": [1.1003] * 100, "signal__claimed_setups": []}, "unknown"),
    ],
)
def test_each_rule_on_both_sides_of_its_threshold(changes: dict[str, Any], cause: str) -> None:
    assert first(case(**changes)) == cause


def test_the_highest_confidence_comes_first_and_unknown_last() -> None:
    made = case(**release(5), signal__score=90.0, trade__entry=1.1005)
    ranked = naive.answer(made)
    assert [cause for cause, _ in ranked] == [
        "model_error",
        "news_shock",
        "spread_slippage",
        "unknown",
    ]
    assert [value for _, value in ranked] == [0.75, 0.5, pytest.approx(0.4), 0.25]
