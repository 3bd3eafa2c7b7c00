"""Random markets and batches for tests that compare many cases at once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from post_mortem.core.types import (
    CaseBatch,
    Market,
    ModelHistory,
    News,
    Outages,
    Peer,
    SetupHistory,
    TradeLog,
)
from tests.core import cases
from trading.core.candles import Candles

BAR = 15 * cases.MINUTE
DAY = 24 * 60 * cases.MINUTE
POINT = Decimal("0.00001")


def random_candles(rng: np.random.Generator, days: int) -> Candles:
    """Quarter-hour bars on weekdays with jumps, a busy part of the day and a few lost bars."""
    time = cases.MONDAY + np.arange(days * 96, dtype=np.int64) * BAR
    weekday = (time // DAY + 3) % 7
    time = time[(weekday < 5) & (rng.random(time.size) > 0.01)]
    hour = (time % DAY) // (DAY // 24)
    busy = 1 + 0.6 * np.sin((hour - 6) / 24 * 2 * np.pi)
    moves = rng.standard_t(4, time.size) * 2e-4 * busy
    moves += (rng.random(time.size) < 0.01) * rng.normal(0, 4e-3, time.size)
    close = np.rint(2 * 110_000 * np.exp(np.cumsum(moves))).astype(np.int64)
    opened = np.concatenate([close[:1], close[:-1]]) + rng.integers(-8, 9, time.size)
    high = np.maximum(opened, close) + rng.integers(0, 60, time.size)
    low = np.minimum(opened, close) - rng.integers(0, 60, time.size)
    volume = np.round(rng.lognormal(5, 0.8, time.size) * busy, 1)
    spread = 2 * rng.integers(4, 40, time.size)
    return Candles(time, opened, high, low, close, volume, spread)


def random_market(rng: np.random.Generator, days: int) -> Market:
    bars = random_candles(rng, days)
    n, news = len(bars), 4 * days
    moments = np.sort(rng.choice(bars.time, news, replace=False))
    return Market(
        symbol="EURUSD",
        kind="fx",
        point=POINT,
        pip=Decimal("0.0001"),
        bar_ns=BAR,
        candles=bars,
        currencies=("EUR", "USD"),
        news=News(
            moments,
            rng.integers(0, 3, news).astype(np.int8),
            rng.normal(size=news),
            ("USD",) * news,
            ("Release",) * news,
            np.arange(news, dtype=np.int64),
            bars.time[:1],
            bars.time[-1:],
        ),
        peers=(
            Peer("GBPUSD", bars.close * np.exp(rng.normal(0, 2e-4, n)), 1),
            Peer("USDCHF", 1e9 / bars.close * np.exp(rng.normal(0, 2e-4, n)), -1),
        ),
        outages=Outages(bars.time[300:301], bars.time[310:311], ("platform",)),
    )


def random_batch(rng: np.random.Generator, market: Market, n: int, first_day: int) -> CaseBatch:
    """Signals and trades of every kind, entered from `first_day` of the market on."""
    bars, half = market.candles, market.half_point
    earliest = int(np.searchsorted(bars.time, bars.time[0] + first_day * DAY))
    rows = [_row(rng, bars, half, earliest) for _ in range(n)]
    rows.sort(key=lambda row: int(row["entry_time"]))
    pool, none = 60, np.zeros(n, np.int64)
    stop = np.sort(rng.integers(10, pool + 1, n))
    exits = np.array([row["entry_time"] for row in rows], np.int64)
    closed = np.sort(exits.min() - rng.integers(0, 5 * DAY, pool))
    return replace(
        cases.batch(market, *rows),
        model_history=ModelHistory(rng.uniform(50, 90, pool), rng.random(pool) < 0.5, none, stop),
        setup_history=SetupHistory(
            rng.integers(0, 6, pool).astype(np.int8),
            rng.random(pool) < 0.3,
            rng.uniform(1, 2, pool),
            none,
            stop,
        ),
        trade_log=TradeLog(closed, rng.normal(0, 1, pool), rng.uniform(0.8, 2, pool), none, stop),
    )


def _row(rng: np.random.Generator, bars: Candles, half: float, earliest: int) -> dict[str, Any]:
    bar = int(rng.integers(earliest, len(bars) - 700))
    side = int(rng.choice([1, -1]))
    entry = float(bars.open[bar] * half)
    risk, ratio = float(rng.uniform(8, 40)) * 1e-4, float(rng.choice([1.0, 1.5, 2.0]))
    levels = {
        "side": side,
        "entry_price": entry,
        "stop_price": entry - side * risk,
        "target_price": entry + side * ratio * risk,
        "score": float(rng.uniform(40, 95)),
        "min_score": 45.0,
        "score_semantics": 1,
        "strategy_kind": int(rng.integers(0, 3)),
        "claimed_setups": int(rng.integers(-1, 64)),
        "setup_bar_ns": BAR,
    }
    if rng.random() < 0.6:
        minutes = int(rng.choice([240, 1440, 7 * 1440]))
        return cases.signal(entry_time=int(bars.time[bar]), minutes=minutes, **levels)
    left = bar + int(rng.integers(2, 60))
    return cases.trade(
        exit=float(bars.close[left] * half) - side * float(rng.uniform(0, 1e-4)),
        exit_time=int(bars.time[left]) + 60 * 10**9,
        entry_time=int(bars.time[bar]),
        requested_entry=entry - side * 1e-5,
        quantity=float(rng.uniform(0.5, 3)),
        stop_final=entry - side * risk * float(rng.uniform(1, 1.6)),
        commission=0.0,
        swap=0.0,
        on_plan=int(rng.integers(-1, 2)),
        **{key: value for key, value in levels.items() if key != "min_score"},
    )
