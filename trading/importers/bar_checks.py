"""Checks within one bar, for every format."""

from __future__ import annotations

import numpy as np

from .contract import I64, Bool, ProblemLog

PRICES_A_SIDE = 4


def check_bars(prices: list[I64], bad: Bool, line: I64, log: ProblemLog, *, positive: bool) -> I64:
    """Check rows of open, high, low, close (or both sides of a quote); returns the lines that
    close with the ask below the bid.

    `bad` rows were reported already. Logs ohlc_inconsistent, and non_positive_price where prices
    must be positive.
    """
    for first in range(0, len(prices), PRICES_A_SIDE):
        opened, high, low, close = prices[first : first + PRICES_A_SIDE]
        bottom, top = np.minimum(opened, close), np.maximum(opened, close)
        wrong = np.flatnonzero(((high < top) | (low > bottom)) & ~bad)
        log.add(
            "ohlc_inconsistent",
            "high is below or low is above another price of the bar",
            rows=line[wrong],
        )
        if positive:
            lowest = np.minimum(np.minimum(low, bottom), high)
            dead = np.flatnonzero((lowest <= 0) & ~bad)
            log.add("non_positive_price", "a price is not above zero", rows=line[dead])
    if len(prices) == PRICES_A_SIDE:
        return line[:0]
    ask_close, bid_close = prices[-1], prices[PRICES_A_SIDE - 1]
    result: I64 = line[(ask_close < bid_close) & ~bad]
    return result


def warn_crossed(rows: I64, log: ProblemLog) -> None:
    log.add(
        "crossed_quotes",
        "the bar closes with the ask below the bid; it is kept and flagged",
        rows=rows,
        fatal=False,
    )
