"""A deterministic year of EURUSD minutes, a related market, a calendar, and signals on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.core.candles import Candles
from trading.core.sessions import is_open
from trading.core.types import NS_PER_HOUR, NS_PER_MINUTE

START_NS = 1_704_067_200 * 10**9  # 2024-01-01 UTC
POINT = 1e-5
PIP_POINTS = 10
SETUP_CHOICES = ("bos", "choch", "fvg", "order_block", "breakout", "sweep")
# How busy each UTC hour is: quiet nights, peaks at the London and New York opens.
_HOURS = np.array(
    [0.5, 0.5, 0.55, 0.6, 0.6, 0.7, 0.9, 1.3, 1.4, 1.2, 1.0, 1.0]
    + [1.2, 1.5, 1.5, 1.3, 1.1, 0.9, 0.8, 0.8, 0.7, 0.6, 0.5, 0.5]
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class MarketData:
    candles: Candles
    peer: Candles
    news_time: np.ndarray
    news_impact: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class SignalData:
    """One element a signal; prices in points, times in ns."""

    time: np.ndarray
    side: np.ndarray
    entry: np.ndarray
    stop: np.ndarray
    target: np.ndarray
    score: np.ndarray
    version: np.ndarray
    claims: list[str | None]


def _bars(time: np.ndarray, steps: np.ndarray, rng: np.random.Generator, start: int) -> Candles:
    """Bars from log returns: half-points, always a whole number of points."""
    close = start * np.exp(np.cumsum(steps))
    opened = np.concatenate([[start], close[:-1]])
    reach = np.abs(steps) * close
    high = np.maximum(opened, close) + reach * rng.random(time.size) + rng.random(time.size) * 4
    low = np.minimum(opened, close) - reach * rng.random(time.size) - rng.random(time.size) * 4
    o, c = np.rint(opened), np.rint(close)
    h, lo = np.maximum(np.rint(high), np.maximum(o, c)), np.minimum(np.rint(low), np.minimum(o, c))
    volume = np.rint(50 * (1 + reach) * (0.5 + rng.random(time.size)))
    columns = ((2 * column).astype(np.int64) for column in (o, h, lo, c))
    return Candles(time, *columns, volume=volume)


def make_market(bars: int, seed: int = 7) -> MarketData:
    """`bars` open minutes from 2024-01-01 on: volatility in clusters, jumps at releases."""
    rng = np.random.default_rng(seed)
    minutes = START_NS + np.arange(bars * 8 // 5 + 3 * 1440, dtype=np.int64) * NS_PER_MINUTE
    time = minutes[is_open("fx", minutes)][:bars]
    n = time.size
    news_time = np.sort(rng.choice(time[2000:], max(8, n // 200), replace=False))
    impact = rng.choice([0, 1, 2], news_time.size, p=[0.5, 0.3, 0.2]).astype(np.int8)
    slow = np.repeat(np.exp(0.35 * rng.standard_normal(n // 480 + 1)), 480)[:n]
    season = _HOURS[(time // NS_PER_HOUR) % 24]
    common = rng.standard_normal(n)
    sigma = 1.1e-4 * slow * season
    jump = np.zeros(n)
    at = np.searchsorted(time, news_time)
    jump[at] = rng.standard_normal(news_time.size) * 6e-4 * impact
    steps = sigma * (0.8 * common + 0.6 * rng.standard_normal(n)) + jump
    peer_steps = sigma * (0.8 * common + 0.6 * rng.standard_normal(n)) + 0.4 * jump
    return MarketData(
        _bars(time, steps - steps.mean(), rng, 110_000),
        _bars(time, peer_steps - peer_steps.mean(), rng, 127_000),
        news_time,
        impact,
    )


def make_signals(candles: Candles, count: int, seed: int = 11) -> SignalData:
    """Signals at bar opens, stops 10-30 and targets 20-60 pips away, entered a pip too late."""
    rng = np.random.default_rng(seed)
    n = len(candles)
    at = np.sort(rng.integers(min(25_000, n // 3), n - 1, count))
    side = rng.choice([1, -1], count)
    entry = candles.open[at] // 2 + side * PIP_POINTS
    stop = entry - side * rng.integers(10 * PIP_POINTS, 30 * PIP_POINTS + 1, count)
    target = entry + side * rng.integers(20 * PIP_POINTS, 60 * PIP_POINTS + 1, count)
    choice = rng.integers(0, len(SETUP_CHOICES), (count, 2))
    kinds = rng.integers(0, 4, count)
    claims: list[str | None] = []
    for kind, (first, second) in zip(kinds.tolist(), choice.tolist(), strict=True):
        names = {0: None, 1: (), 2: (first,), 3: (first, second)}[kind]
        if names is None:
            claims.append(None)
        else:
            listed = sorted({SETUP_CHOICES[i] for i in names})
            claims.append("[" + ", ".join(f'"{name}"' for name in listed) + "]")
    version = at * 4 // n
    # About two signals in five reach their target first. Three versions of the model know that,
    # the last one promises far more.
    promised = np.where(version < 3, 28, 58)
    return SignalData(
        time=candles.time[at],
        side=side,
        entry=entry,
        stop=stop,
        target=target,
        score=np.rint(promised + 20 * rng.random(count)),
        version=version,
        claims=claims,
    )


def price_texts(points: np.ndarray) -> list[str]:
    return [f"{value // 100_000}.{value % 100_000:05d}" for value in points.tolist()]
