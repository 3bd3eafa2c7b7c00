"""How the first generator plants the five causes that move prices.

A plant is what an event adds to a market: log returns, gaps, moves of related markets, factors on
volume and spread. Sizes are stated against the market (its daily move, its volatility), not
against what an engine measures. The entry is at the open of bar `at`; the planned life ends
before bar `end`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .market import STEPS, Noise

PRICE_CAUSES = (
    "news_shock",
    "regime_drift",
    "volatility_spike",
    "liquidity_event",
    "external_shock",
)
JUMPS = ("news_shock", "liquidity_event", "external_shock")
# What is no event of one bar has to last: a regime of a few bars is a move like any other.
SHORTEST = {"regime_drift": 24, "volatility_spike": 8}
_SMALLEST_JUMP_BARS = 4.0  # a jump is at least so many usual moves of its bar


@dataclass
class Plant:
    """`bar` is where it starts to move prices. `release_s`: the moment of its release, if any."""

    cause: str
    bar: int
    steps: np.ndarray
    gap: np.ndarray
    peers: np.ndarray
    volume: np.ndarray
    spread: np.ndarray
    release_s: int = 0

    def until(self, last: int) -> None:
        """Nothing of it is left after bar `last`: what follows an exit must not tell the cause."""
        later = slice(last + 1, None)
        self.steps[later] = 0.0
        self.gap[later] = 0.0
        self.peers[:, later] = 0.0
        self.volume[later] = 1.0
        self.spread[later] = 1.0


def blank(cause: str, noise: Noise, bar: int) -> Plant:
    n = len(noise)
    zero, one = np.zeros(n), np.ones(n)
    return Plant(
        cause, bar, np.zeros((n, STEPS)), zero, np.zeros((len(noise.peers), n)), one, one.copy()
    )


def plant(
    rng: np.random.Generator, cause: str, form: str, noise: Noise, at: int, end: int, side: int
) -> Plant:
    """The event of a cause; `form` "gap" makes an empty book open a gap instead of a fast move."""
    if form == "gap":
        return _liquidity_event(rng, noise, at, end, side, gap=True)
    return _PLANTERS[cause](rng, noise, at, end, side)


def trend_before(rng: np.random.Generator, noise: Noise, at: int, side: int) -> np.ndarray:
    """Log returns of the trend that a trend trade is entered in: up to the entry, on its side.

    Over a few hundred bars it is two to four times what chance would move prices.
    """
    length = int(rng.integers(100, 300))
    strength = rng.uniform(2.0, 4.0) / np.sqrt(length)
    steps = np.zeros((len(noise), STEPS))
    begin = max(at - length, 0)
    steps[begin:at] = (side * strength * noise.sigma[begin:at] / STEPS)[:, None]
    return steps


def _jump_bar(rng: np.random.Generator, at: int, end: int) -> int:
    life = end - at
    return at + int(rng.integers(max(1, life // 20), max(2, int(life * 0.6))))


def _jump_size(rng: np.random.Generator, noise: Noise, bar: int) -> float:
    """A log return: a fifth to nine tenths of a usual day, and large for its bar."""
    usual = max(noise.sigma[bar], noise.base)
    least = _SMALLEST_JUMP_BARS * usual * rng.uniform(1.0, 1.6)
    return float(max(rng.uniform(0.2, 0.9) * noise.instrument.day, least))


def _add_jump(rng: np.random.Generator, to: Plant, noise: Noise, side: int) -> float:
    """One or two parts of one bar, now and then with a rest in the next; returns its size."""
    size = _jump_size(rng, noise, to.bar)
    part, rest = int(rng.integers(0, STEPS - 1)), float(rng.choice([0.0, 0.0, 0.2]))
    share = rng.uniform(0.6, 1.0)
    to.steps[to.bar, part] -= side * size * (1 - rest) * share
    to.steps[to.bar, part + 1] -= side * size * (1 - rest) * (1 - share)
    to.steps[to.bar + 1, 0] -= side * size * rest
    return size


def _fading(n: int, bar: int, factor: float, half_life: float) -> np.ndarray:
    """1 before the bar, `factor` at it, back to 1 with a half-life in bars."""
    after = np.maximum(np.arange(n) - bar, 0)
    return np.where(np.arange(n) >= bar, 1 + (factor - 1) * 0.5 ** (after / half_life), 1.0)


def _news_shock(rng: np.random.Generator, noise: Noise, at: int, end: int, side: int) -> Plant:
    """A release that surprised: the price jumps within minutes, everyone trades, quotes widen."""
    result = blank("news_shock", noise, _jump_bar(rng, at, end))
    size = _add_jump(rng, result, noise, side)
    bar, n = result.bar, len(noise)
    # Releases come on round minutes; prices react in the same bar, or within two minutes of it.
    late = int(rng.integers(0, 3)) if noise.bar_s == 60 else 0
    result.release_s = int(noise.time[bar - late])
    if noise.bar_s >= 900 and rng.random() < 0.4:
        result.release_s += 30 * 60 if noise.bar_s == 3600 else 5 * 60
    result.volume = _fading(n, bar, rng.uniform(2, 5), 3)
    result.spread = _fading(n, bar, rng.uniform(1.2, 3), 1)
    result.spread[bar - 1] = rng.uniform(1, 2.5)
    # A currency's news moves the pairs that it is part of, some more, some hardly.
    signs = np.array([sign for _, _, sign in noise.instrument.peers])
    result.peers[:, bar] = -side * signs * size * rng.uniform(0.0, 0.8, signs.size)
    return result


def _external_shock(rng: np.random.Generator, noise: Noise, at: int, end: int, side: int) -> Plant:
    """Nothing was scheduled and every related market jumps in the same bar, heavily traded."""
    result = blank("external_shock", noise, _jump_bar(rng, at, end))
    size = _add_jump(rng, result, noise, side)
    bar, n = result.bar, len(noise)
    result.volume = _fading(n, bar, rng.uniform(1.5, 4), 4)
    result.spread = _fading(n, bar, rng.uniform(1.0, 2.5), 2)
    signs = np.array([sign for _, _, sign in noise.instrument.peers])
    result.peers[:, bar] = -side * signs * size * rng.uniform(0.6, 1.3, signs.size)
    return result


def _liquidity_event(
    rng: np.random.Generator, noise: Noise, at: int, end: int, side: int, gap: bool = False
) -> Plant:
    """The book was empty: little volume for some bars, wide quotes, and a move no one shared."""
    result = blank("liquidity_event", noise, _jump_bar(rng, at, end))
    size = _jump_size(rng, noise, result.bar)
    bar = result.bar
    if gap:
        result.gap[bar] = -side * size
    else:
        _add_jump(rng, result, noise, side)
    before, after = rng.integers(3, 12, 2)
    thin = slice(max(bar - before, 0), bar + after)
    result.volume[thin] = rng.uniform(0.05, 0.35)
    result.spread[max(bar - before // 2, 0) : bar + after] = rng.uniform(2, 6)
    return result


def _volatility_spike(
    rng: np.random.Generator, noise: Noise, at: int, end: int, side: int
) -> Plant:
    """Prices become two to four times as wild soon after the entry, in both directions."""
    life = end - at
    start = at + int(rng.integers(0, max(1, min(life // 4, 30))))
    result = blank("volatility_spike", noise, start)
    stop = min(start + int(rng.integers(max(8, life // 3), life + 1)), len(noise))
    factor = rng.uniform(1.9, 3.6)
    result.steps[start:stop] = noise.steps[start:stop] * (factor - 1)
    result.volume[start:stop] = rng.uniform(1, factor)
    result.spread[start:stop] = rng.uniform(1, 1.6)
    # Markets get nervous together, more or less.
    shared = rng.uniform(0, 0.6, len(noise.peers))[:, None]
    result.peers[:, start:stop] = noise.peers[:, start:stop] * (factor - 1) * shared
    return result


def _regime_drift(rng: np.random.Generator, noise: Noise, at: int, end: int, side: int) -> Plant:
    """The trend turns: soon after the entry prices drift against the trade, at no wilder a pace."""
    life = end - at
    start = at + int(rng.integers(0, max(1, life // 6)))
    result = blank("regime_drift", noise, start)
    strength = rng.uniform(2.2, 4.5) / np.sqrt(max(life * rng.uniform(0.4, 1.0), 10))
    result.steps[start:end] = (-side * strength * noise.sigma[start:end] / STEPS)[:, None]
    signs = np.array([sign for _, _, sign in noise.instrument.peers])[:, None]
    shared = rng.uniform(0, 0.5, signs.shape) * signs
    result.peers[:, start:end] = shared * result.steps[start:end].sum(axis=1)
    return result


_Planter = Callable[[np.random.Generator, Noise, int, int, int], Plant]
_PLANTERS: dict[str, _Planter] = {
    "news_shock": _news_shock,
    "external_shock": _external_shock,
    "liquidity_event": _liquidity_event,
    "volatility_spike": _volatility_spike,
    "regime_drift": _regime_drift,
}
