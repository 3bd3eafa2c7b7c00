"""Replay and label alone: candles and signals in memory, four horizons a signal.

    python -m benchmarks.labels [--quick]

Beside the engine, the same labels with a NumPy slice for each of them, and every one of those must
agree. The engine needs NumPy alone, so `numba_labels_per_s` is null. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from decimal import Decimal
from typing import Any

import numpy as np

from benchmarks._market import make_market, make_signals
from post_mortem.core.labeler import label
from post_mortem.core.replay import replay
from post_mortem.core.rules import barrier_half_points
from post_mortem.core.types import (
    NO_TIME,
    CaseBatch,
    Market,
    ModelHistory,
    Outcome,
    SetupHistory,
    SetupView,
    TradeLog,
)
from trading.core.types import HORIZON_NS, NS_PER_MINUTE

FULL = {"bars": 371_000, "signals": 100_000, "sample": 2_000}
QUICK = {"bars": 60_000, "signals": 5_000, "sample": 200}
NEUTRAL_R = 0.1


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run")
    size = QUICK if parser.parse_args(arguments).quick else FULL
    market = make_market(size["bars"])
    signals = make_signals(market.candles, size["signals"])
    batch = as_batch(market.candles, signals)
    started = time.perf_counter()
    paths = replay(batch)
    replay_seconds = time.perf_counter() - started
    labels = label(batch, paths)
    seconds = time.perf_counter() - started
    picked = np.linspace(0, len(batch) - 1, size["sample"]).astype(np.int64)
    started = time.perf_counter()
    linear = [linear_outcome(batch, int(i)) for i in picked]
    linear_seconds = time.perf_counter() - started
    judged = labels.outcome[picked]
    known = judged != Outcome.PENDING
    agree = float(np.mean(np.array(linear)[known] == judged[known]))
    assert agree == 1.0, f"only {agree:.4f} of the labels agree"
    per_second, linear_per_second = len(batch) / seconds, len(picked) / linear_seconds
    result = {
        "benchmark": "labels",
        "signals": size["signals"],
        "labels": len(batch),
        "bars": len(market.candles),
        "seconds": round(seconds, 3),
        "replay_seconds": round(replay_seconds, 3),
        "numpy_labels_per_s": round(per_second),
        "linear_labels_per_s": round(linear_per_second),
        "numba_labels_per_s": None,
        "ratio": round(per_second / linear_per_second, 1),
        "agree": agree,
    }
    print(json.dumps(result))
    return result


def as_batch(candles: Any, signals: Any) -> CaseBatch:
    """The signals under every horizon, as the case selector would give them to the engine."""
    names = tuple(HORIZON_NS)
    n = signals.time.size

    def tiled(values: Any, dtype: Any = np.float64) -> Any:
        return np.tile(np.asarray(values, dtype), len(names))

    side = tiled(signals.side, np.int8)
    prices = {k: tiled(getattr(signals, k) / 100_000) for k in ("entry", "stop", "target")}
    total = n * len(names)
    nan, never = np.full(total, np.nan), np.full(total, NO_TIME)
    zero, missing = np.zeros(total, np.int8), np.full(total, -1, np.int64)
    point = Decimal("0.00001")
    where = Market("EURUSD", "fx", point, Decimal("0.0001"), NS_PER_MINUTE, candles)
    length = np.repeat(np.array([HORIZON_NS[name] for name in names]), n)
    empty, flags = np.zeros(0), np.zeros(0, np.bool_)
    return CaseBatch(
        market=where,
        is_trade=np.zeros(total, bool),
        horizon=tuple(name for name in names for _ in range(n)),
        side=side,
        entry_time=tiled(signals.time, np.int64),
        end_time=tiled(signals.time, np.int64) + length,
        entry_price=prices["entry"],
        stop=barrier_half_points(prices["stop"], side, point, "stop"),
        target=barrier_half_points(prices["target"], side, point, "target"),
        stop_price=prices["stop"],
        target_price=prices["target"],
        entry_kind=zero,
        neutral_r=np.full(total, NEUTRAL_R),
        neutral_price=nan,
        score=tiled(signals.score),
        min_score=nan,
        score_semantics=zero,
        strategy_kind=zero,
        claimed_setups=np.full(total, -1, np.int32),
        setup_bar_ns=np.full(total, NS_PER_MINUTE),
        setup_views=(SetupView(NS_PER_MINUTE, candles),),
        executed=np.zeros(total, bool),
        requested_entry=nan,
        fill_entry=nan,
        fill_entry_time=never,
        requested_exit=nan,
        fill_exit=nan,
        fill_exit_time=never,
        file_exit_reason=zero,
        quantity=nan,
        stop_initial=nan,
        stop_final=nan,
        commission=nan,
        swap=nan,
        on_plan=np.full(total, -1, np.int8),
        extra_flags=np.zeros(total, np.int32),
        model_history=ModelHistory(empty, flags, missing, missing),
        setup_history=SetupHistory(np.zeros(0, np.int8), flags, empty, missing, missing),
        trade_log=TradeLog(np.zeros(0, np.int64), empty, empty, missing, missing),
    )


def linear_outcome(batch: CaseBatch, i: int) -> int:
    """One label by slices of the bars: masks, first touch, running extremes."""
    candles, side = batch.market.candles, int(batch.side[i])
    first, stop = np.searchsorted(
        candles.time, (batch.entry_time[i], batch.end_time[i] - batch.market.bar_ns + 1)
    )
    high, low = candles.high[first:stop], candles.low[first:stop]
    if side > 0:
        stopped, reached = low <= batch.stop[i], high >= batch.target[i]
    else:
        stopped, reached = high >= batch.stop[i], low <= batch.target[i]
    touched = stopped | reached
    at = int(touched.argmax()) if touched.any() else touched.size - 1
    best = np.maximum.accumulate(high[: at + 1])
    worst = np.minimum.accumulate(low[: at + 1])
    assert best.size == worst.size
    if touched.size and touched[at]:
        return int(Outcome.FAILED if stopped[at] else Outcome.SUCCEEDED)
    entry = round(float(batch.entry_price[i]) * 200_000)
    risk = abs(entry - round(float(batch.stop_price[i]) * 200_000))
    result = side * (int(candles.close[stop - 1]) - entry)
    if abs(result) <= NEUTRAL_R * risk + 1e-6:
        return int(Outcome.NEUTRAL)
    return int(Outcome.SUCCEEDED if result > 0 else Outcome.FAILED)


if __name__ == "__main__":
    main()
