"""All setups of a year of minutes, found anew, and how often the market shows each of them anyway.

    python -m benchmarks.setups [--quick]

Beside it the same definitions as a loop over bars, on the first bars of the year; it must find the
same. Both are timed a few times and the quickest counts. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from typing import Any

from benchmarks._market import make_market
from post_mortem.core.setup_rates import base_rates
from post_mortem.core.setups import detect
from post_mortem.core.types import SETUPS
from tests.core.setups_loop import Loop, listed

FULL = {"bars": 371_000, "sample": 20_000, "rounds": 7}
QUICK = {"bars": 60_000, "sample": 3_000, "rounds": 2}
SIZES = {"of any size": -math.inf, "at least 0.5 ATR": 0.5, "at least 1 ATR": 1.0}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run")
    size = QUICK if parser.parse_args(arguments).quick else FULL
    candles = make_market(size["bars"]).candles
    few = candles.rows(slice(0, size["sample"]))
    seconds, events = quickest(lambda: detect(candles), size["rounds"])
    loop_seconds, loop = quickest(lambda: Loop(few), 2)
    same = loop.found == listed(detect(few))
    assert same, "the loop finds other setups"
    per_second, loop_per_second = len(candles) / seconds, len(few) / loop_seconds
    result = {
        "benchmark": "setups",
        "bars": len(candles),
        "events": len(events),
        "seconds": round(seconds, 3),
        "bars_per_s": round(per_second),
        "loop_bars_per_s": round(loop_per_second),
        "ratio": round(per_second / loop_per_second, 1),
        "equal": same,
        # How many of 100 bars would bear out a claim that nobody had a reason to make.
        "claim_borne_out_on_bars_of_100": {
            words: {
                name: round(100 * float(rate), 1)
                for name, rate in zip(
                    SETUPS, base_rates(events, len(candles), least).mean(axis=1), strict=True
                )
            }
            for words, least in SIZES.items()
        },
    }
    print(json.dumps(result))
    return result


def quickest(call: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        found = call()
        best = min(best, time.perf_counter() - started)
    return best, found


if __name__ == "__main__":
    main()
