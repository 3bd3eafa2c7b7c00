"""Replay and label alone: candles and signals in memory, four horizons a signal.

    python -m benchmarks.labels [--quick]

The engine with NumPy alone and with its walk compiled by numba, which must agree in every number,
and beside it other ways to label, on a sample each: `agree` is the share of their outcomes that
are the engine's. A way that is not installed is null, with the reason. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from typing import Any

import numpy as np

from benchmarks import _rivals
from benchmarks._market import make_market, make_signals
from post_mortem.core import replay as replay_module
from post_mortem.core.labeler import label
from post_mortem.core.replay import replay
from post_mortem.core.rules import barrier_half_points
from post_mortem.core.types import (
    NO_TIME,
    CaseBatch,
    Labels,
    Market,
    ModelHistory,
    Outcome,
    Paths,
    SetupHistory,
    SetupView,
    TradeLog,
)
from trading.core.types import HORIZON_NS, NS_PER_MINUTE

FULL = {"bars": 371_000, "signals": 100_000, "rounds": 5}
QUICK = {"bars": 60_000, "signals": 5_000, "rounds": 2}
# How many labels each of the others is timed on.
SAMPLES = {"linear": 2_000, "pandas_loop": 100, "vectorbt": 400}
NEUTRAL_R = 0.1


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run")
    quick = parser.parse_args(arguments).quick
    size = QUICK if quick else FULL
    market = make_market(size["bars"])
    signals = make_signals(market.candles, size["signals"])
    batch = as_batch(market.candles, signals)
    plain = engine(batch, compiled=False, rounds=size["rounds"])
    result = {
        "benchmark": "labels",
        "signals": size["signals"],
        "labels": len(batch),
        "bars": len(market.candles),
        "seconds": round(plain["seconds"], 3),
        **per_second("numpy", plain, len(batch)),
        **with_numba(batch, plain, size["rounds"]),
        **others(batch, plain["labels"], 10 if quick else 1),
    }
    for name in ("linear", "pandas_loop", "vectorbt"):
        rate = result[f"{name}_labels_per_s"]
        result[f"ratio_{name}"] = rate and round(result["numpy_labels_per_s"] / rate, 1)
    result["ratio"] = result["ratio_linear"]
    print(json.dumps(result))
    return result


def engine(batch: CaseBatch, *, compiled: bool, rounds: int) -> dict[str, Any]:
    """Median seconds of the walk alone, of the replay and of replay and label together."""
    walks: list[float] = []
    original = replay_module.walk

    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        result = original(*args, **kwargs)
        walks[-1] += time.perf_counter() - started
        return result

    replays, totals = [], []
    replay_module.walk = timed  # type: ignore[assignment]
    try:
        for _ in range(rounds):
            walks.append(0.0)
            started = time.perf_counter()
            paths = replay(batch, compiled=compiled)
            replays.append(time.perf_counter() - started)
            labels = label(batch, paths)
            totals.append(time.perf_counter() - started)
    finally:
        replay_module.walk = original
    return {
        "paths": paths,
        "labels": labels,
        "walk": statistics.median(walks),
        "replay": statistics.median(replays),
        "seconds": statistics.median(totals),
    }


def per_second(name: str, timed: dict[str, Any], count: int) -> dict[str, int]:
    return {
        f"{name}_labels_per_s": round(count / timed["seconds"]),
        f"{name}_replays_per_s": round(count / timed["replay"]),
        f"{name}_walks_per_s": round(count / timed["walk"]),
    }


def equal(one: Any, other: Any) -> bool:
    """Whether two columns are equal, NaN to NaN; one of mixed objects is compared as it is."""
    floats = np.asarray(one).dtype.kind == "f"
    return bool(np.array_equal(one, other, equal_nan=floats))


def with_numba(batch: CaseBatch, plain: dict[str, Any], rounds: int) -> dict[str, Any]:
    if not importlib.util.find_spec("numba"):
        return {"numba_labels_per_s": None, "numba_reason": "numba is not installed"}
    started = time.perf_counter()
    few = as_batch(batch.market.candles, make_signals(batch.market.candles, 10))
    replay(few, compiled=True)
    loading = time.perf_counter() - started
    fast = engine(batch, compiled=True, rounds=rounds)
    same = all(
        equal(getattr(fast[part], field.name), getattr(plain[part], field.name))
        for part, record in (("paths", Paths), ("labels", Labels))
        for field in fields(record)
    )
    assert same, "numba and NumPy disagree"
    return {
        **per_second("numba", fast, len(batch)),
        "numba_equal": same,
        "numba_loading_seconds": round(loading, 3),
        "ratio_numba_walk": round(plain["walk"] / fast["walk"], 1),
    }


def others(batch: CaseBatch, labels: Labels, smaller: int) -> dict[str, Any]:
    """The other ways, each on its own evenly spread sample of the judged labels."""
    judged = np.flatnonzero(labels.outcome != Outcome.PENDING)
    ways: dict[str, Callable[[CaseBatch, Any], list[int]]] = {
        "linear": _rivals.slices,
        "pandas_loop": _rivals.pandas_loop,
        "vectorbt": _rivals.vectorbt,
    }
    result: dict[str, Any] = {}
    for name, way in ways.items():
        reason = _rivals.vectorbt_missing() if name == "vectorbt" else ""
        if reason:
            result |= {f"{name}_labels_per_s": None, f"{name}_reason": reason}
            continue
        count = max(SAMPLES[name] // smaller, 20)
        rows = judged[np.linspace(0, judged.size - 1, count).astype(np.int64)]
        way(batch, rows[:4])  # imports and compiles
        started = time.perf_counter()
        outcomes = way(batch, rows)
        seconds = time.perf_counter() - started
        agree = float(np.mean(np.array(outcomes) == labels.outcome[rows]))
        result |= {f"{name}_labels_per_s": round(rows.size / seconds), f"{name}_agree": agree}
    assert result["linear_agree"] == 1.0, result
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


if __name__ == "__main__":
    main()
