"""Order flow: how the second generator makes prices; see `second.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .market import Candles

SLICES = 8
BAR_S = {"5m": 300, "15m": 900, "1h": 3600}
JUMPS = ("news_shock", "external_shock", "liquidity_event")


@dataclass
class Event:
    """Factors on activity (bars, slices) and depth (bars), and a lean from -0.5 to 0.5."""

    cause: str
    bar: int
    activity: np.ndarray
    lean: np.ndarray
    depth: np.ndarray
    shared: float = 0.0  # how much of the lean related markets feel
    release_s: int = 0

    def stop_at(self, last: int) -> None:
        self.activity[last + 1 :] = 1.0
        self.lean[last + 1 :] = 0.0
        self.depth[last + 1 :] = 1.0


@dataclass
class Flow:
    """The draws of a market: everything that is the same with and without an event."""

    symbol: tuple[Any, ...]
    timeframe: str
    time: np.ndarray
    trades: np.ndarray
    depth: np.ndarray
    draws: np.ndarray
    large: np.ndarray
    bounce: np.ndarray
    peer_draws: np.ndarray
    tie: np.ndarray
    sizes: np.ndarray
    impact: float
    sigma: float

    def __len__(self) -> int:
        return int(self.time.size)

    @property
    def point(self) -> float:
        return round(10.0 ** -self.symbol[2], self.symbol[2])

    def moves(self, events: list[Event]) -> np.ndarray:
        """Log returns of every slice."""
        activity, lean, depth = self.state(events)
        balanced = np.sqrt(activity * (1 - 4 * lean**2)) * self.draws
        return self.impact * (2 * activity * lean + balanced + self.large) / depth[:, None]

    def state(self, events: list[Event]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        activity, depth = self.trades.copy(), self.depth.copy()
        lean = np.zeros_like(activity)
        for event in events:
            activity *= event.activity
            lean += event.lean
            depth *= event.depth
        return activity, np.clip(lean, -0.45, 0.45), depth

    def candles(self, events: list[Event]) -> Candles:
        logs = np.cumsum(self.moves(events).ravel()).reshape(len(self), SLICES) + self.bounce
        start = np.concatenate([[0.0], logs[:-1, -1]])
        prices = self.symbol[1] * np.exp(np.column_stack([start, logs])) / self.point
        whole = np.rint(prices).astype(np.int64)
        return Candles(whole[:, 0], whole.max(axis=1), whole.min(axis=1), whole[:, -1])

    def volumes(self, events: list[Event]) -> np.ndarray:
        return self.state(events)[0].sum(axis=1) * self.sizes

    def spreads(self, events: list[Event]) -> np.ndarray:
        activity, lean, depth = self.state(events)
        quiet = (self.trades.mean() / activity.mean(axis=1)) ** 0.2
        return self.symbol[5] * quiet * (1 + 2 * np.abs(lean).max(axis=1)) / depth

    def peers(self, events: list[Event]) -> np.ndarray:
        """Log returns of related markets a bar."""
        signs = np.array([sign for _, sign in self.symbol[7]])[:, None]
        calm = self.moves([e for e in events if e.shared == 0 and e.cause not in JUMPS])
        mixed = self.tie * calm.sum(axis=1) + np.sqrt(1 - self.tie**2) * self.peer_draws
        for event in events:
            if event.shared:
                felt = self.moves([event]).sum(axis=1) - self.moves([]).sum(axis=1)
                mixed = mixed + event.shared * felt
        return signs * mixed


def make_flow(rng: np.random.Generator, symbol: tuple[Any, ...], timeframe: str, bars: int) -> Flow:
    bar_s = BAR_S[timeframe]
    first = 1_640_995_200 + int(rng.integers(100)) * 7 * 86_400 + int(rng.integers(3, 9)) * 86_400
    time = first + 60 * 60 * int(rng.integers(0, 22)) + np.arange(3 * bars) * bar_s
    if "/" not in symbol[0]:
        day = (time // 86_400 + 3) % 7  # 0 is Monday
        time = time[day < 5]
    time = time[:bars]
    daily = np.exp(0.5 * np.cos((time % 86_400 / 3600 - 14.5) / 24 * 2 * np.pi))
    level = np.array([0.7, 1.0, 1.45])[_chain(rng, bars, rng.uniform(40, 120))]
    trades = rng.uniform(40, 200) * daily * level
    each = np.repeat(trades[:, None], SLICES, axis=1)
    sigma = symbol[4] * rng.uniform(0.8, 1.25) / np.sqrt(86_400 / bar_s)
    impact = sigma / np.sqrt(SLICES * trades.mean())
    often = rng.random((bars, SLICES)) < 0.006
    large = often * rng.standard_t(3, (bars, SLICES)) * 2.0 * np.sqrt(each)
    n = len(symbol[7])
    return Flow(
        *(symbol, timeframe, time, each, rng.lognormal(0, 0.06, bars)),
        draws=rng.standard_normal((bars, SLICES)),
        large=large,
        bounce=rng.uniform(-1, 1, (bars, SLICES)) * 0.1 * sigma,
        peer_draws=sigma * np.sqrt(trades / trades.mean()) * rng.standard_normal((n, bars)),
        tie=rng.uniform(0.35, 0.8, (n, 1)),
        sizes=rng.lognormal(0, 0.2, bars),
        impact=float(impact),
        sigma=float(sigma),
    )


def _chain(rng: np.random.Generator, bars: int, stay: float) -> np.ndarray:
    """Three states; each is left after `stay` bars in the mean."""
    switches = np.flatnonzero(rng.random(bars) < 1 / stay)
    states = rng.integers(0, 3, switches.size + 1)
    result: np.ndarray = states[np.searchsorted(switches, np.arange(bars), "right")]
    return result
