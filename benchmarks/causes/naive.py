"""The seven threshold rules that a first attempt at this problem uses, for comparison.

News within 30 minutes of the entry; a regime label that differs before and after; a range twice
the average; a score under 70 ("expected") or over 80 ("overconfident"); a setup that no later
candle confirms; more than 3 pips of slippage; a fail rate above 60 %. Each gives a confidence in
its usual band, and the highest comes first. There is no rule for the other causes. They read the
portable case as given, and nothing is taken from them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

NEWS_WINDOW_S = 30 * 60
LOOKBACK = 50
TRENDING = 0.3  # efficiency ratio
RANGE_RATIO = 2.0
LOW_SCORE, HIGH_SCORE = 70.0, 80.0
SLIPPAGE_PIPS = 3.0
FAIL_RATE = 0.60
UNKNOWN_CONFIDENCE = 25

Ranked = list[tuple[str, float]]


def answer(case: dict[str, Any]) -> Ranked:
    """(cause, confidence / 100), highest first; `unknown` last, alone where nothing fires."""
    start, stop = _life(case)
    confidences = {
        "news_shock": _news(case),
        "model_error": _model(case),
        "detector_misid": _detector(case, start, stop),
        "regime_drift": _regime(case, start, stop),
        "volatility_spike": _volatility(case, start, stop),
        "false_positive": _fail_rate(case),
        "spread_slippage": _slippage(case),
    }
    fired = [(cause, value / 100) for cause, value in confidences.items() if value > 0]
    fired.sort(key=lambda item: -item[1])
    return [*fired, ("unknown", UNKNOWN_CONFIDENCE / 100)]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _life(case: dict[str, Any]) -> tuple[int, int]:
    """Bars from the entry to the trade's exit, or to the end of the data."""
    time = np.asarray(case["candles"]["time"])
    start = int(np.searchsorted(time, _seconds(case["signal"]["time"])))
    trade = case["trade"]
    if trade is None or trade["exit_time"] is None:
        return start, time.size
    return start, max(int(np.searchsorted(time, _seconds(trade["exit_time"]), "right")), start + 1)


def _news(case: dict[str, Any]) -> float:
    entry = _seconds(case["signal"]["time"])
    near = [
        item
        for item in case["news"] or []
        if item["impact"] == "high"
        and item["currency"] in case["symbol"]
        and abs(_seconds(item["time"]) - entry) <= NEWS_WINDOW_S
    ]
    return min(50 + 10 * (len(near) - 1), 85) if near else 0


def _model(case: dict[str, Any]) -> float:
    score = case["signal"]["score"]
    if score is None or LOW_SCORE <= score <= HIGH_SCORE:
        return 0
    return 60 if score < LOW_SCORE else 75


def _detector(case: dict[str, Any], start: int, stop: int) -> float:
    """A claimed setup is "verified" by any later extreme beyond the entry bar's."""
    if not case["signal"]["claimed_setups"]:
        return 0
    long = case["signal"]["side"] == "long"
    edge = np.asarray(case["candles"]["high" if long else "low"])
    later = edge[start + 1 : stop]
    confirmed = np.any(later > edge[start]) if long else np.any(later < edge[start])
    return 0 if confirmed else 65


def _regime(case: dict[str, Any], start: int, stop: int) -> float:
    close = np.asarray(case["candles"]["close"])
    before, before_ratio = _label(close[max(start - LOOKBACK, 0) : start])
    after, after_ratio = _label(close[start:stop])
    if before == after:
        return 0
    return 40 + 35 * min(abs(after_ratio - before_ratio), 1.0)


def _label(close: np.ndarray) -> tuple[str, float]:
    path = np.abs(np.diff(close)).sum()
    if close.size < 2 or path == 0:
        return "range", 0.0
    ratio = abs(close[-1] - close[0]) / path
    if ratio < TRENDING:
        return "range", ratio
    return ("up" if close[-1] > close[0] else "down"), ratio


def _volatility(case: dict[str, Any], start: int, stop: int) -> float:
    ranges = np.asarray(case["candles"]["high"]) - np.asarray(case["candles"]["low"])
    usual = ranges[max(start - LOOKBACK, 0) : start].mean()
    highest = ranges[start:stop].max()
    if usual <= 0 or highest < RANGE_RATIO * usual:
        return 0
    return min(35 + 10 * (highest / usual - RANGE_RATIO), 70)


def _slippage(case: dict[str, Any]) -> float:
    trade, pip = case["trade"], case["pip"]
    if trade is None:
        return 0
    pairs = (("requested_entry", "entry"), ("requested_exit", "exit"))
    slips = [
        abs(trade[got] - trade[wanted]) / pip
        for wanted, got in pairs
        if trade[wanted] is not None and trade[got] is not None
    ]
    worst = max(slips, default=0.0)
    return min(30 + 5 * (worst - SLIPPAGE_PIPS), 60) if worst > SLIPPAGE_PIPS else 0


def _fail_rate(case: dict[str, Any]) -> float:
    claimed = case["signal"]["claimed_setups"] or []
    rows = [row for row in case["setup_history"] or [] if row["setup"] in claimed]
    if not rows:
        return 0
    rate = sum(not row["won"] for row in rows) / len(rows)
    return 40 + 75 * (rate - FAIL_RATE) if rate > FAIL_RATE else 0
