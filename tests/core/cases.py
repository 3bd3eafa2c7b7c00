"""Small hand-made markets and batches for tests of the engine.

Prices here are in points (point = 1, pip = 10 unless said otherwise), times in minutes after a
Monday midnight, so that every expected number can be worked out by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from post_mortem.core.rules import barrier_half_points
from post_mortem.core.types import (
    NO_TIME,
    CaseBatch,
    ExitReason,
    Market,
    ModelHistory,
    SetupHistory,
    SetupView,
    TradeLog,
)
from trading.core.candles import Candles, Quotes, from_quotes
from trading.core.types import NS_PER_MINUTE

MONDAY = 1_709_510_400 * 1_000_000_000  # 2024-03-04 00:00 UTC
MINUTE = NS_PER_MINUTE
NAN = float("nan")

Bar = tuple[float, float, float, float]


def at(minute: float) -> int:
    """Time of a minute of the test Monday (fractions for inside a bar)."""
    return MONDAY + round(minute * MINUTE)


def half_points(prices: Sequence[float] | np.ndarray, point: str = "1") -> np.ndarray:
    scaled = np.asarray(prices, float) * 2 / float(point)
    return np.rint(scaled).astype(np.int64)


def candles(
    rows: Sequence[Bar], *, minutes: Sequence[float] | None = None, point: str = "1"
) -> Candles:
    """Bars (open, high, low, close) at the given minutes, one a minute by default."""
    table = np.asarray(rows, float).reshape(-1, 4)
    when = range(len(table)) if minutes is None else minutes
    time = np.array([at(m) for m in when], np.int64)
    return Candles(time, *(half_points(table[:, i], point) for i in range(4)))


def quote_candles(bid: Sequence[Bar], ask: Sequence[Bar]) -> Candles:
    sides = [np.asarray(side, float).reshape(-1, 4) for side in (bid, ask)]
    columns = [half_points(side[:, i]) for side in sides for i in range(4)]
    time = np.array([at(m) for m in range(len(bid))], np.int64)
    return from_quotes(time, Quotes(*columns))


def market(bars: Candles, **changes: Any) -> Market:
    fields: dict[str, Any] = {
        "symbol": "TEST",
        "kind": "crypto",
        "point": Decimal(1),
        "pip": Decimal(10),
        "bar_ns": MINUTE,
        "candles": bars,
    }
    return Market(**(fields | changes))


# One row of a batch: every field that a test may set, with what it is when the test says nothing.
DEFAULTS: dict[str, Any] = {
    "is_trade": False,
    "horizon": "4H",
    "side": 1,
    "entry_time": at(0),
    "end_time": NO_TIME,
    "entry_price": 100.0,
    "stop_price": NAN,
    "target_price": NAN,
    "entry_kind": 0,
    "neutral_r": 0.1,
    "neutral_price": NAN,
    "score": NAN,
    "min_score": NAN,
    "score_semantics": 0,
    "strategy_kind": 0,
    "claimed_setups": -1,
    "setup_bar_ns": MINUTE,
    "executed": False,
    "requested_entry": NAN,
    "fill_entry": NAN,
    "fill_entry_time": NO_TIME,
    "requested_exit": NAN,
    "fill_exit": NAN,
    "fill_exit_time": NO_TIME,
    "file_exit_reason": int(ExitReason.NONE),
    "quantity": NAN,
    "stop_initial": NAN,
    "stop_final": NAN,
    "commission": NAN,
    "swap": NAN,
    "on_plan": -1,
    "extra_flags": 0,
}
_TYPES: dict[str, type] = {
    "is_trade": np.bool_,
    "executed": np.bool_,
    "side": np.int8,
    "entry_kind": np.int8,
    "score_semantics": np.int8,
    "strategy_kind": np.int8,
    "file_exit_reason": np.int8,
    "on_plan": np.int8,
    "claimed_setups": np.int32,
    "extra_flags": np.int32,
    "entry_time": np.int64,
    "end_time": np.int64,
    "setup_bar_ns": np.int64,
    "fill_entry_time": np.int64,
    "fill_exit_time": np.int64,
}


def signal(**fields: Any) -> dict[str, Any]:
    """A signal's row. `minutes` is the length of its horizon (4 by default)."""
    minutes = fields.pop("minutes", 4)
    row = DEFAULTS | fields
    if row["end_time"] == NO_TIME:
        row["end_time"] = row["entry_time"] + round(minutes * MINUTE)
    return row


def trade(*, exit: float, exit_time: int, **fields: Any) -> dict[str, Any]:
    """An executed trade's row under TRADE; its initial stop is the barrier."""
    row = DEFAULTS | {"is_trade": True, "horizon": "TRADE", "executed": True, "quantity": 1.0}
    row |= {"fill_exit": exit, "fill_exit_time": exit_time, "end_time": exit_time} | fields
    row.setdefault("entry_price", 100.0)
    row["fill_entry"], row["fill_entry_time"] = row["entry_price"], row["entry_time"]
    if np.isfinite(row["stop_price"]):
        row["stop_initial"] = row["stop_price"]
    return row


def batch(where: Market, *rows: dict[str, Any], views: tuple[SetupView, ...] = ()) -> CaseBatch:
    n = len(rows)
    columns: dict[str, Any] = {
        name: np.array([row[name] for row in rows], _TYPES.get(name, np.float64))
        for name in DEFAULTS
        if name != "horizon"
    }
    columns["horizon"] = tuple(row["horizon"] for row in rows)
    side = columns["side"]
    columns["stop"] = barrier_half_points(columns["stop_price"], side, where.point, "stop")
    columns["target"] = barrier_half_points(columns["target_price"], side, where.point, "target")
    none = np.full(n, -1, np.int64)
    empty, flags = np.zeros(0), np.zeros(0, np.bool_)
    return CaseBatch(
        market=where,
        setup_views=views or (SetupView(where.bar_ns, where.candles),),
        model_history=ModelHistory(empty, flags, none, none),
        setup_history=SetupHistory(np.zeros(0, np.int8), flags, empty, none, none),
        trade_log=TradeLog(np.zeros(0, np.int64), empty, empty, none, none),
        **columns,
    )
